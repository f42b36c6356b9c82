"""Tar archives: what is read from them, and what is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archive_files import pictures, write_tar

from featx.archives import member_start, open_archive, read_member

LIMIT = 2**32
LONG = f"{'folder' * 30}/{'name' * 40}.png"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_by_their_place(tmp_path: Path, form: int) -> None:
    one, two = pictures(2)
    name = "./a/1.png" if form == tarfile.USTAR_FORMAT else LONG
    path = write_tar(tmp_path / "x.tar", [(name, one), ("b/ü.png", two)], form)
    assert list(open_archive(path)) == [name.removeprefix("./"), "b/ü.png"]
    assert read_member(path / name, LIMIT) == one
    assert read_member(path / "b/ü.png", LIMIT) == two


def test_many_threads_read_one_archive(tmp_path: Path) -> None:
    data = pictures(50)
    path = write_tar(tmp_path / "x.tar", [(f"{i}.png", content) for i, content in enumerate(data)])
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda i: read_member(path / f"{i}.png", LIMIT), range(50))) == data


def test_the_last_of_two_members_is_taken_and_links_devices_and_sparse_files_are_left_out(tmp_path: Path) -> None:
    one, two = pictures(2)
    path = write_tar(tmp_path / "x.tar", [("1.png", one), ("../2.png", one), ("1.png", two)])
    with tarfile.open(path, "a") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "1.png"
            archive.addfile(info)
    archive_ = open_archive(path)
    assert list(archive_) == ["1.png"]
    assert archive_.read("1.png", LIMIT) == two
    assert {reason: sorted(names) for reason, names in archive_.left_out.items()} == {
        "links": ["hard", "link"],
        "names that are there twice, of which the last is taken": ["1.png"],
        "names that lead out of the archive": ["../2.png"],
        "sparse files and devices": ["pipe"],
    }


def test_a_compressed_archive_is_refused_with_what_unpacks_it(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", [("1.png", b"1")])
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(OSError, match=r"it is compressed as a whole; decompress it with gunzip"):
        open_archive(path)


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (slice(0, 700), "it is cut short within 1.png"),
        (slice(0, 1900), "it is damaged or cut short at byte 1,536"),
        (slice(0, 2500), "it is cut short within 2.png"),
        (slice(0, 2), "it is damaged, cut short or no tar archive"),
        (slice(0, 0), "it is damaged, cut short or no tar archive: empty file"),
        (slice(10, None), "it is damaged, cut short or no tar archive"),
    ],
)
def test_a_part_of_an_archive_is_refused(tmp_path: Path, kept: slice, sentence: str) -> None:
    path = write_tar(tmp_path / "x.tar", [("1.png", b"1" * 600), ("2.png", b"2" * 600)])
    path.write_bytes(path.read_bytes()[kept])
    with pytest.raises(OSError, match=sentence):
        open_archive(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", [("1.png", b"1" * 600), ("2.png", b"2" * 600), ("3.png", b"3")])
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"2.png")] = ord("9")  # the header's checksum is now wrong
    path.write_bytes(raw)
    with pytest.raises(OSError, match=r"it is damaged or cut short at byte 1,536"):
        open_archive(path)


def test_a_member_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", [("1.png", bytes(2**21))])
    with pytest.raises(OSError, match=r"2.0 MiB, more than the limit of 1 MiB"):
        read_member(path / "1.png", 2**20)


def test_a_sparse_file_is_left_out(tmp_path: Path) -> None:
    info = tarfile.TarInfo("sparse.png")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "4096"}
    info.size = 512
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(info, io.BytesIO(b"0\n".ljust(512, b"\0")))
    assert open_archive(tmp_path / "x.tar").left_out == {"sparse files and devices": ["sparse.png"]}


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_headers_that_describe_headers_without_end_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("long")
    text = b"11 path=ab\n"
    info.size, info.type = len(text), kind
    path = tmp_path / "x.tar"
    path.write_bytes((info.tobuf(tarfile.GNU_FORMAT) + text.ljust(512, b"\0")) * 3000 + bytes(1024))
    with pytest.raises(OSError, match=r"damaged, cut short or no tar archive"):
        open_archive(path)


def test_the_start_of_a_member_is_read_alone(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "x.tar", [("large", bytes(range(256)) * 100), ("small", b"abc")])
    assert member_start(archive / "large", 300) == (bytes(range(256)) * 2)[:300]
    assert member_start(archive / "small", 300) == b"abc"
