"""What a command prints, in every encoding, and where its output cannot be written."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from onnx_networks import write_onnx
from pipeline_data import files_of, small_data, small_recipe

import featx
from featx.cli import app, console, main, streams
from featx.cli.demo import _show as show_demo
from featx.cli.reproduce import _show as show_reproduction
from featx.networks import framework
from featx.recipes import dump_recipe

ENCODINGS = ("utf-8", "utf-16", "cp1252", "cp437", "cp932", "latin-1", "ascii")
# Each has letters that others lack.
NAMES = {"covid": "é", "normal": "漢", "pneumonia_bac": "naïve – Б", "pneumonia_vir": "x"}

Printed = Callable[[str, bool, str], bytes]


def groups_and_commands() -> set[str]:
    """The names of all commands, such as `cache info`."""
    plain = {str(each.name) for each in app.registered_commands}
    grouped = {
        f"{group.name} {each.name}"
        for group in app.registered_groups
        if group.typer_instance is not None
        for each in group.typer_instance.registered_commands
    }
    return plain | grouped


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, console.Result]:
    """What each command ends with, on images whose classes have letters that not every encoding has."""
    root = tmp_path_factory.mktemp("output")
    data, run, cache, recipe = root / "dâta", root / "run", root / "cache", root / "small.toml"
    small_data(data, train=6, test=2)
    for split in ("train", "test"):
        for name, other in NAMES.items():
            (data / split / name).rename(data / split / other)
    recipe.write_text(dump_recipe(small_recipe(tiny_model, {"fit.epochs": 1})), encoding="utf-8")
    lists: dict[str, list[object]] = {
        "extract": [data, "--recipe", recipe],
        "fit-head": [data, "--recipe", recipe, "--out", run],
        "predict": [run, data / "test"],
        "evaluate": [run, data / "test"],
        "search": [run, files_of(data)[0], "--k", 3],
        "visualize": [run, "--method", "pca", "--format", "csv", "--out", root / "maps"],
        "clusters": [run],
        "audit": [run, "--out", root / "audit"],
        "compare": [run, "--classifiers", "knn", "--folds", 2, "--repeats", 1],
        "report": [run, "--out", root / "é.html", "--without", "audit,maps,comparison,clusters"],
        "sweep": [data, "--recipe", recipe, "--batch-size", "6,8", "--seeds", 1, "--out", root / "sweep"],
        "doctor": [],
        "cache info": [],
        "cache verify": [],
        "cache gc": ["--dry-run"],
        "cache explain": [files_of(data)[0], "--recipe", recipe],
        "recipes list": [],
        "recipes show": ["covid4-vgg16"],
        "backbones list": [],
        "backbones show": ["efficientnetlite0"],
        "backbones import": [write_onnx(root / "é.onnx"), "--like", "vgg16", "--out", root / "imported"],
        "export": [run, "--out", root / "exported.onnx"],
    }
    ends: dict[str, console.Result] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(sys, "excepthook", sys.excepthook)
        patch.setattr(sys, "unraisablehook", sys.unraisablehook)
        patch.setattr("threading.excepthook", None)
        patch.setattr(framework, "_quiet", False)
        for name, words in lists.items():
            patch.setattr(console, "finish", lambda result, json, name=name: ends.update({name: result}))
            where = [] if name.startswith(("recipes", "backbones")) else ["--cache", cache]
            patch.setattr(sys, "argv", ["featx", *name.split(), *[str(word) for word in (*words, *where)]])
            with pytest.raises(SystemExit):
                main()
    logging.captureWarnings(False)
    fit = featx.fit_head(data, str(recipe), out=root / "again", cache=cache)
    shown: Any = SimpleNamespace(
        fit=fit,
        data=data,
        report=SimpleNamespace(file=root / "é.html"),
        map=SimpleNamespace(files=[root / "m.png"]),
    )
    ends["demo"] = console.Result({"run": str(root), "classes": list(NAMES.values())}, lambda: show_demo(shown))
    row = SimpleNamespace(
        figure=SimpleNamespace(section="3.1", quantity="± é 漢", kind="share"),
        ours=SimpleNamespace(shown="\N{MINUS SIGN}3 %"),
        verdict="reproduced",
    )
    done: Any = SimpleNamespace(table=[row], tally="1 reproduced", files=[root / "é.md"])
    ends["reproduce"] = console.Result({"table": ["± é 漢"]}, lambda: show_reproduction(done))
    return ends


@pytest.fixture
def printed(results: dict[str, console.Result], monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Print a command's result again, on a standard output of an encoding."""

    def printed_in(name: str, as_json: bool, encoding: str) -> bytes:
        held = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding, "strict", newline="\n"))
        streams.prepare()
        console.finish(results[name], json=as_json)
        return held.getvalue()

    return printed_in


@pytest.mark.slow
def test_every_command_is_here(results: dict[str, console.Result]) -> None:
    assert set(results) == groups_and_commands()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_results_are_printed_in_every_encoding(
    results: dict[str, console.Result], printed: Printed, encoding: str
) -> None:
    for name in results:
        whole = printed(name, False, "utf-8").decode().splitlines()
        text = printed(name, False, encoding).decode(encoding).splitlines()
        assert len(text) >= len(whole) >= 1, name  # escapes are longer than letters, so that rows may be folded
        if encoding in ("utf-8", "utf-16"):
            assert text == whole, name
        else:
            # Nothing is lost but letters: the words in ASCII are all there, in their order.
            words = [word for word in " ".join(whole).split() if word.isascii() and word.isalpha()]
            rest = iter(" ".join(text).split())
            assert [word for word in words if word not in rest] == [], name


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_the_same_in_every_encoding(
    results: dict[str, console.Result], printed: Printed, encoding: str
) -> None:
    for name in results:
        text = printed(name, True, encoding)
        whole = json.loads(printed(name, True, "utf-8").decode())
        assert json.loads(text.decode(encoding)) == whole, name
        if encoding != "utf-16":  # a reader that takes it for UTF-8 gets the same
            assert json.loads(text) == whole, name


def test_in_a_pipe_each_row_of_a_table_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    path = "a folder/" * 40 + "x.png"
    console.print_table([(path, "0.5"), ("y.png", "0.4")], ("image", "probability"))
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.split() == ["image", "probability"]
    assert [row.rsplit(maxsplit=1)[0] for row in map(str.strip, rows)] == [path, "y.png"]


def test_the_same_notice_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    handler = console._Lines()
    for words in ("one", "two", "one"):
        handler.emit(logging.LogRecord("featx", logging.WARNING, "", 0, words, (), None))
    assert capsys.readouterr().err == "Note: one\nNote: two\n"


def test_letters_that_an_encoding_lacks_are_replaced_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, "ascii", "strict", newline="\n"))
    streams.prepare()
    console.print_table([("é – \N{MINUS SIGN}1 × 2 ± 3 ↓", "a"), ("漢\udcff", "b")], ("name", "…"))
    assert [row.split() for row in held.getvalue().decode("ascii").splitlines()] == [
        ["name", "..."],
        [r"\xe9", "-", "-1", "x", "2", "+/-", "3", "v", "a"],
        [r"\u6f22\udcff", "b"],
    ]


def test_the_users_own_way_with_letters_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, "ascii", "replace", newline="\n"))
    streams.prepare()
    console.print_lines(["é – x"])
    assert held.getvalue() == b"? ? x\n"


# --- streams of the system ---


def shell(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command line of the shell in which `featx` is this featx."""
    start = f"featx() {{ '{sys.executable}' -c 'from featx.cli import main; main()' \"$@\"; }}; set -o pipefail; "
    return subprocess.run(
        ["bash", "-c", start + command], cwd=cwd, env={**os.environ, **environment}, capture_output=True, check=False
    )


unix = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@unix
@pytest.mark.parametrize("words", ["recipes list", "recipes list --json", "--version", "--help"])
@pytest.mark.parametrize(("place", "reason"), [("> /dev/full", "No space left"), (">&-", "Bad file descriptor")])
def test_output_without_a_place_is_one_sentence(tmp_path: Path, words: str, place: str, reason: str) -> None:
    done = shell(f"featx {words} {place}", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert reason in done.stderr.decode()
    assert b"what was computed is kept" in done.stderr


@unix
def test_a_reader_that_goes_away_ends_a_command_quietly(tmp_path: Path) -> None:
    done = shell("featx recipes show covid4-vgg16 | head -0", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (141, b"", b"")


@unix
@pytest.mark.parametrize("place", ["2> /dev/full", "2>&-", "<&- 2>&-"])
def test_without_standard_error_the_result_and_the_exit_code_are_the_same(tmp_path: Path, place: str) -> None:
    done = shell(f"featx recipes list --json {place}", tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["recipes"]
    assert shell(f"featx recipes show covid {place}", tmp_path).returncode == 2


@unix
def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    script = (
        "import os, sys; from featx.cli import streams; streams.prepare(); "
        "opened = os.open('own', os.O_CREAT | os.O_WRONLY); sys.exit(opened)"
    )
    code = f"'{sys.executable}' -c \"{script}\" <&- >&- 2>&-"
    assert shell(code, tmp_path).returncode >= 3


@pytest.mark.parametrize("encoding", ["cp932", "ascii"])
def test_help_is_printed_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    done = shell("featx fit-head --help", tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "BACKBONE=" in done.stdout.decode(encoding)


def test_an_error_with_letters_that_the_encoding_lacks(tmp_path: Path) -> None:
    done = shell("featx extract 漢é", tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    done.stderr.decode("ascii")
