"""The stat cache: SHA-256 of image files that were read before, so that unchanged files are not read again.

An entry is used only if the file's state is the one it was read in, and that state is old enough to show any change
(`tells_of_changes`). In all other cases the file is read. So without the entries, or where the database cannot be
used, the results are the same and only take longer. The state of an image in an archive is that of the archive.

`<root>/stat-cache/<host>.sqlite` is one SQLite database for each computer, because SQLite cannot be shared between
computers over a network file system.
"""

from __future__ import annotations

import logging
import os
import platform
import sqlite3
import stat
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from featx.archives import archive_of
from featx.dicom import is_hidden, split_frame
from featx.digests import sha256
from featx.files import is_file, size

FOLDER = "stat-cache"

SUPPORTED = os.name == "posix"  # elsewhere ctime is the time at which a file was made, not that of its last change
RULE = 2  # raised by hand whenever some files get other digests; databases of other rules are like other computers'
SETTLED_NS = 2 * 10**9  # how old a file's times must be: the coarsest times in use count in steps of two seconds
WAIT_SECONDS = 5.0  # for another process that is writing the database
LAYOUT = (
    "CREATE TABLE files (path BLOB PRIMARY KEY, state TEXT NOT NULL, sha256 BLOB NOT NULL, crc32 INTEGER NOT NULL) "
    "WITHOUT ROWID"
)
_SAVE = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM files WHERE path = ?"

OUTDATED_SECONDS = 90 * 86400  # after which without a change another computer's database counts as not used any more
_TOGETHER = 500  # paths in one query; SQLite before 3.32 takes at most 999
log = logging.getLogger("featx")
T = TypeVar("T")


class FileState(NamedTuple):
    """A regular file as `os.stat` describes it: size in bytes, times in nanoseconds since 1970, and where it is."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def now_ns() -> int:
    """Nanoseconds since 1970, by the clock that file systems use too."""
    return time.time_ns()


def state_of(path: Path) -> FileState | None:
    """The state of a file, or of the file that a link leads to; None if it is no regular file or may not be read.

    The file is opened, because a network file system then asks its server instead of answering from a state that
    is some seconds old. A file that may not be read must fail as it would without the stat cache.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None  # opening a pipe or a device may do something to it
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(handle)
    finally:
        os.close(handle)
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def tells_of_changes(state: FileState, now: int) -> bool:
    """Whether any later change to the file's content gives it another state.

    git's index knows unchanged files by the same rule (see `racy-git.txt` in git's documentation), with the ctime
    beside the mtime, because a program can set a file's mtime but not its ctime. The rule does not hold

    - if a time is too recent: a change within the same tick of the clock would leave it as it is;
    - if a time is in the future: the clock was set back and may come to the same time again;
    - on FAT and exFAT, which keep no ctime: there it equals the mtime, in steps of 10 ms or more.

    `state` is that at `now` (nanoseconds since 1970, taken before the content was read) or later.
    """
    if state.ctime_ns == state.mtime_ns and state.ctime_ns % 10**7 == 0:
        return False
    return max(state.mtime_ns, state.ctime_ns) <= now - SETTLED_NS


class StatCache:
    """The stat cache of a cache folder, on this computer. Making one touches no disk.

    Several threads may ask for digests at once. No method fails because of the database: where it is locked,
    damaged or read-only, or the disk is full, files are read. A damaged database is removed, with a warning.

    Args:
        root: The cache's folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._path = self._folder / f"{sha256(b'%d ' % RULE + os.fsencode(platform.node()))[:16]}.sqlite"
        self._loaded: dict[bytes, tuple[str, bytes]] = {}
        self._learned: dict[bytes, tuple[str, bytes]] = {}
        self._archives: dict[Path, str | None] = {}
        self._members: dict[Path, dict[bytes, bytes]] = {}
        self._damaged = False

    def load(self, paths: Sequence[Path]) -> None:
        """Look up the entries of files (absolute paths) all at once, for `digest` to use."""
        self._archives = {}  # their states count from now on
        if SUPPORTED:
            self._loaded = self._use(lambda database: _read(database, [os.fsencode(path) for path in paths]), {})

    def digest(self, path: Path, read: Callable[[], str], *, alias: Path | None = None) -> str:
        """The SHA-256 of a file: from its entry if that is certain to be right, otherwise by reading the file.

        Args:
            path: Absolute.
            read: Reads the file and returns its SHA-256, 64 hexadecimal digits. Its errors are raised.
            alias: The path under which its entry is kept and was loaded, if its own would name a patient.
        """
        if not SUPPORTED:
            return read()
        if (archive := _archive_of(path)) is not None:
            return self._digest_in(archive, alias or path, read)
        now = now_ns()
        state = state_of(path)
        if state is None or not tells_of_changes(state, now):
            return read()
        key, text = os.fsencode(alias or path), _text(state)
        loaded_state, loaded_digest = self._loaded.get(key, ("", b""))
        if loaded_state == text:
            return loaded_digest.hex()
        digest = read()
        if state_of(path) == state:
            self._learned[key] = (text, bytes.fromhex(digest))
        return digest

    def _digest_in(self, archive: Path, path: Path, read: Callable[[], str]) -> str:
        """The SHA-256 of an image in an archive, see `digest`; the archive is looked at once after each `load`."""
        if archive not in self._archives:
            self._archives.setdefault(archive, _settled_state(archive))  # another thread may have been quicker
        text, key = self._archives[archive], os.fsencode(path)
        loaded_state, loaded_digest = self._loaded.get(key, ("", b""))
        if text is not None and loaded_state == text:
            return loaded_digest.hex()
        digest = read()
        if text is not None:
            self._members.setdefault(archive, {})[key] = bytes.fromhex(digest)
        return digest

    def _learn_members(self) -> None:
        """Take in the members of archives that are still as they were before their members were read."""
        members, self._members = self._members, {}
        for archive, digests in members.items():
            text = self._archives.get(archive)
            if text is not None and text == _settled_state(archive):
                self._learned.update((key, (text, digest)) for key, digest in digests.items())

    def save(self) -> None:
        """Write an entry for each file that was read since the last time."""
        self._learn_members()
        rows = [(path, *entry, _checksum(path, *entry)) for path, entry in self._learned.items()]
        self._learned = {}
        if rows:
            self._use(lambda database: _change(database, _SAVE, rows), None, create=True)

    def forget(self, path: Path) -> None:
        """Remove the entry of a file whose content turned out to be different."""
        self._use(lambda database: _change(database, _DELETE, [(os.fsencode(path),)]), None)

    def check(self) -> tuple[int, list[str]]:
        """Check every entry; returns their number, and the name of the database if it is damaged."""
        count = self._use(_check, 0)
        return count, [f"{FOLDER}/{self._path.name}"] if self._damaged else []

    def size(self) -> int:
        """Bytes on disk, with the databases of other computers."""
        return size(self._folder)

    def drop_gone(self, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove the entries of files that are gone; returns how many, and bytes freed (`dry_run`: an estimate)."""
        return self._use(lambda database: _drop_gone(database, self._path, dry_run), (0, 0))

    def outdated(self) -> list[Path]:
        """Databases of other computers that have not changed for `OUTDATED_SECONDS`."""
        latest = time.time() - OUTDATED_SECONDS
        others = set(self._folder.glob("*.sqlite")) - {self._path}
        return sorted(path for path in others if path.stat().st_mtime < latest)

    def _use(self, work: Callable[[sqlite3.Connection], T], default: T, *, create: bool = False) -> T:
        """The result of `work` on the database; the default if there is none or it cannot be used."""
        try:
            if create:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._path.touch()  # SQLite would make a file that nobody else may write, whatever the umask says
            elif not self._path.exists():
                return default
            with closing(sqlite3.connect(self._path, timeout=WAIT_SECONDS)) as database:
                return work(database) if _has_layout(database, create=create) else default
        except (OSError, sqlite3.Error) as error:
            log.debug("the stat cache %s is not used: %s", self._path, error)
            # For damage sqlite3 raises its base class, for what may pass, such as a lock, a class of its own.
            if type(error) is sqlite3.DatabaseError:
                self._remove_damaged()
        return default

    def _remove_damaged(self) -> None:
        if not self._damaged:
            log.warning("%s is damaged and is not used; the image files that it lists are read again", self._path)
        self._damaged = True
        with suppress(OSError):  # a cache that may only be read
            self._path.unlink()


def _has_layout(database: sqlite3.Connection, *, create: bool) -> bool:
    """Whether the database holds the table and nothing else, such as a view or a trigger."""
    if create:
        database.execute(LAYOUT.replace("TABLE", "TABLE IF NOT EXISTS", 1))
    layout = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master")]
    if layout not in ([], [LAYOUT]):
        raise sqlite3.DatabaseError("unexpected layout")
    return bool(layout)


def _read(database: sqlite3.Connection, paths: Sequence[bytes]) -> dict[bytes, tuple[str, bytes]]:
    """The state and SHA-256 of each of these files that has a sound entry."""
    entries = {}
    for start in range(0, len(paths), _TOGETHER):
        part = paths[start : start + _TOGETHER]
        marks = ", ".join("?" * len(part))
        for row in database.execute(f"SELECT * FROM files WHERE path IN ({marks})", part):  # noqa: S608
            if _is_sound(row):
                path, state, digest, _ = row
                entries[path] = (state, digest)
    return entries


def _change(database: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement for each row, in one transaction."""
    with database:
        database.executemany(statement, rows)


def _check(database: sqlite3.Connection) -> int:
    """Number of entries; raises `sqlite3.DatabaseError` if one of them or the file is damaged."""
    sound = [_is_sound(row) for row in database.execute("SELECT * FROM files")]
    if not all(sound) or database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("damaged")
    return len(sound)


def _drop_gone(database: sqlite3.Connection, file: Path, dry_run: bool) -> tuple[int, int]:
    states: dict[Path, str | None] = {}
    rows = list(database.execute("SELECT path, state FROM files"))
    gone = [path for path, state in rows if _is_gone(path, state, states)]
    before = size(file)
    if dry_run or not gone:
        return len(gone), before * len(gone) // max(len(rows), 1)
    _change(database, _DELETE, [(path,) for path in gone])
    database.execute("VACUUM")
    return len(gone), before - size(file)


def _is_sound(row: tuple[Any, ...]) -> bool:
    """Whether an entry is as it was written: SQLite itself does not notice a changed byte within a value."""
    path, state, digest, checksum = row
    typed = isinstance(path, bytes) and isinstance(state, str) and isinstance(digest, bytes) and len(digest) == 32
    return typed and bool(checksum == _checksum(path, state, digest))


def _checksum(path: bytes, state: str, digest: bytes) -> int:
    return zlib.crc32(b"%s %s %s" % (path, state.encode(), digest))


def _is_gone(name: bytes, state: str, states: dict[Path, str | None]) -> bool:
    """Whether a file is gone; of an archive, whether it is gone or another now, as its entries are of no use then.

    `states` has those of the archives that were looked at before.
    """
    path = _without_hidden_parts(Path(os.fsdecode(name)))
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        archive = _archive_of(path)
        if archive is None:
            return True
        if archive not in states:
            there = state_of(archive)
            states[archive] = there and _text(there)
        return state != states[archive]
    except (OSError, ValueError):  # it may be there
        return False
    return False


def _without_hidden_parts(path: Path) -> Path:
    """The folder in which the first part of a path is that is kept as a hash alone; the path if there is none."""
    hidden = (parent for parent in [*reversed(path.parents), path] if is_hidden(parent.name))
    return next((parent.parent for parent in hidden), path)


def _archive_of(path: Path) -> Path | None:
    """The file that an image is in, with others; None for one that is a file of its own."""
    if (there := archive_of(path)) is not None:
        return there[0]
    frame = split_frame(path)
    return frame[0] if frame is not None and is_file(frame[0]) else None


def _settled_state(archive: Path) -> str | None:
    """The state of an archive, None if a change to it might not be seen."""
    now = now_ns()
    state = state_of(archive)
    return _text(state) if state is not None and tells_of_changes(state, now) else None


def _text(state: FileState) -> str:
    return " ".join(map(str, state))
