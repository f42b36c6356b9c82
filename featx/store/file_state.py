"""What the file system says of a file, and whether that would tell of a change to its content.

This is the rule by which git's index knows unchanged files (git's `Documentation/technical/racy-git.txt`), with
the times of change of the inode beside those of the content: a program can set a file's mtime, but not its ctime.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import NamedTuple

SUPPORTED = os.name == "posix"
"""Whether ctime is the time of the last change; elsewhere it is that of the file's making."""

SETTLED_NS = 2 * 10**9
"""How old a file's times must be, in nanoseconds: the coarsest times that are in use count in two seconds."""

_COARSE_NS = 10**7
_UNSIGNED = 2**64 - 1


class FileState(NamedTuple):
    """A regular file as `os.stat` describes it.

    Attributes:
        size: Bytes.
        mtime_ns: When its content was last changed, or so it was set; nanoseconds since 1970.
        ctime_ns: When its content or anything else about it was last changed; nanoseconds since 1970.
        inode: Its number within the device.
        device: The number of the device it is on.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def now_ns() -> int:
    """Nanoseconds since 1970 by the clock that file systems use too."""
    return time.time_ns()


def state_of(path: Path) -> FileState | None:
    """The state of a file, or of the one that a link leads to; None if it is no regular file or may not be read.

    The file is opened: a network file system then asks the server, and does not answer from what it knew
    some seconds ago; and of a file that may not be read, nothing is known.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None  # opening a pipe or a device may do something to it
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    inode, device = found.st_ino & _UNSIGNED, found.st_dev & _UNSIGNED
    return FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns, inode, device)


def tells_of_changes(state: FileState, now: int) -> bool:
    """Whether any change to the file's content from `now` on would give it another state.

    Not so if one of its times is too near: a change within the same tick of the clock would leave it as it is.
    Nor if it lies in the future, for the clock has then been set back and may come to the same time again. Nor
    on FAT and exFAT, which keep no ctime: there it is always the mtime, in steps of 10 ms or more.

    Args:
        state: As it was found at `now` or later.
        now: Nanoseconds since 1970, taken before the content was read.
    """
    if state.ctime_ns == state.mtime_ns and state.ctime_ns % _COARSE_NS == 0:
        return False
    return max(state.mtime_ns, state.ctime_ns) <= now - SETTLED_NS
