"""The archives that were read last, kept open: their lists of members take long to read."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from featx.archives.archive import LARGEST, Archive, broken
from featx.files import open_file

_POINTER = b"version https://git-lfs.github.com/spec/"
KEPT = 64  # archives; each has an open file

_archives: OrderedDict[Path, tuple[tuple[int, ...], Archive]] = OrderedDict()
_names: dict[str, Path] = {}  # to tell members' paths from others without looking at the disk
_lock = threading.Lock()
_opening = threading.Lock()  # else several threads would read the same list of members


def opened(path: Path) -> Archive:
    """Return an open archive; one that has changed since it was opened is opened again."""
    path = path.absolute()
    state = _state(path)
    if (there := _kept(path, state)) is not None:
        return there
    with _opening:
        if (there := _kept(path, state)) is not None:
            return there
        archive = _open(path)
        with _lock:
            _archives[path] = (state, archive)
            _names[str(path)] = path
            while len(_archives) > KEPT:
                _names.pop(str(_archives.popitem(last=False)[0]), None)
        return archive


def open_at(path: str) -> Path | None:
    """Return the archive that was read before at an absolute path; None if there was none."""
    return _names.get(path)


def _state(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev, os.getpid()


def _kept(path: Path, state: tuple[int, ...]) -> Archive | None:
    with _lock:
        before, archive = _archives.get(path, ((), None))
        if before != state:
            return None
        _archives.move_to_end(path)
        return archive


def _open(path: Path) -> Archive:
    try:
        return _open_by_ending(path)
    except OSError:
        if _is_pointer(path):
            raise broken(path, "it is what Git LFS has in place of the file; run git lfs pull") from None
        raise


def _is_pointer(path: Path) -> bool:
    """Whether a file has the text that stands for a large file in a clone without such files."""
    with suppress(OSError), open_file(path, LARGEST) as file:
        return file.read(len(_POINTER)) == _POINTER
    return False


def _open_by_ending(path: Path) -> Archive:
    ending = path.suffix.lower()
    if ending == ".zip":
        from featx.archives.zips import ZipArchive

        return ZipArchive(path)
    if ending == ".tar":
        from featx.archives.tars import TarArchive

        return TarArchive(path)
    if ending == ".arrow":
        from featx.archives.arrow_tables import ArrowTable

        return ArrowTable(path)
    from featx.archives.parquet_tables import ParquetTable

    return ParquetTable(path)
