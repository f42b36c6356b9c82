"""The stat cache knows images in archives by the state of their archive."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_files import pictures, write_zip

from featx.data import read_paths
from featx.features import hash_images, hashing
from featx.images import read_bytes
from featx.store import StatCache, stat_cache

HOUR = 3600 * 10**9


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stat_cache, "now_ns", lambda: time.time_ns() + HOUR)  # files of this test are old
    one, two, _ = pictures(3)
    return write_zip(tmp_path / "x.zip", {"a/1.png": one, "b/2.png": two})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are read for their digest."""
    names: list[str] = []

    def read(path: Path, name: str) -> bytes:
        names.append(path.name)
        return read_bytes(path, name)

    monkeypatch.setattr(hashing, "read_bytes", read)
    return names


def digests(archive: Path, cache: Path) -> list[str]:
    images, failures = hash_images(read_paths(archive).items, "fail", StatCache(cache))
    assert failures == []
    return [image.digest for image in images]


def test_images_of_an_unchanged_archive_are_not_read_again(archive: Path, tmp_path: Path, reads: list[str]) -> None:
    first = digests(archive, tmp_path / "cache")
    assert sorted(reads) == ["1.png", "2.png"]
    reads.clear()
    assert digests(archive, tmp_path / "cache") == first
    assert reads == []


def test_images_of_another_archive_at_its_place_are_read(archive: Path, tmp_path: Path, reads: list[str]) -> None:
    first = digests(archive, tmp_path / "cache")
    _, two, three = pictures(3)
    write_zip(tmp_path / "new.zip", {"a/1.png": three, "b/2.png": two}).replace(archive)
    second = digests(archive, tmp_path / "cache")
    assert (second[0] != first[0], second[1]) == (True, first[1])
    assert len(reads) == 4


def test_an_archive_is_looked_at_a_few_times_whatever_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(stat_cache, "now_ns", lambda: time.time_ns() + HOUR)
    many = write_zip(tmp_path / "x.zip", {f"{i:03d}.png": data for i, data in enumerate(pictures(100))})
    looks: list[Path] = []
    state_of = stat_cache.state_of

    def look(path: Path) -> stat_cache.FileState | None:
        looks.append(path)
        return state_of(path)

    monkeypatch.setattr(stat_cache, "state_of", look)
    digests(many, tmp_path / "cache")
    assert len(reads) == 100
    assert set(looks) == {many}
    assert len(looks) <= 2 * hashing.WORKERS  # threads that begin at once may look, each for itself


def read_after(change: Callable[[], object]) -> Callable[[], str]:
    def read() -> str:
        change()
        return "0" * 64

    return read


def test_what_was_read_while_the_archive_changed_is_not_kept(archive: Path, tmp_path: Path) -> None:
    _, two, three = pictures(3)
    cache = StatCache(tmp_path / "cache")
    member = archive / "a/1.png"
    cache.load([member])
    new = write_zip(tmp_path / "new.zip", {"a/1.png": three, "b/2.png": two})
    cache.digest(member, read_after(lambda: new.replace(archive)))
    cache.save()
    assert digests(archive, tmp_path / "cache")[0] != "0" * 64


def test_entries_of_archives_that_are_gone_or_others_are_dropped(archive: Path, tmp_path: Path) -> None:
    cache = StatCache(tmp_path / "cache")
    digests(archive, tmp_path / "cache")
    assert cache.drop_gone()[0] == 0
    other = write_zip(tmp_path / "y.zip", {"1.png": pictures(1)[0]})
    digests(other, tmp_path / "cache")
    other.unlink()
    assert cache.drop_gone()[0] == 1
    write_zip(archive, {"a/1.png": pictures(1, seed=1)[0]})
    assert cache.drop_gone()[0] == 2
    assert cache.check() == (0, [])


def test_frames_of_a_file_are_known_by_the_state_of_the_file(tmp_path: Path, archive: Path) -> None:
    file = tmp_path / "scan.dcm"
    file.write_bytes(b"frames")
    cache = StatCache(tmp_path / "cache")
    paths = [file / "frame-1", file / "frame-2"]
    cache.load(paths)
    for number, path in enumerate(paths):
        assert cache.digest(path, lambda number=number: f"{number}" * 64) == f"{number}" * 64  # type: ignore[misc]
    cache.save()
    cache.load(paths)
    assert [cache.digest(path, lambda: "f" * 64) for path in paths] == ["0" * 64, "1" * 64]
    file.write_bytes(b"others")
    cache.load(paths)
    assert cache.digest(paths[0], lambda: "f" * 64) == "f" * 64
