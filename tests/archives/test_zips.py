"""ZIP archives: what is read from them, and what is refused."""

from __future__ import annotations

import copy
import random
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from archive_files import pictures, write_zip

from featx.archives import archive_of, has_member, member_names, member_start, open_archive, read_member
from featx.archives.archive import OpenFile
from featx.archives.zips import MAX_UNPACKED

LIMIT = 2**32


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_members_are_read_by_their_path(tmp_path: Path, method: int) -> None:
    one, two = pictures(2)
    archive = write_zip(tmp_path / "X.ZIP", {"top/a/1.png": one, "top/b ü/2.png": two, "top/empty/": b""}, method)
    assert read_member(archive / "top/a/1.png", LIMIT) == one
    assert read_member(archive / "top/b ü/2.png", LIMIT) == two
    assert archive_of(archive / "top/a/1.png") == (archive, "top/a/1.png")
    assert member_names(archive) == (["top"], [])
    assert member_names(archive / "top") == (["a", "b ü"], [])
    assert member_names(archive / "top/a") == ([], ["1.png"])
    assert has_member(archive / "top/a/1.png")
    assert not has_member(archive / "top/a")
    with pytest.raises(FileNotFoundError):
        read_member(archive / "top/a/3.png", LIMIT)
    with pytest.raises(NotADirectoryError):
        member_names(archive / "top/c")


def test_a_folder_that_is_named_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.zip").mkdir()
    assert archive_of(tmp_path / "x.zip" / "1.png") is None
    assert member_names(tmp_path / "x.zip") is None


def test_an_archive_that_changed_is_opened_anew(tmp_path: Path) -> None:
    one, two = pictures(2)
    archive = write_zip(tmp_path / "x.zip", {"1.png": one})
    assert read_member(archive / "1.png", LIMIT) == one
    write_zip(tmp_path / "new.zip", {"1.png": two, "2.png": one}).replace(archive)
    assert read_member(archive / "1.png", LIMIT) == two
    assert has_member(archive / "2.png")


def test_names_that_lead_out_are_left_out_and_others_are_brought_into_form(tmp_path: Path) -> None:
    (data,) = pictures(1)
    names = {"../out.png", "a/../../out.png", "C:/out.png", "/etc/1.png", "./b//2.png", "c\\3.png", "d/" * 200 + "x"}
    archive = open_archive(write_zip(tmp_path / "x.zip", dict.fromkeys(sorted(names), data)))
    assert sorted(archive) == ["b/2.png", "c/3.png", "etc/1.png"]
    assert {reason: len(names) for reason, names in archive.left_out.items()} == {
        "names that lead out of the archive": 4
    }


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_the_last_of_two_members_of_one_name_is_taken(tmp_path: Path) -> None:
    one, two = pictures(2)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("1.png", one)
        file.writestr("1.png", two)
    archive = open_archive(tmp_path / "x.zip")
    assert archive.read("1.png", LIMIT) == two
    assert archive.left_out == {"names that are there twice, of which the last is taken": ["1.png"]}


def test_links_are_left_out(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
        file.writestr("1.png", b"x")
    archive = open_archive(tmp_path / "x.zip")
    assert (list(archive), archive.left_out) == (["1.png"], {"links": ["link.png"]})


def test_an_archive_of_more_than_65535_members_and_one_of_64_bits(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for number in range(2**16 + 2):
            file.writestr(f"{number}.png", b"%d" % number)
        with file.open("large.png", "w", force_zip64=True) as member:
            member.write(b"zip64")
    archive = open_archive(tmp_path / "x.zip")
    assert len(archive) == 2**16 + 3
    assert archive.read("65537.png", LIMIT) == b"65537"
    assert archive.read("large.png", LIMIT) == b"zip64"


def flagged(path: Path, flag: int) -> Path:
    """Set a flag of all members in both places where an archive has them."""
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = raw.find(mark)
        while at >= 0:
            raw[at + place] |= flag
            at = raw.find(mark, at + 4)
    path.write_bytes(raw)
    return path


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    archive = flagged(write_zip(tmp_path / "x.zip", {"1.png": b"1", "2.png": b"2"}), 1)
    with pytest.raises(OSError, match=r"it is encrypted, 2 of 2 members; unpack it with its password"):
        open_archive(archive)


@pytest.mark.parametrize("kind", ["cut", "text", "empty"])
def test_what_is_no_archive_is_refused(tmp_path: Path, kind: str) -> None:
    path = write_zip(tmp_path / "x.zip", {"1.png": b"1" * 1000}, zipfile.ZIP_STORED)
    path.write_bytes({"cut": path.read_bytes()[:500], "text": b"not an archive", "empty": b""}[kind])
    with pytest.raises(OSError, match=r"it is damaged or no ZIP archive: File is not a zip file"):
        open_archive(path)


def test_damaged_members_and_other_methods_are_refused(tmp_path: Path) -> None:
    (data,) = pictures(1)
    path = write_zip(tmp_path / "x.zip", {"1.png": data}, zipfile.ZIP_STORED)
    raw = path.read_bytes()
    place = raw.index(data) + len(data) // 2
    path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    with pytest.raises(OSError, match=r"it is damaged in the ZIP archive"):
        read_member(path / "1.png", LIMIT)
    other = write_zip(tmp_path / "bz.zip", {"1.png": data}, zipfile.ZIP_BZIP2)
    with pytest.raises(OSError, match=r"it is compressed in the ZIP archive by bzip2, not by Deflate"):
        read_member(other / "1.png", LIMIT)


def declared(path: Path, size: int) -> Path:
    """Let a ZIP archive of one member say that it has this many bytes when it is unpacked."""
    raw = bytearray(path.read_bytes())
    struct.pack_into("<L", raw, raw.find(b"PK\1\2") + 24, size)
    path.write_bytes(raw)
    return path


def test_a_bomb_is_refused_by_what_it_says_and_by_what_it_is(tmp_path: Path) -> None:
    zeros = write_zip(tmp_path / "x.zip", {"1.png": bytes(10**7)})
    assert zeros.stat().st_size < 20_000
    with pytest.raises(OSError, match=r"9.5 MiB, more than the limit of 1 MiB"):
        read_member(zeros / "1.png", 2**20)
    with pytest.raises(OSError, match=r"2,048.0 MiB, more than the limit of 1,024 MiB"):
        read_member(declared(zeros, 2 * MAX_UNPACKED) / "1.png", LIMIT)
    with pytest.raises(OSError, match=r"it is damaged in the ZIP archive"):  # more bytes than it says
        read_member(declared(zeros, 1000) / "1.png", 2**20)


def test_members_that_lie_upon_each_other_are_refused(tmp_path: Path) -> None:
    """Each says a size of its own that is right, and all are the same bytes of the file."""
    path = write_zip(tmp_path / "x.zip", {"1.png": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a") as archive:
        (info,) = archive.infolist()
        for number in range(2, 102):
            same = copy.copy(info)
            same.filename = f"{number}.png"
            archive.filelist.append(same)
        archive._didModify = True  # type: ignore[attr-defined]
    assert path.stat().st_size < 2**17
    with pytest.raises(OSError, match=r"its members have more bytes than the archive"):
        open_archive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_the_start_of_a_member_is_read_alone(tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(0).randbytes(2**20)
    archive = write_zip(tmp_path / "x.zip", {"large": data, "small": b"abc"}, method)
    read: list[int] = []
    read_at = OpenFile.read_at

    def counted(*args: Any) -> bytes:
        read.append(args[2])
        return read_at(*args)

    monkeypatch.setattr(OpenFile, "read_at", counted)
    assert member_start(archive / "large", 512) == data[:512]
    assert member_start(archive / "small", 512) == b"abc"
    assert sum(read) < 2**14
    with pytest.raises(FileNotFoundError):
        member_start(archive / "none", 512)


def test_a_member_without_a_name_is_left_out(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"1.png": b"1", "2.png": b"2"})
    path.write_bytes(path.read_bytes().replace(b"1.png", b"\0.png"))
    assert list(open_archive(path)) == ["2.png"]
