"""Commands that are interrupted or terminated, and what libraries say meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# `featx recipes list` in which listing the recipes does something else first.
SCRIPT = """
import os, signal, sys, time
import featx.recipes.files as files
from featx.cli import main

def names():
    {body}
    return []

files.recipe_names = names
sys.argv = ["featx", "recipes", "list", "--json", *sys.argv[1:]]
main()
"""


def listed(body: str, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command with this line in its midst."""
    command = [sys.executable, "-c", SCRIPT.format(body=body), *options]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("SIGINT", 130, "Interrupted; finished rows are kept.\n"),
        ("SIGTERM", 143, "Terminated; finished rows are kept.\n"),
    ],
)
def test_a_signal_ends_a_command_in_order(tmp_path: Path, name: str, code: int, said: str) -> None:
    # A program that a shell runs in the background ignores Ctrl-C.
    first = "signal.signal(signal.SIGINT, signal.default_int_handler); "
    done = listed(f"{first}os.kill(os.getpid(), signal.{name}); time.sleep(600)", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_what_libraries_say_is_not_shown(tmp_path: Path) -> None:
    sayings = (
        "import logging, numpy, warnings",
        "warnings.warn('raw')",
        "numpy.float32(1) / numpy.float32(0)",
        "logging.getLogger('some.package').error('raw')",
        "logging.warning('raw')",
        "type('T', (), {'__del__': lambda self: 1 / 0})()",
    )
    done = listed("; ".join(sayings), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"recipes": []}\n', "")
    shown = listed("; ".join(sayings), tmp_path, "--debug").stderr
    assert all(word in shown for word in ("UserWarning: raw", "RuntimeWarning", "raw", "ZeroDivisionError"))


def test_the_error_of_a_thread_is_one_line(tmp_path: Path) -> None:
    done = listed("import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()", tmp_path)
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError" in done.stderr


def test_importing_featx_changes_no_warnings(tmp_path: Path) -> None:
    script = (
        "import logging, sys, threading, warnings\n"
        "before = (list(warnings.filters), warnings.showwarning, list(logging.root.handlers), sys.excepthook)\n"
        "import featx\n"
        "for name in featx.__all__: getattr(featx, name)\n"
        "after = (list(warnings.filters), warnings.showwarning, list(logging.root.handlers), sys.excepthook)\n"
        "ours = [one for one in after[0] if one not in before[0] and 'featx' in str(one)]\n"
        "sys.exit(before[1:] != after[1:] or bool(ours))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 0
