"""Keep pydicom quiet while featx reads a file, in one thread and not in others."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_quiet = ContextVar("featx_dicom_quiet", default=False)
_lock = threading.Lock()
_LOGGERS = ("pydicom", "pydicom.pixels.decoders.base", "pydicom.pixels.utils")


class _Warnings:
    """What pydicom takes for the module `warnings`: silent where featx works, the same as ever elsewhere.

    pydicom warns of each odd value, and quotes it, which could be a name. `warnings.catch_warnings` is of no use: it
    changes the filters of the whole process, and images are decoded in many threads.
    """

    def warn(
        self, message: Warning | str, category: type[Warning] | None = None, stacklevel: int = 1, **options: Any
    ) -> None:
        if not _quiet.get():
            warnings.warn(message, category, stacklevel + 1, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)


def _is_wanted(record: logging.LogRecord) -> bool:
    return not _quiet.get()


def _prepare() -> None:
    """Let pydicom ask whether it may speak."""
    from pydicom import misc  # all of its warnings go through a function of this module

    with _lock:
        if isinstance(vars(misc).get("warnings"), _Warnings):
            return
        vars(misc)["warnings"] = _Warnings()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_is_wanted)


@contextmanager
def quiet() -> Iterator[None]:
    """Let pydicom neither warn nor log in this block, in this thread.

    Raises:
        ImportError: pydicom is not installed.
    """
    _prepare()
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
