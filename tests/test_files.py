from __future__ import annotations

import csv
import json
import math
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disks import mounted, read_only
from stored_rows import damage, fill, finish, reopened, rows_of, shard_files, some_keys, start, tree, write_then

from featx.errors import StoreError
from featx.files import finite, open_file, read_file, read_json, write_csv, write_file, write_json, write_text
from featx.store import save_document

# Disks that are full or may not be written.


def test_a_disk_that_fills_up_keeps_the_rows_written(tmp_path: Path) -> None:
    script = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
keys = some_keys(30)
try:
    with space.writer(flush_bytes=1) as writer:
        writer.add(keys[:10], rows_of(keys[:10], 1000))
        writer.add(keys[10:], rows_of(keys[10:], 1000))
        writer.add(some_keys(100, 1), rows_of(some_keys(100, 1), 1000))
except StoreError as error:
    print(error)
"""
    message = finish(start(script, tmp_path))
    assert message.startswith("No space is left to write the cache at")
    assert "; 30 rows are kept; free some space, or choose another cache (--cache or FEATX_CACHE)" in message
    keys = some_keys(30)
    np.testing.assert_array_equal(reopened(tmp_path).rows(keys).to_array(), rows_of(keys, 1000))
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    with mounted(tmp_path, ["-t", "tmpfs", "-o", "size=1m", "tmpfs"]):
        yield tmp_path


def test_a_full_disk_keeps_the_rows_written(small_disk: Path) -> None:
    space, keys = reopened(small_disk), some_keys(8)
    with pytest.raises(StoreError, match=r"No space is left .* 4 rows are kept; free some space"):
        write_then(space, keys, dim=55_000)
    assert not list(small_disk.rglob(".tmp-*"))
    assert reopened(small_disk).missing(keys) == keys[4:]
    with pytest.raises(StoreError, match="No space is left"):
        save_document(small_disk, "large", "a", {"text": "x" * 10**6})


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A cache with two shards of three rows, one of them damaged, that may only be read."""
    damage(shard_files(fill(tmp_path, some_keys(6), per_shard=3))[0])
    with read_only(tmp_path):
        yield tmp_path


def test_a_cache_that_may_only_be_read_is_read(frozen: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = tree(frozen)
    space = reopened(frozen)
    present = [key for key in some_keys(6) if space.contains(key)]
    assert len(present) == 3
    np.testing.assert_array_equal(space.rows(present).to_array(), rows_of(present))
    space.refresh()
    assert [record.getMessage().count("is ignored") for record in caplog.records] == [1]
    with pytest.raises(StoreError, match=r"cannot be written .*, or choose another one \(--cache or FEATX_CACHE\)"):
        write_then(space, some_keys(1, view=1))
    with pytest.raises(StoreError, match="cannot be written"):
        save_document(frozen, "statistics", "a", {})
    with pytest.raises(StoreError, match="cannot be written"):
        fill(frozen / "below", some_keys(1))
    assert tree(frozen) == before


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(StoreError, match="cannot be read"):
        reopened(tmp_path / "cache").stored()
    with pytest.raises(StoreError, match="cannot be written"):
        save_document(tmp_path / "cache", "statistics", "a", {})


# Files that are written whole or not at all.


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "new.txt"
    assert write_file(path, lambda draft: draft.write_text("été", encoding="utf-8")) == path
    assert path.read_bytes() == "été".encode()
    assert names(path.parent) == ["new.txt"]


def test_the_writer_sees_the_files_ending_and_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    path.write_text("old")
    seen: list[tuple[str, str]] = []

    def write(draft: Path) -> None:
        draft.write_text("half of the n")
        # Readers still see the old file.
        seen.append((draft.name, path.read_text()))
        draft.write_text("new")

    write_file(path, write)
    assert seen == [("curves.png", "old")]
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (ValueError("bad value"), ValueError, "bad value"),
        (KeyboardInterrupt("stopped"), KeyboardInterrupt, "stopped"),
        (
            OSError(28, "No space left on device"),
            StoreError,
            r"^.*metrics\.json cannot be written: No space left on device; choose",
        ),
    ],
)
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, raised: BaseException, expected: type[BaseException], message: str
) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    def write(draft: Path) -> None:
        draft.write_text("half")
        raise raised

    with pytest.raises(expected, match=message):
        write_file(path, write)
    assert names(tmp_path) == ["metrics.json"]
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"cannot be written: .*; choose another place"):
        write_text(tmp_path / "file" / "run" / "metrics.json", "")


def test_others_may_read_what_they_may_read_elsewhere(tmp_path: Path) -> None:
    """The temporary folder is the owner's alone; the file that comes out of it is an ordinary one."""
    (tmp_path / "ordinary").write_text("")
    path = write_text(tmp_path / "run.txt", "")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_json_is_valid_whatever_the_numbers(tmp_path: Path) -> None:
    document = {
        "loss": math.nan,
        "rates": [1.5, math.inf],
        "at": {"low": (-math.inf, 2)},
        "name": "été",
        "none": None,
    }
    text = write_json(tmp_path / "m.json", document).read_text("utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "loss": None,
        "rates": [1.5, None],
        "at": {"low": [None, 2]},
        "name": "été",
        "none": None,
    }
    assert "été" in text
    assert text.endswith("}\n")
    assert math.isnan(document["loss"])  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, 1, True, "nan", None, [], {}])
def test_what_is_finite_stays(value: Any) -> None:
    assert finite(value) == value
    assert type(finite(value)) is type(value)


def test_csv_is_read_back_as_written(tmp_path: Path) -> None:
    rows: list[list[object]] = [["a,b", 'say "c"', "line\nbreak"], ["été", "", 0.1]]
    path = write_csv(tmp_path / "t.csv", ["x", "y", "z"], rows)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["x", "y", "z"], ["a,b", 'say "c"', "line\nbreak"], ["été", "", "0.1"]]
    assert b"\r" not in path.read_bytes()


# What a user names may be anything.


def _pipe(place: Path) -> None:
    os.mkfifo(place)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(place))


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (_pipe, "it is not a regular file but a named pipe"),
    "socket": (_socket, "it is not a regular file but a socket"),
    "device": (lambda place: place.symlink_to("/dev/zero"), "it is not a regular file but a device"),
    "folder": (Path.mkdir, "it is a folder"),
    "missing": (Path, "No such file or directory"),
    "loop": (lambda place: place.symlink_to(place), "Too many levels of symbolic links"),
    "made by the system": (lambda place: place.symlink_to("/proc/self/status"), "it is made by the system"),
    "without an end": (lambda place: place.symlink_to("/proc/self/pagemap"), ""),
    "large": (lambda place: place.write_bytes(bytes(101)), "it has 0.0 MiB, more than the limit"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_only_regular_files_of_a_sensible_size_are_opened(kind: str, tmp_path: Path) -> None:
    make, reason = UNFIT[kind]
    if kind in ("made by the system", "without an end") and not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    place = tmp_path / "it"
    make(place)
    link = tmp_path / "link"
    link.symlink_to(place)
    for path in (place, link):
        for read in (read_file, open_file):
            with pytest.raises(OSError, match=r".") as caught:
                read(path, 100)
            assert (caught.value.strerror or "").startswith(reason)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300])
def test_names_that_no_file_has_are_an_os_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no file can have such a name|File name too long"):
        open_file(tmp_path / name)


def test_a_regular_file_is_read_also_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1\n")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "empty").touch()
    assert read_file(tmp_path / "link") == b"1\n"
    assert read_file(tmp_path / "empty") == b""
    assert read_json(tmp_path / "link") == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', "the name 'a' is there twice"),
        ("NaN", "NaN is not a finite number"),
        ("[-1e999]", "-1e999 is not a finite number"),
        ("1" * 5000, "a number has 5000 digits"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000, "it is nested too deeply"),
        ('["\\ud800"]', "surrogates not allowed"),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
    ],
)
def test_json_that_no_one_writes_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_json(tmp_path / "file.json")
