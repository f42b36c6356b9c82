"""Tar archives, not compressed, read by the places of their members."""

from __future__ import annotations

import io
import tarfile
from array import array
from collections.abc import Collection
from pathlib import Path

from featx.archives.archive import LARGEST, Archive, OpenFile, broken, plain_name, too_large
from featx.errors import reason_of
from featx.files import open_file

# RecursionError: tarfile follows headers that describe headers, thousands of them in a hostile file.
_DAMAGE = (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError)
BLOCK = 512
_PACKED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


class TarArchive(Archive):
    """A tar archive; a member that is there several times counts as it is there last."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = OpenFile(path)
        self._numbers: dict[str, int] = {}
        self._offsets, self._sizes = array("q"), array("q")
        head = self._file.read_at(0, 6)
        for start, tool in _PACKED.items():
            if head.startswith(start):
                raise broken(path, f"it is compressed as a whole; decompress it with {tool}")
        try:
            with open_file(path, LARGEST) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                end = self._list(archive, file)
        except _DAMAGE as error:
            raise broken(path, f"it is damaged, cut short or no tar archive: {reason_of(error)}") from error
        # tarfile takes a damaged header for the end.
        if self._file.read_at(end, BLOCK).strip(b"\0"):
            raise broken(path, f"it is damaged or cut short at byte {end:,}")

    def _list(self, archive: tarfile.TarFile, file: io.BufferedReader) -> int:
        """Take in all members; returns where they end."""
        offset, archive.firstmember = 0, None  # type: ignore[attr-defined]
        while True:
            plain = None if archive.pax_headers else _plain_member(self._file.read_at(offset, BLOCK))
            if plain is not None:
                name, size = plain
                self._keep(plain_name(name), name, offset + BLOCK, size)
                offset += BLOCK * (1 + -(-size // BLOCK))
                continue
            archive.offset = offset
            file.seek(offset)
            info = archive.next()
            if info is None:
                return offset
            archive.members.clear()  # type: ignore[attr-defined]  # else all that is known of it would stay in memory
            self._add(info)
            offset = int(archive.offset)

    def _add(self, info: tarfile.TarInfo) -> None:
        if info.isdir():
            return
        name = plain_name(info.name)
        if name is not None and (info.issym() or info.islnk()):
            self.leave_out("links", name)
        elif name is not None and (not info.isreg() or info.issparse()):
            self.leave_out("sparse files and devices", name)
        else:
            self._keep(name, info.name, info.offset_data, info.size)

    def _keep(self, name: str | None, written: str, offset: int, size: int) -> None:
        """Take in a regular file; `name` is what a path has instead of the name as it is written."""
        if name is None:
            self.leave_out("names that lead out of the archive", written)
            return
        if offset + size > self._file.size:
            raise broken(self.path, f"it is cut short within {name}")
        if name in self._numbers:
            self.leave_out("names that are there twice, of which the last is taken", name)
        self._numbers[name] = len(self._offsets)
        self._offsets.append(offset)
        self._sizes.append(size)
        self.check_number(len(self._offsets))

    @property
    def names(self) -> Collection[str]:
        """The names of the members, in the order of the archive."""
        return self._numbers.keys()

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a member; raises OSError if that is not possible, or it has more than the limit."""
        number = self._numbers.get(name)
        if number is None:
            raise FileNotFoundError(str(self.path / name))
        size = self._sizes[number]
        if size > limit:
            raise too_large(self.path, name, size, limit)
        data = self._file.read_at(self._offsets[number], size)
        if len(data) < size:
            raise broken(self.path / name, "it is cut short in the tar archive")
        return data

    def start(self, name: str, size: int) -> bytes:
        """Return the first bytes of a member, fewer if it has fewer; raises FileNotFoundError if there is none."""
        number = self._numbers.get(name)
        if number is None:
            raise FileNotFoundError(str(self.path / name))
        return self._file.read_at(self._offsets[number], min(size, self._sizes[number]))


def _plain_member(header: bytes) -> tuple[str, int] | None:
    """The name and size of a regular file whose header says all of it (POSIX.1-1988); None for all others.

    tarfile reads every kind of header, but takes several times as long, and shards have millions.
    """
    if len(header) < BLOCK or header[156:157] != b"0" or header[257:262] != b"ustar" or header[99:100] != b"\0":
        return None
    try:
        size, checksum = int(header[124:135], 8), int(header[148:154], 8)
    except ValueError:
        return None
    name = header[:100].rstrip(b"\0")
    if header[262:263] == b"\0" and header[345:346] != b"\0":
        name = header[345:500].rstrip(b"\0") + b"/" + name
    is_plain = name and not name.endswith(b"/") and b"\0" not in name and size >= 0
    # The checksum counts its own field as eight spaces.
    if not is_plain or sum(header) - sum(header[148:156]) + 256 != checksum:
        return None
    return name.decode("utf-8", "surrogateescape"), size
