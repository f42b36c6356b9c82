"""How far work is: reported where it is done, shown to whoever listens, with no parameter in between."""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TextIO, TypeAlias, TypeVar, cast

from featx.arguments import checks_arguments
from featx.errors import UsageError, naming_arguments
from featx.limits import permitting
from featx.text import count, duration

Listener: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

Progress: TypeAlias = Listener | bool
"""A listener; or True to show progress: a bar in a terminal or notebook, elsewhere a line every 30 seconds."""

P = ParamSpec("P")
R = TypeVar("R")

_listener: ContextVar[Listener | None] = ContextVar("featx_progress", default=None)

SECONDS_BETWEEN_LINES = 30.0
PATIENCE_SECONDS = 1.0  # work that is done by then shows no bar


def report_progress(stage: str, done: int, total: int) -> None:
    """Report progress to the listener, if there is one in this thread."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)


def nobody(stage: str, done: int, total: int) -> None:
    """Listen to work without showing it."""


@contextmanager
def listening(progress: Progress | None) -> Iterator[None]:
    """Report the work in this block to `progress`; None and False leave the listener as it is."""
    if progress is True:
        with shown_progress() as listener, listening(listener):
            yield
        return
    if not (progress is None or progress is False or callable(progress)):
        raise UsageError(f"Expected True or a function for progress, received {progress!r}.")
    token = _listener.set(progress or _listener.get())
    try:
        yield
    finally:
        _listener.reset(token)


def reports_progress(verb: Callable[P, R]) -> Callable[P, R]:
    """Report all the work that a verb does to its argument `progress`; its argument `yes` permits any work.

    Arguments of wrong types are refused, and errors name arguments instead of options.
    """
    verb = checks_arguments(verb)

    @wraps(verb)
    def listened_to(*args: P.args, **kwargs: P.kwargs) -> R:
        with (
            naming_arguments(),
            listening(cast("Progress | None", kwargs.get("progress"))),
            permitting(bool(kwargs.get("yes"))),
        ):
            return verb(*args, **kwargs)

    return listened_to


def shown_progress(stream: TextIO | None = None) -> AbstractContextManager[Listener]:
    """Return a listener that shows progress on standard error, or on another stream, or in a notebook."""
    stream = stream or sys.stderr
    if stream is None:  # a program without a console
        return nullcontext(nobody)
    if stream.isatty():
        return _bars(stream)
    notebook = _notebook()
    return _bar_in(notebook) if notebook is not None else _lines(stream)


@contextmanager
def _bars(stream: TextIO) -> Iterator[Listener]:
    """Show bars in a terminal, which are gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, Any] = {}
    began: dict[str, float] = {}
    with Bars(*columns, console=Console(file=stream), transient=True) as bars:

        def update(stage: str, done: int, total: int) -> None:
            if time.monotonic() - began.setdefault(stage, time.monotonic()) < PATIENCE_SECONDS:
                return
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update


@contextmanager
def _lines(stream: TextIO, seconds: float = SECONDS_BETWEEN_LINES) -> Iterator[Listener]:
    """Write a line every so many seconds, for the logs of work that nobody watches; short work writes none."""
    progress, over = ProgressLine(), threading.Event()

    def write() -> None:
        while not over.wait(seconds):
            with suppress(OSError, ValueError):  # whoever reads may be gone, and the work goes on
                stream.write(f"{progress.line(time.monotonic())}\n")
                stream.flush()

    writer = threading.Thread(target=write, name="featx progress", daemon=True)
    writer.start()
    try:
        yield progress.update
    finally:
        over.set()
        writer.join()


def _notebook() -> Any:
    """Return IPython's displays if this is a notebook, which runs in a kernel; None elsewhere."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    if running is None or not hasattr(running, "kernel"):
        return None
    from IPython import display

    return display


@contextmanager
def _bar_in(display: Any) -> Iterator[Listener]:
    """Show a bar in a notebook, which is gone at the end."""
    progress, shown = ProgressLine(), 0.0
    handle = display.display(display.HTML(""), display_id=True)

    def update(stage: str, done: int, total: int) -> None:
        nonlocal shown
        progress.update(stage, done, total)
        if time.monotonic() - shown >= PATIENCE_SECONDS:
            shown = time.monotonic()
            bar = f'<progress max="{total}" value="{done}"></progress>'
            handle.update(display.HTML(f"{bar} {html.escape(progress.line(shown))}"))

    try:
        yield update
    finally:
        handle.update(display.HTML(""))


class ProgressLine:
    """How far work is and how fast it goes, in words."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stage = ""
        self._stage_began = self._began
        self._first = self._done = self._total = 0

    def update(self, stage: str, done: int, total: int) -> None:
        """Take note of progress."""
        if stage != self._stage or done < self._done:
            self._stage, self._stage_began, self._first = stage, time.monotonic(), done
        self._done, self._total = done, total

    def line(self, now: float) -> str:
        """Return `decoding: 1,240 of 30,000, 21.3/s, 22 min 30 s left` at a time of the monotonic clock."""
        stage, done, total = self._stage, self._done, self._total
        if not stage or done >= total:
            return f"working for {_rounded(now - self._began)}"
        line = f"{stage}: {count(done)} of {count(total)}"
        rate = (done - self._first) / max(now - self._stage_began, 1e-9)
        if rate <= 0:
            return f"{line}, for {_rounded(now - self._stage_began)}"
        pace = f"{rate:.3g}/s" if rate >= 0.1 else f"{_rounded(1 / rate)} each"
        return f"{line}, {pace}, {_rounded((total - done) / rate)} left"


def _rounded(seconds: float) -> str:
    """Return a time without parts of a second."""
    return f"{seconds:.0f} s" if seconds < 120 else duration(seconds)
