"""How commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from featx.errors import FeatxError

# Work that is shorter than this shows no progress.
PATIENCE_SECONDS = 1.0
# The exit code where some images were skipped.
SKIPPED = 3


class _Lines(logging.Handler):
    """Notices as plain lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else "Note: "
        sys.stderr.write(f"{prefix}{record.getMessage()}\n")


def start(*, quiet: bool, debug: bool) -> None:
    """Prepare a command: its notices, and what is shown of an error that nobody expected."""
    from featx.networks import quieten

    log = logging.getLogger("featx")
    log.handlers = [_Lines()]
    log.propagate = False
    log.setLevel(logging.ERROR if quiet else logging.INFO)
    State.debug = debug
    if not debug:
        quieten()
        sys.excepthook = _one_line


class State:
    """What the entry point must know of the command's options."""

    debug = False


def _one_line(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    text = " ".join(str(error).split()) or kind.__name__
    sys.stderr.write(
        f"featx came upon something it did not expect ({kind.__name__}: {text}); run the command again with --debug "
        "for the traceback, and please report it. What was computed is kept.\n"
    )


@dataclass(frozen=True)
class Result:
    """What a command ends with.

    Attributes:
        document: Its JSON; images in a list `failed`, each with path and reason, were skipped.
        show: Prints it for people.
        refusal: Raised after the result is printed, which cannot be trusted.
    """

    document: Mapping[str, Any]
    show: Callable[[], None]
    refusal: FeatxError | None = None


def finish(result: Result, *, json: bool) -> None:
    """Print a result as JSON or for people, name the images that were skipped, and exit with 3 if there are any."""
    failed = result.document.get("failed")
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


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output."""
    from featx.files import finite

    sys.stdout.write(json.dumps(finite(document), ensure_ascii=False, allow_nan=False) + "\n")


def print_lines(lines: Sequence[str]) -> None:
    """Print text for people on standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Print a table for people on standard output: first column left, the others as they come."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, show_header=bool(header), box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[None]:
    """Draw bars on standard error of the work done in this block; none where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from featx.progress import listening

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, Any] = {}
    began: dict[str, float] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def update(stage: str, done: int, total: int) -> None:
            if time.monotonic() - began.setdefault(stage, time.monotonic()) < PATIENCE_SECONDS:
                return
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        with listening(update):
            yield
