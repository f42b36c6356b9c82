"""ZIP archives, read without unpacking (APPNOTE.TXT of PKWARE, sections 4.3 and 4.4)."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from featx.archives.archive import LARGEST, Archive, OpenFile, broken, plain_name, too_large
from featx.errors import reason_of
from featx.files import open_file

MAX_UNPACKED = 2**30  # bytes of a compressed member: few bytes of an archive can unpack to a thousand times as many
_LOCAL = struct.Struct("<4s5H3I2H")  # the header in front of each member
_ENCRYPTED = 0x1
_STORED, _DEFLATED = 0, 8
_SLACK = 2**12  # bytes that Deflate may need for its own tables before the first of a member
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, EOFError, struct.error)


class _Entry(NamedTuple):
    """A member as the list at the end of the archive describes it."""

    offset: int
    packed: int
    size: int
    method: int
    crc: int


class ZipArchive(Archive):
    """A ZIP archive whose members are stored or deflated."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = OpenFile(path)
        self._entries: dict[str, _Entry] = {}
        try:
            with open_file(path, LARGEST) as file, zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except _DAMAGE as error:
            raise broken(path, f"it is damaged or no ZIP archive: {reason_of(error)}") from error
        self.check_number(len(infos))
        encrypted = sum(bool(info.flag_bits & _ENCRYPTED) for info in infos)
        if encrypted:
            raise broken(path, f"it is encrypted, {encrypted} of {len(infos)} members; unpack it with its password")
        for info in infos:
            self._add(info)
        # Members that lie upon each other could unpack to millions of times the bytes of the archive.
        if sum(entry.packed for entry in self._entries.values()) > self._file.size:
            raise broken(path, "it is damaged: its members have more bytes than the archive")

    def _add(self, info: zipfile.ZipInfo) -> None:
        if info.filename.endswith("/"):  # `is_dir` stumbles over empty names
            return
        name = plain_name(info.filename)
        if name is None:
            self.leave_out("names that lead out of the archive", info.filename)
        elif stat.S_ISLNK(info.external_attr >> 16):
            self.leave_out("links", name)
        else:
            if name in self._entries:
                self.leave_out("names that are there twice, of which the last is taken", name)
            self._entries[name] = _Entry(
                info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
            )

    @property
    def names(self) -> Collection[str]:
        """The names of the members, in the order of the archive."""
        return self._entries.keys()

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a member; raises OSError if that is not possible, or it has more than the limit."""
        entry = self._entries.get(name)
        if entry is None:
            raise FileNotFoundError(str(self.path / name))
        if entry.method not in (_STORED, _DEFLATED):
            kind = _METHODS.get(entry.method, f"method {entry.method}")
            raise broken(self.path / name, f"it is compressed in the ZIP archive by {kind}, not by Deflate")
        limit = limit if entry.method == _STORED else min(limit, MAX_UNPACKED)
        if max(entry.size, entry.packed) > limit:
            raise too_large(self.path, name, max(entry.size, entry.packed), limit)
        data = self._unpacked(entry, self._packed(entry), entry.size + 1)
        if data is None or len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise broken(self.path / name, "it is damaged in the ZIP archive")
        return data

    def start(self, name: str, size: int) -> bytes:
        """Return the first bytes of a member, fewer if it has fewer or is damaged; raises OSError as `read` does."""
        entry = self._entries.get(name)
        if entry is None or entry.method not in (_STORED, _DEFLATED):
            return self.read(name, 0)  # which says why not
        size = min(size, entry.size)
        return (self._unpacked(entry, self._packed(entry, size + _SLACK), size) or b"")[:size]

    def _packed(self, entry: _Entry, most: int | None = None) -> bytes:
        header = self._file.read_at(entry.offset, _LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
            return b""
        *_, name, extra = _LOCAL.unpack(header)
        size = entry.packed if most is None else min(most, entry.packed)
        return self._file.read_at(entry.offset + _LOCAL.size + name + extra, size)

    @staticmethod
    def _unpacked(entry: _Entry, packed: bytes, most: int) -> bytes | None:
        """At most so many of the member's bytes; None if they are damaged."""
        if entry.method == _STORED:
            return packed
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
        except zlib.error:
            return None
