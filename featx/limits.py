"""Whether work is too much for this machine: its disk, its memory, a day.

Such work stops with an error before it begins, or once its pace is known, unless a verb's argument `yes` permits it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from featx.errors import ResourcesError
from featx.machine import available_memory, gpu_memory

# Less memory and disk than this is there, or missed by the work itself; it need not be looked up.
LITTLE_MEMORY = 2**28
LITTLE_DISK = 2**24
# Work that would take longer than a day stops. Its pace is measured over this many seconds, or a step that is longer.
LONGEST_SECONDS = 24 * 3600.0
MEASURED_SECONDS = 10.0
PERMIT = "or do it all the same with --yes"

_permitted: ContextVar[bool] = ContextVar("featx_permitted", default=False)


def permitted() -> bool:
    """Tell whether work is permitted that is estimated to be too much for this machine."""
    return _permitted.get()


@contextmanager
def permitting(yes: bool) -> Iterator[None]:
    """Permit all work in this block; False leaves it as it is."""
    token = _permitted.set(yes or permitted())
    try:
        yield
    finally:
        _permitted.reset(token)


def check_memory(needed: int, what: str, advice: str, *, on_gpu: bool = False) -> None:
    """Check that work fits into the free memory, or into a GPU's if it runs there.

    Args:
        needed: Bytes that the work takes, a lower bound: what is refused would not have been possible.
        what: The work, such as `training the head`.
        advice: What makes it smaller, such as `lower --batch-size`.
        on_gpu: Whether a GPU does the work.

    Raises:
        ResourcesError: It does not fit, and is not permitted.
    """
    if needed < LITTLE_MEMORY or permitted():
        return
    there = max(available_memory(), gpu_memory() if on_gpu else 0)
    if needed > there:
        raise ResourcesError(
            f"Expected work that fits into the free memory of {bytes_in_words(there)}, but {what} takes about "
            f"{bytes_in_words(needed)}; {advice}, {PERMIT}."
        )


def check_disk(needed: int, folder: Path, what: str, advice: str) -> None:
    """Check that what work writes into a folder fits onto its disk; for the arguments see `check_memory`.

    Raises:
        ResourcesError: It does not fit, and is not permitted.
    """
    if needed < LITTLE_DISK or permitted():
        return
    free = _free_bytes(folder)
    # Other files grow in the meantime, and a file system keeps some space for itself.
    if free is not None and needed > free - free // 20:
        raise ResourcesError(
            f"Expected work that fits onto the disk of {folder}, which has {bytes_in_words(free)} free, but {what} "
            f"takes about {bytes_in_words(needed)}; {advice}, {PERMIT}."
        )


class Rate:
    """Estimates how long the rest of work takes, once, when enough of it is done.

    Args:
        total: How many steps there are.
        seconds: The time, after the first step, over which the work is measured.
    """

    def __init__(self, total: int, seconds: float) -> None:
        self._left = total
        self._seconds = seconds
        self._measured = 0
        self._start: float | None = None
        self._estimated = False

    def step(self, steps: int = 1) -> int | None:
        """Count steps that are done; return the seconds that the others take, once they are known, else None."""
        self._left -= steps
        if self._start is None:
            # Before its first step, work compiles and loads.
            self._start = time.monotonic()
            return None
        self._measured += steps
        elapsed = time.monotonic() - self._start
        # Once: later, a computer that slept would seem slow, and more than seconds of work would be lost.
        if self._estimated or elapsed < self._seconds:
            return None
        self._estimated = True
        # In whole microseconds, as no float holds every number of steps.
        return self._left * int(elapsed / self._measured * 1e6) // 10**6


class Pace:
    """Stops work that would take more than a day, once its pace is measured, and before much of it is done.

    Args:
        total: How many steps there are.
        what: The work, such as `training`.
        advice: What makes it shorter, such as `lower --epochs`.
    """

    def __init__(self, total: int, what: str, advice: str) -> None:
        self._rate = Rate(total, MEASURED_SECONDS)
        self._words = what, advice

    def step(self) -> None:
        """Count a step that is done.

        Raises:
            ResourcesError: The steps that are left would take more than a day, and that is not permitted.
        """
        left = self._rate.step()
        if left is not None and left > LONGEST_SECONDS and not permitted():
            what, advice = self._words
            raise ResourcesError(
                f"Expected work that is done within a day, but at its pace {what} takes about "
                f"{time_in_words(left)}; {advice}, {PERMIT}."
            )


def bytes_in_words(n: int) -> str:
    """Return a number of bytes, of any size, such as `1.5 GB`."""
    if n >= 10**21:  # a float holds no number of 400 digits
        return "1,000 EB or more"
    power = max((len(str(n)) - 1) // 3, 1)
    return f"{n / 1000**power:,.1f} {('kB', 'MB', 'GB', 'TB', 'PB', 'EB')[power - 1]}"


def time_in_words(seconds: int) -> str:
    """Return a time of hours or more, of any length, such as `30 hours`, `12 days`, `3 years`."""
    days = seconds // 86400
    if days < 3:
        return f"{seconds // 3600} hours"
    if days < 1000:
        return f"{days} days"
    return f"{days // 365:,} years" if days < 365 * 10**6 else "millions of years"


def _free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk on which a folder is or would be made; None if it cannot be known."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None
