"""What all archives have in common: an open file that many threads read, and the names of its members."""

from __future__ import annotations

import errno
import os
import re
import threading
import weakref
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

from featx.files import open_file

LARGEST = 2**50  # bytes of an archive, of which small parts are read
MAX_MEMBERS = 20_000_000
DEEPEST = 100  # folders above a member
_PLAIN = re.compile(r"(?:[^/\\\0.:][^/\\\0:]*/){0,99}[^/\\\0.:][^/\\\0:]*")  # what most names are like
_PART = 2**30  # bytes of one call of the system, which may read less than 2**31 at once


class OpenFile:
    """A file that is read at any place, by several threads at once; it is closed when nobody uses it any more."""

    def __init__(self, path: Path) -> None:
        self._file = open_file(path, LARGEST).detach()
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)
        self.size = os.fstat(self._file.fileno()).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from a place on, fewer only where the file ends."""
        parts = []
        while size > 0:
            part = self._read_part(offset, min(size, _PART))
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_part(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), size, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)


class Archive:
    """An archive that is open for reading, and the names of its members.

    Attributes:
        path: The file.
        left_out: What of it is no member that can be read, by the reason, such as `links`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: dict[str, list[str]] = {}

    @property
    def names(self) -> Collection[str]:
        """The names of the members, in the order of the archive."""
        raise NotImplementedError

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a member; raises OSError if that is not possible, or it has more than the limit."""
        raise NotImplementedError

    def start(self, name: str, size: int) -> bytes:
        """Return the first bytes of a member, fewer if it has fewer or is damaged; raises OSError as `read` does."""
        return self.read(name, LARGEST)[:size]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def children(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the files in a folder, which is "" for the whole archive."""
        here = self._tree.get("" if folder == "." else folder)
        if here is None:
            raise NotADirectoryError(errno.ENOTDIR, "it is no folder of the archive", str(self.path / folder))
        return sorted(here[0]), here[1]

    @cached_property
    def _tree(self) -> dict[str, tuple[set[str], list[str]]]:
        """The folders and files in each folder, by its name."""
        tree: dict[str, tuple[set[str], list[str]]] = {"": (set(), [])}
        for name in self.names:
            folder, _, file = name.rpartition("/")
            if folder not in tree:
                self._grow(tree, folder)
            tree[folder][1].append(file)
        return tree

    @staticmethod
    def _grow(tree: dict[str, tuple[set[str], list[str]]], folder: str) -> None:
        """Add a folder, and those above it."""
        missing = []
        while folder not in tree:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for each in reversed(missing):
            above, _, own = each.rpartition("/")
            tree[above][0].add(own)
            tree[each] = (set(), [])

    def leave_out(self, reason: str, name: str) -> None:
        """Note that a member cannot be read."""
        self.left_out.setdefault(reason, []).append(name)

    def check_number(self, members: int) -> None:
        """Refuse more members than `MAX_MEMBERS`."""
        if members > MAX_MEMBERS:
            raise broken(self.path, f"it has more than {MAX_MEMBERS:,} members; divide it into several archives")


def broken(path: Path | str, reason: str) -> OSError:
    """The error for an archive or a member that cannot be read."""
    return OSError(errno.EINVAL, reason, str(path))


def too_large(path: Path, name: str, size: int, limit: int) -> OSError:
    """The error for a member that is larger than a limit."""
    sizes = f"{size / 2**20:,.1f} MiB, more than the limit of {limit / 2**20:,.0f} MiB"
    return OSError(errno.EFBIG, f"it has {sizes}", str(path / name))


def plain_name(name: str) -> str | None:
    """Return a member's name as a path has it; None if it leads out of the archive or is no name of a file."""
    if _PLAIN.fullmatch(name):
        return name
    if "\\" in name and "/" not in name:  # of a program for Windows that did not keep to the format
        name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or len(parts) > DEEPEST or ".." in parts or "\0" in name:
        return None
    return None if re.fullmatch("[A-Za-z]:", parts[0]) else "/".join(parts)
