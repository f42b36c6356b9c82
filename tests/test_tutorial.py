"""The pages that are walked through: every block of them runs, in order, and gives the output that is shown."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import ROOT, blocks_of, commands_of, run_command, text_of

pytestmark = pytest.mark.slow

ANYTHING = "…"
FIGURE = re.compile(r"\d[\d.,]*")


def assert_shown(shown: str, output: str, where: str, *, vary: bool = False) -> None:
    """Every line shown is a line of the output, in this order; … stands for anything."""
    if vary:
        shown, output = (FIGURE.sub("0", text) for text in (shown, output))
    lines = iter([line.rstrip() for line in output.splitlines()])
    for line in shown.splitlines():
        if line.strip() in ("", ANYTHING):
            continue
        pattern = ".*".join(map(re.escape, line.rstrip().split(ANYTHING)))
        assert any(re.fullmatch(pattern, found) for found in lines), f"{where}: {line!r} is not in\n{output}"


@pytest.mark.parametrize("page", ["tutorial.md", "own-images-networks-heads.md"])
def test_the_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    names: dict[str, Any] = {}
    printed = ""
    for block in blocks_of(text_of(page)):
        if block.file is not None:
            Path(block.file).write_text(block.body, "utf-8")
        elif block.language == "python":
            exec(compile(block.body, page, "exec"), names)
            printed = capsys.readouterr().out
        elif block.language in ("sh", "console"):
            for command, shown in commands_of(block):
                assert_shown(shown, run_command(command), f"{page}: {command}", vary=block.vary)
        elif block.language == "text":
            assert_shown(block.body, printed, page, vary=block.vary)
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is not None:
        plt.close("all")


def test_the_pages_have_what_is_run() -> None:
    languages = [block.language for block in blocks_of(text_of("tutorial.md"))]
    assert languages.count("python") >= 6
    assert languages.count("console") >= 4
    assert "text" in languages


@pytest.mark.parametrize(
    ("shown", "output", "right"),
    [
        ("a\nc", "a\nb\nc\n", True),
        ("c\na", "a\nb\nc\n", False),
        ("3 rows in … s.", "3 rows in 0.1 s.", True),
        ("4 rows in … s.", "3 rows in 0.1 s.", False),
        ("a", "ab", False),
    ],
)
def test_what_is_shown_is_compared(shown: str, output: str, right: bool) -> None:
    if right:
        assert_shown(shown, output, "here")
    else:
        with pytest.raises(AssertionError, match="is not in"):
            assert_shown(shown, output, "here")


def test_figures_may_differ_where_it_is_said() -> None:
    assert_shown("4/16 = 25.0 %", "11/16 = 68.8 %", "here", vary=True)
    with pytest.raises(AssertionError, match="is not in"):
        assert_shown("4/16 = 25.0 %", "11/16 = nan %", "here", vary=True)
