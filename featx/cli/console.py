"""How commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import typer

from featx.cli import streams
from featx.errors import FeatxError, UnwrittenError

T = TypeVar("T")
# Columns of a table in a file or pipe, where no line is broken.
PIPE_WIDTH = 10_000
# The exit code where some images were skipped.
SKIPPED = 3
INTERRUPTION = "Interrupted; finished rows are kept.\n"
TERMINATION = "Terminated; finished rows are kept.\n"


class _Lines(logging.Handler):
    """Notices as plain lines on standard error, each once."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else "Note: "
        line = f"{prefix}{record.getMessage()}\n"
        if line not in self._shown:
            self._shown.add(line)
            streams.complain(line)


def start(*, quiet: bool, debug: bool) -> None:
    """Prepare a command: its notices, and what is shown of an error that nobody expected."""
    from featx.images import silence_libtiff
    from featx.machine import provide_folders, provide_home
    from featx.networks import quieten

    log = logging.getLogger("featx")
    log.handlers = [_Lines()]
    log.propagate = False
    log.setLevel(logging.ERROR if quiet else logging.INFO)
    State.debug = debug
    _obey_termination()
    provide_home()
    provide_folders()
    if debug:
        sys.excepthook = sys.__excepthook__
    else:
        quieten()
        silence_libtiff()
        _hush_libraries()
        sys.excepthook = one_line
        sys.unraisablehook = _nothing
        threading.excepthook = _one_line_of_thread


def _hush_libraries() -> None:
    """Send what libraries warn of to logs that nobody shows; what matters to users is a notice of featx's own."""
    logging.captureWarnings(True)
    root = logging.getLogger()
    if not root.handlers:  # Python itself shows messages that have no handler, and TensorFlow adds one of its own
        root.addHandler(logging.NullHandler())


class State:
    """What the entry point must know of the command's options, and of its end."""

    debug = False
    terminated = False


def _obey_termination() -> None:
    """End at SIGTERM, which batch systems send before they kill, in order, as at Ctrl-C."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: Any) -> None:
    State.terminated = True
    raise KeyboardInterrupt


def one_line(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Show an error that nobody expected as `sys.excepthook`."""
    if issubclass(kind, KeyboardInterrupt):
        streams.complain(INTERRUPTION)
        return
    text = " ".join(str(error).split()) or kind.__name__
    streams.complain(
        f"featx came upon something it did not expect ({kind.__name__}: {text}); run the command again with --debug "
        "for the traceback, and please report it. What was computed is kept.\n"
    )


def _one_line_of_thread(failed: threading.ExceptHookArgs) -> None:
    if not issubclass(failed.exc_type, SystemExit) and failed.exc_value is not None:
        one_line(failed.exc_type, failed.exc_value, failed.exc_traceback)


def _nothing(ignored: sys.UnraisableHookArgs) -> None:
    """Show nothing of an error that Python itself ignores, in the end of an object of a library."""


@dataclass(frozen=True)
class Result:
    """What a command ends with.

    Attributes:
        document: Its JSON, an object or a list of them; images in a list `failed` of an object, each with path and
            reason, were skipped.
        show: Prints it for people.
        refusal: Raised after the result is printed, which cannot be trusted.
    """

    document: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    show: Callable[[], None]
    refusal: FeatxError | None = None


def unless_unwritten(verb: Callable[[], T]) -> tuple[T, FeatxError | None]:
    """Return the result of a verb, also if its files cannot be written, and the error for `Result.refusal` then."""
    try:
        return verb(), None
    except UnwrittenError as error:
        return error.result, error


def finish(result: Result, *, json: bool) -> None:
    """Print a result as JSON or for people, name the images that were skipped, and exit with 3 if there are any."""
    failed = result.document.get("failed") if isinstance(result.document, Mapping) else None
    # A reproduction has reasons by stage there, which are in its refusal.
    skipped = failed if isinstance(failed, list) else []
    if json:
        print_json(result.document)
    else:
        result.show()
        if skipped:
            print_lines([f"{len(skipped)} skipped:", *(f"  {row['path']}: {row['reason']}" for row in skipped)])
    if result.refusal is not None:
        raise result.refusal
    if skipped:
        raise typer.Exit(SKIPPED)


def print_json(document: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print one JSON document on standard output; all readers get it right, so in other encodings it is ASCII."""
    from featx.files import finite

    text = json.dumps(finite(document), ensure_ascii=False, allow_nan=False)
    if not streams.takes(text):
        text = json.dumps(finite(document), allow_nan=False)
    streams.write(f"{text}\n")


def print_lines(lines: Sequence[str]) -> None:
    """Print text for people on standard output."""
    streams.write("".join(f"{line}\n" for line in lines))


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Print a table for people on standard output: first column left, the others as they come."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*map(streams.shown, header), show_header=bool(header), box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(streams.shown, row))
    # In a file or pipe, each row is a line, for other programs.
    fixed = sys.stdout.isatty() or "COLUMNS" in os.environ
    terminal = Console(highlight=False, markup=False, width=None if fixed else PIPE_WIDTH)
    with terminal.capture() as drawn:
        terminal.print(table)
    streams.write(drawn.get())


@contextmanager
def progress(*, quiet: bool) -> Iterator[None]:
    """Show on standard error how far the work in this block is: bars in a terminal, elsewhere a line at times."""
    from featx.progress import listening

    with listening(None if quiet else True):
        yield
