"""How progress is shown: bars in a terminal, lines in a log, nothing where the work is short."""

from __future__ import annotations

import io
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from featx import progress
from featx.progress import ProgressLine, listening, report_progress, shown_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def waited_for(text: str, stream: io.StringIO) -> str:
    """What a stream has once the text is in it; the test's own limit of time ends a text that never comes."""
    while text not in stream.getvalue():
        time.sleep(0.005)
    return stream.getvalue()


def test_a_line_says_how_much_is_done_how_fast_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    pace = ProgressLine()
    clock.now = 160.0
    assert pace.line(clock.now) == "working for 60 s"
    pace.update("decoding", 0, 30_000)
    clock.now = 165.0
    assert pace.line(clock.now) == "decoding: 0 of 30,000, for 5 s"
    clock.now = 160.0
    clock.now = 220.0
    pace.update("decoding", 1_200, 30_000)
    assert pace.line(clock.now) == "decoding: 1,200 of 30,000, 20/s, 24 min 0 s left"
    # The pace of a stage that begins in the middle, after a restart, counts what it does itself.
    pace.update("fitting", 50, 100)
    clock.now = 230.0
    pace.update("fitting", 60, 100)
    assert pace.line(clock.now) == "fitting: 60 of 100, 1/s, 40 s left"
    clock.now = 250.0
    pace.update("fitting", 61, 100)
    pace.update("stages", 0, 4)
    clock.now = 270.0
    pace.update("stages", 1, 4)
    assert pace.line(clock.now) == "stages: 1 of 4, 20 s each, 60 s left"
    clock.now = 230.0
    pace.update("fitting", 100, 100)
    clock.now = 250.0
    assert pace.line(clock.now) == "working for 2 min 30 s"


def test_logs_get_lines_as_long_as_the_work_goes_on() -> None:
    log = io.StringIO()
    with progress._lines(log, seconds=0.01) as update:
        waited_for("working for", log)
        update("decoding", 3, 7)
        waited_for("decoding: 3 of 7", log)
    assert not [thread for thread in threading.enumerate() if thread.name == "featx progress"]
    assert all(line.startswith(("working for", "decoding: 3 of 7")) for line in log.getvalue().splitlines())


def test_short_work_writes_nothing_into_logs() -> None:
    log = io.StringIO()
    with listening(None), shown_progress(log) as update:
        update("decoding", 3, 7)
    assert log.getvalue() == ""


def test_a_closed_log_does_not_end_the_work() -> None:
    log = io.StringIO()
    with progress._lines(log, seconds=0.01) as update:
        waited_for("working", log)
        log.close()
        time.sleep(0.05)
        update("decoding", 1, 2)


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with shown_progress(terminal) as update:
        for done in range(8):
            update("decoding", done, 7)
    assert "decoding" in terminal.getvalue()
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")


def test_progress_true_shows_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with listening(True):
        report_progress("decoding", 3, 7)
    assert "decoding" in terminal.getvalue()
    report_progress("nobody listens", 1, 2)
    assert "nobody" not in terminal.getvalue()


def test_a_notebook_gets_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(HTML=str, display=lambda first, display_id: handle)
    ipython: Any = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()), display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    with shown_progress(io.StringIO()) as update:
        update("a <b>", 3, 7)
    assert shown[0].startswith('<progress max="7" value="3"></progress> a &lt;b&gt;: 3 of 7')
    assert shown[-1] == ""


def test_a_program_without_standard_error_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with listening(True):
        report_progress("decoding", 3, 7)
