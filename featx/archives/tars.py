"""Tar archives, not compressed, read by the places of their members."""

from __future__ import annotations

import tarfile
from array import array
from collections.abc import Collection
from pathlib import Path

from featx.archives.archive import LARGEST, Archive, OpenFile, broken, plain_name, too_large
from featx.errors import reason_of
from featx.files import open_file

_DAMAGE = (tarfile.TarError, ValueError, OverflowError, EOFError)
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
                raise broken(path, f"it is compressed; unpack it with {tool}, and keep its members in it")
        try:
            with open_file(path, LARGEST) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                while (info := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # else all that is known of a member would stay in memory
                    self._add(info)
                end = archive.offset
        except _DAMAGE as error:
            raise broken(path, f"it is damaged, cut short or no tar archive: {reason_of(error)}") from error
        # tarfile takes a damaged header for the end.
        if self._file.read_at(end, 512).strip(b"\0"):
            raise broken(path, f"it is damaged or cut short at byte {end:,}")

    def _add(self, info: tarfile.TarInfo) -> None:
        if info.isdir():
            return
        name = plain_name(info.name)
        if name is None:
            self.leave_out("names that lead out of the archive", info.name)
        elif info.issym() or info.islnk():
            self.leave_out("links", name)
        elif not info.isreg() or info.issparse():
            self.leave_out("sparse files and devices", name)
        elif info.offset_data + info.size > self._file.size:
            raise broken(self.path, f"it is cut short within {name}")
        else:
            if name in self._numbers:
                self.leave_out("names that are there twice, of which the last is taken", name)
            self._numbers[name] = len(self._offsets)
            self._offsets.append(info.offset_data)
            self._sizes.append(info.size)
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
