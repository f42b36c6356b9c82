"""How far work is: reported where it is done, shown by whoever listens, with no parameter in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeAlias, TypeVar, cast

from featx.arguments import checks_arguments
from featx.limits import permitting

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

P = ParamSpec("P")
R = TypeVar("R")

_listener: ContextVar[Progress | None] = ContextVar("featx_progress", default=None)


def report_progress(stage: str, done: int, total: int) -> None:
    """Report progress to the listener, if there is one in this thread."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)


def nobody(stage: str, done: int, total: int) -> None:
    """Listen to work without showing it."""


@contextmanager
def listening(progress: Progress | None) -> Iterator[None]:
    """Report the work in this block to `progress`; None leaves the listener as it is."""
    token = _listener.set(progress or _listener.get())
    try:
        yield
    finally:
        _listener.reset(token)


def reports_progress(verb: Callable[P, R]) -> Callable[P, R]:
    """Report all the work that a verb does to its argument `progress`; its argument `yes` permits any work.

    Arguments of wrong types are refused.
    """
    verb = checks_arguments(verb)

    @wraps(verb)
    def listened_to(*args: P.args, **kwargs: P.kwargs) -> R:
        with listening(cast("Progress | None", kwargs.get("progress"))), permitting(bool(kwargs.get("yes"))):
            return verb(*args, **kwargs)

    return listened_to
