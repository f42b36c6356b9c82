"""Turns: processes that share a cache compute one after the other, so that no two compute the same row.

Nothing depends on it. Rows that two processes computed at once would be right as well, only paid for twice; where
the system or the file system has no locks, that is what happens. A process that ends in any way gives its turn up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = "turn.lock"
WAIT_SECONDS = 0.05


@contextmanager
def turn(root: Path) -> Iterator[None]:
    """Hold a cache's turn for the length of a block; waits until it is free.

    Args:
        root: The cache's folder, made if it does not exist. An empty file in it, which stays, carries the lock.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / LOCK).open("ab")
    except OSError:  # who writes rows there will say what is wrong
        yield
        return
    with file:  # closing it gives the turn up
        _wait_for(file)
        yield


def _wait_for(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(WAIT_SECONDS)  # and not in the call, which an interrupt would not end
        except OSError:  # a file system without locks
            return
        else:
            return
