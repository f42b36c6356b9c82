"""How far work is: whoever listens is told, without a callback in every signature on the way.

A verb's caller listens; what does the work reports. In between nobody knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeAlias, TypeVar, cast

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

P = ParamSpec("P")
R = TypeVar("R")

_listener: ContextVar[Progress | None] = ContextVar("featx_progress", default=None)


def report_progress(stage: str, done: int, total: int) -> None:
    """Tell the listener, if there is one in this thread, how far the work is."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)


def nobody(stage: str, done: int, total: int) -> None:
    """Listen to work without showing it."""


@contextmanager
def listening(progress: Progress | None) -> Iterator[None]:
    """Let `progress` be told of the work in this block; with None, whoever listens already still does."""
    if progress is None:
        yield
        return
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def reports_progress(verb: Callable[P, R]) -> Callable[P, R]:
    """Let the argument `progress` of a verb be told of all the work that the verb does."""

    @wraps(verb)
    def listened_to(*args: P.args, **kwargs: P.kwargs) -> R:
        with listening(cast("Progress | None", kwargs.get("progress"))):
            return verb(*args, **kwargs)

    return listened_to
