from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_data import digest, files_of, small_data, small_recipe
from stored_rows import finish, start, tree

from featx.data import Item, read_data, read_paths
from featx.errors import ImageError
from featx.features import Failure, extract, hash_images, hashing
from featx.images import read_bytes
from featx.recipes import Recipe
from featx.store import stat_cache
from featx.store.admin import gc, info, verify
from featx.store.stat_cache import FOLDER, FileState, StatCache, state_of, tells_of_changes
from featx.store.store import Store

SECOND = 10**9
HOUR = 3600 * SECOND


def at(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    """Set the clock that states are compared with to this many nanoseconds from now."""
    monkeypatch.setattr(stat_cache, "now_ns", lambda: time.time_ns() + offset)


@pytest.fixture(autouse=True)
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just written are old."""
    at(monkeypatch, HOUR)


def written(folder: Path, n: int) -> Path:
    """A folder of files of one size; hashing asks for no more than bytes."""
    folder.mkdir(parents=True)
    for i in range(n):
        (folder / f"{i:03d}.png").write_bytes(b"%06d" % i)
    return folder


@dataclass
class Place:
    """A folder of five files, a cache, and the names of the files that were read for their digest."""

    folder: Path
    cache: Path
    reads: list[str] = field(default_factory=list)

    def hashed(self, *paths: Path) -> dict[Path, str]:
        """Digests by path, compared with those of the files as they are."""
        images, failed = hash_images(read_paths(paths or [self.folder]).items, "fail", StatCache(self.cache))
        assert failed == []
        digests = {image.item.path: image.digest for image in images}
        assert digests == {path: digest(path) for path in digests}
        return digests

    def again(self, *paths: Path) -> list[str]:
        """The names of the files that a further command reads."""
        self.reads.clear()
        self.hashed(*paths)
        return sorted(self.reads)

    @property
    def database(self) -> Path:
        (path,) = (self.cache / FOLDER).iterdir()
        return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(written(tmp_path / "five", 5), tmp_path / "cache")

    def counting(path: Path, name: str) -> bytes:
        place.reads.append(path.name)
        return read_bytes(path, name)

    monkeypatch.setattr(hashing, "read_bytes", counting)
    return place


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


# --- what is read and what is not ---


def test_only_new_files_are_read(place: Place) -> None:
    place.hashed()
    assert len(place.reads) == 5
    before = place.database.read_bytes()
    assert place.again() == []
    assert place.database.read_bytes() == before
    (place.folder / "new.png").write_bytes(b"new")
    assert place.again() == ["new.png"]
    assert place.again() == []


def rewrite(path: Path) -> None:
    """Other bytes in the same file, of the same size."""
    path.write_bytes(path.read_bytes()[::-1])


def exchange(path: Path) -> None:
    """Another file of the same size in its place."""
    other = path.with_suffix(".tmp")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


def link_to_another(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(path.read_bytes()[::-1])
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("change", [rewrite, exchange, link_to_another])
def test_other_bytes_are_noticed_though_size_and_mtime_are_the_same(
    place: Place, change: Callable[[Path], None]
) -> None:
    place.hashed()
    path = place.folder / "001.png"
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert place.again() == ["001.png"]
    assert place.again() == []


def test_files_that_changed_places_are_noticed(place: Place) -> None:
    place.hashed()
    one, two = place.folder / "001.png", place.folder / "002.png"
    one.rename(place.folder / "x")
    two.rename(one)
    (place.folder / "x").rename(two)
    assert place.again() == ["001.png", "002.png"]


def test_for_a_link_the_state_of_its_target_counts(place: Place, tmp_path: Path) -> None:
    real = written(tmp_path / "real", 2)
    links = tmp_path / "links"
    links.mkdir()
    for path in files_of(real):
        (links / path.name).symlink_to(path)
    place.hashed(links)
    assert place.again(links) == []
    rewrite(real / "001.png")
    assert place.again(links) == ["001.png"]
    (links / "000.png").unlink()
    (links / "000.png").symlink_to(real / "001.png")
    assert place.again(links) == ["000.png"]


@pytest.mark.parametrize("field", FileState._fields)
def test_each_part_of_the_state_counts(place: Place, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place.hashed()

    def changed(path: Path) -> FileState | None:
        state = state_of(path)
        assert state is not None
        return state._replace(**{field: getattr(state, field) + 1}) if path.name == "003.png" else state

    monkeypatch.setattr(stat_cache, "state_of", changed)
    assert place.again() == ["003.png"]


def test_a_moved_folder_is_read_again(place: Place) -> None:
    place.hashed()
    moved = place.folder.rename(place.folder.with_name("moved"))
    assert len(place.again(moved)) == 5


def test_names_that_are_not_utf8(place: Place, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / name).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such names")
    item = Item("caf.png", tmp_path / name, None, "test")
    for expected in ([name], []):
        place.reads.clear()
        hash_images([item], "fail", StatCache(place.cache))
        assert place.reads == expected


def test_numbers_of_64_bits_are_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has no unsigned integers, and some network file systems use all bits of an inode's number."""
    state = state_of(place.folder / "000.png")
    assert state is not None
    monkeypatch.setattr(stat_cache, "state_of", lambda path: state._replace(inode=2**64 - 1))
    place.hashed()
    assert place.again() == []


# --- when times prove nothing ---


def test_files_that_were_just_written_are_not_recorded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 0)
    place.hashed()
    assert len(place.again()) == 5
    assert not place.cache.exists()


def test_recorded_files_are_read_while_the_clock_is_set_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.hashed()
    before = place.database.read_bytes()
    for offset, expected in ((-HOUR, 5), (0, 5), (HOUR, 0)):
        at(monkeypatch, offset)
        assert len(place.again()) == expected
    assert place.database.read_bytes() == before


def test_a_time_in_the_future_is_not_trusted(place: Place) -> None:
    later = time.time_ns() + 2 * HOUR
    os.utime(place.folder / "002.png", ns=(later, later))
    place.hashed()
    assert place.again() == ["002.png"]


@pytest.mark.parametrize(
    ("mtime", "ctime", "trusted"),
    [
        (0, 0, False),
        (0, SECOND, False),
        (SECOND, 0, False),
        (0, -1, False),
        (-1, -HOUR, False),
        (-2 * SECOND, -2 * SECOND, True),
        (-HOUR, -2 * SECOND + 1, False),
        (-2 * SECOND + 1, -HOUR, False),
        (-HOUR, -HOUR, True),
    ],
)
def test_times_must_be_two_seconds_old(mtime: int, ctime: int, trusted: bool) -> None:
    now = 1_700_000_000_123_456_789
    assert tells_of_changes(FileState(1, now + mtime, now + ctime, 1, 1), now) is trusted


def test_a_file_system_without_ctime_is_not_trusted() -> None:
    now, coarse = 1_700_000_000 * SECOND, 1_600_000_000 * SECOND
    assert not tells_of_changes(FileState(1, coarse, coarse, 1, 1), now)  # FAT
    assert not tells_of_changes(FileState(1, coarse + 10**7, coarse + 10**7, 1, 1), now)  # exFAT
    assert tells_of_changes(FileState(1, coarse, coarse + SECOND, 1, 1), now)  # whole seconds, but two times
    assert tells_of_changes(FileState(1, coarse + 1, coarse + 1, 1, 1), now)


def test_where_ctime_is_something_else_every_file_is_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.hashed()
    before = place.database.read_bytes()
    monkeypatch.setattr(stat_cache, "SUPPORTED", False)
    monkeypatch.delattr(stat_cache, "state_of")  # nor is it asked for
    (place.folder / "new.png").write_bytes(b"new")
    assert len(place.again()) == 6
    assert place.database.read_bytes() == before


def test_a_file_that_changes_while_it_is_read_is_not_recorded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: Path, name: str) -> bytes:
        content = read_bytes(path, name)
        if path.name == "004.png":
            rewrite(path)
        return content

    with monkeypatch.context() as patch:
        patch.setattr(hashing, "read_bytes", slow)
        hash_images(read_paths([place.folder]).items, "fail", StatCache(place.cache))
    assert info(Store(place.cache)).known_files == 4
    assert place.again() == ["004.png"]


# --- files that cannot be read ---


def test_a_recorded_file_that_may_not_be_read_fails_as_without_the_stat_cache(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.hashed()
    items = read_paths([place.folder]).items

    def denied(path: Path, *_: object) -> bytes:
        raise PermissionError(13, "denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        patch.setattr(Path, "read_bytes", denied)
        with pytest.raises(ImageError, match="may not be read"):
            hash_images(items, "fail", StatCache(place.cache))
    assert place.again() == []


def test_a_recorded_file_that_is_no_file_any_more_fails(place: Place) -> None:
    place.hashed()
    items = read_paths([place.folder]).items
    path = place.folder / "001.png"
    path.unlink()
    images, failed = hash_images(items, "skip", StatCache(place.cache))
    assert (len(images), failed) == (4, [Failure(items[1].id, "does not exist")])
    path.mkdir()
    assert hash_images(items, "skip", StatCache(place.cache))[1][0].reason.startswith("is a folder")
    path.rmdir()
    os.mkfifo(path)
    assert hash_images(items, "skip", StatCache(place.cache))[1][0].reason == "is not a regular file but a named pipe"


def test_files_read_before_an_error_are_recorded(place: Place) -> None:
    (place.folder / "zzz.png").touch()
    with pytest.raises(ImageError, match="is empty"):
        hash_images(read_paths([place.folder]).items, "fail", StatCache(place.cache))
    (place.folder / "zzz.png").unlink()
    assert place.again() == []


# --- the database ---


def test_any_script_can_read_it(place: Place) -> None:
    expected = place.hashed()
    with closing(sqlite3.connect(place.database)) as database:
        rows = database.execute("SELECT CAST(path AS TEXT), state, lower(hex(sha256)) FROM files").fetchall()
    assert {Path(path): value for path, _, value in rows} == expected
    assert {Path(path): state for path, state, _ in rows} == {
        path: " ".join(map(str, state_of(path) or ())) for path in expected
    }


def test_more_files_than_one_query_takes(place: Place, tmp_path: Path) -> None:
    folder = written(tmp_path / "data", 1100)
    place.hashed(folder)
    assert place.again(folder) == []


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(place: Place, tmp_path: Path) -> None:
    """Nor do they if one of them is killed, or collects garbage."""
    folder = written(tmp_path / "data", 40)
    script = """
from featx.data import read_paths
from featx.features import hash_images
from featx.store import StatCache, gc, stat_cache
stat_cache.now_ns = lambda: time.time_ns() + 3600 * 10**9
root = Path(sys.argv[1])
items = read_paths([root.parent / "data"]).items
print("ready", flush=True)
for number in range(40):
    hash_images(items[number:] + items[:number // 2], "fail", StatCache(root))
    gc(Store(root))
"""
    first, second, killed = (start(script, place.cache) for _ in range(3))
    with killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "ready\n"
        time.sleep(0.02)
        killed.kill()
    finish(first)
    finish(second)
    assert place.again(folder) == []
    assert info(Store(place.cache)).known_files == 40


def test_a_group_may_share_it(place: Place) -> None:
    before = os.umask(0o002)
    try:
        place.hashed()
    finally:
        os.umask(before)
    assert place.database.stat().st_mode & 0o777 == 0o664


def garbage(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def overwrite_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:4200] = b"\xff" * 104
    path.write_bytes(content)


def other_columns(path: Path) -> None:
    execute(path, "DROP TABLE files", "CREATE TABLE files (path, state)")


def view_without_end(path: Path) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i, i, i FROM n"
    execute(path, "DROP TABLE files", f"CREATE VIEW files AS {query}")


def trigger(path: Path) -> None:
    execute(path, "CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM files; END")


@pytest.mark.parametrize("harm", [garbage, truncate, overwrite_a_page, other_columns, view_without_end, trigger])
def test_a_damaged_database_is_made_again(
    place: Place, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    place.hashed()
    harm(place.database)
    assert len(place.again()) == 5
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert place.again() == []
    assert len(caplog.records) == 1


def test_no_damage_gives_a_wrong_digest_or_an_error(place: Place) -> None:
    place.hashed()
    path = place.database
    sound = path.read_bytes()
    moments = random.Random(5)
    for _ in range(60):
        content = bytearray(sound)
        for _ in range(moments.randrange(1, 30)):
            offset = moments.choice([moments.randrange(200), moments.randrange(3900, len(content))])
            content[offset] ^= 1 << moments.randrange(8)
        path.write_bytes(content[: moments.choice([len(content), moments.randrange(len(content))])])
        place.hashed()
        verify(Store(place.cache))


@pytest.mark.parametrize(
    "change",
    [
        "sha256 = x'00' || substr(sha256, 2)",
        "sha256 = 'text'",
        "sha256 = x'00'",
        "state = 5",
        "state = CAST(x'ff' AS TEXT)",
        "crc32 = 'text'",
        "path = 'text'",
    ],
)
def test_a_damaged_entry_is_not_believed(place: Place, change: str, caplog: pytest.LogCaptureFixture) -> None:
    place.hashed()
    path = os.fsencode(place.folder / "002.png").hex()
    execute(place.database, f"UPDATE files SET {change} WHERE path = x'{path}'")
    assert "002.png" in place.again()
    assert place.again() == []
    assert caplog.records == []


@contextmanager
def locked(path: Path, _: pytest.MonkeyPatch) -> Iterator[None]:
    with closing(sqlite3.connect(path)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def read_only(_: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    real = sqlite3.connect
    patch.setattr(sqlite3, "connect", lambda file, **options: real(f"file:{file}?mode=ro", uri=True, **options))
    yield


@contextmanager
def full(_: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    real = sqlite3.connect

    def connect(file: Path, **options: Any) -> Any:
        database = real(file, **options)
        database.execute("PRAGMA max_page_count = 2")
        return database

    patch.setattr(sqlite3, "connect", connect)
    yield


@pytest.mark.parametrize(("obstacle", "read"), [(locked, 205), (read_only, 200), (full, 200)])
def test_a_database_that_cannot_be_used_is_no_error(
    place: Place,
    obstacle: Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[None]],
    read: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stat_cache, "WAIT_SECONDS", 0.01)
    more = written(tmp_path / "more", 200)
    place.hashed()
    path = place.database
    before = path.read_bytes()
    with monkeypatch.context() as patch, obstacle(path, patch):
        assert len(place.again(place.folder, more)) == read
        StatCache(place.cache).forget(more)
        assert gc(Store(place.cache)).forgotten == 0
    assert path.read_bytes() == before
    assert caplog.records == []
    assert len(place.again(place.folder, more)) == 200


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, os.mkfifo])
def test_something_else_in_the_place_of_the_database(place: Place, make: Callable[[Path], None]) -> None:
    place.hashed()
    path = place.database
    path.unlink()
    make(path)
    assert len(place.again()) == 5
    assert len(place.again()) == (0 if make is Path.touch else 5)


def test_each_computer_has_its_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.hashed()
    first = place.database
    with monkeypatch.context() as patch:
        patch.setattr("platform.node", lambda: "another")
        assert len(place.again()) == 5
    (second,) = set((place.cache / FOLDER).iterdir()) - {first}
    assert place.again() == []
    for path in (first, second):
        os.utime(path, (0, 0))
    assert gc(Store(place.cache), dry_run=True).bytes_freed == second.stat().st_size
    gc(Store(place.cache))
    assert place.database == first


# --- the commands for the cache ---


def test_the_cache_commands_know_it(place: Place, tmp_path: Path) -> None:
    other = written(tmp_path / "other", 300)
    place.hashed(place.folder, other)
    store = Store(place.cache)
    assert (info(store).known_files, info(store).rows) == (305, 0)
    size = place.database.stat().st_size
    assert info(store).known_files_bytes == size
    shutil.rmtree(other)
    (place.folder / "000.png").unlink()
    before = tree(place.cache)
    planned = gc(store, dry_run=True)
    assert (tree(place.cache), info(store).known_files) == (before, 305)
    done = gc(store)
    assert planned.forgotten == done.forgotten == 301
    assert done.bytes_freed == size - info(store).known_files_bytes
    assert 0.5 < planned.bytes_freed / done.bytes_freed < 2
    assert place.again() == []
    assert verify(store).damaged == []
    name = f"{FOLDER}/{place.database.name}"
    execute(place.database, "UPDATE files SET crc32 = crc32 + 1")
    checked = verify(store)
    assert (checked.known_files, checked.damaged) == (0, [name])
    assert list((place.cache / FOLDER).iterdir()) == []


def test_what_earlier_versions_left_is_ignored_and_removed_by_gc(place: Place) -> None:
    (place.cache / "known-files").mkdir(parents=True)
    (place.cache / "known-files" / "00-0.arrow").write_bytes(b"1234")
    (place.cache / "turn.lock").touch()
    place.hashed()
    assert gc(Store(place.cache), dry_run=True).bytes_freed == gc(Store(place.cache)).bytes_freed == 4
    assert [path.name for path in place.cache.iterdir()] == [FOLDER]


# --- features ---


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model)


def test_features_are_the_same_with_and_without(place: Place, tmp_path: Path, recipe: Recipe) -> None:
    data = small_data(tmp_path / "data", train=3, test=1, classes=2)
    first = extract(data, recipe, cache=place.cache)
    n = len(first.images)
    assert (first.computed, len(place.reads)) == (n, n)
    for warm, read in ((True, 0), (False, n)):
        if not warm:
            shutil.rmtree(place.cache / FOLDER)
        place.reads.clear()
        second = extract(data, recipe, cache=place.cache)
        assert (second.computed, len(place.reads)) == (0, read)
        assert second.images == first.images
        np.testing.assert_array_equal(second.table().X, first.table().X)
    wider = recipe.replaced({"backbone.pooling": "avg"})
    warm_cache = extract(data, wider, cache=place.cache)
    new_cache = extract(data, wider, cache=tmp_path / "new")
    assert warm_cache.computed == new_cache.computed == n
    np.testing.assert_array_equal(warm_cache.table().X, new_cache.table().X)


def test_a_wrong_entry_is_found_out_and_forgotten(
    place: Place, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a change through a memory map, which may leave a file's times as they are."""
    data = small_data(tmp_path / "data", train=2, test=1, classes=2)
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "content_digest", lambda content: hashlib.sha256(content + b"x").hexdigest())
        hash_images(read_data(data).items, "fail", StatCache(place.cache))
    with pytest.raises(ImageError, match="changed while it was being read; run the command again"):
        extract(data, recipe, cache=place.cache)
    extract(data, recipe, cache=place.cache, on_error="skip")  # which comes upon all others too
    second = extract(data, recipe, cache=place.cache)
    expected = extract(data, recipe, cache=tmp_path / "new")
    assert second.images == expected.images
    np.testing.assert_array_equal(second.table().X, expected.table().X)


def test_entries_of_an_earlier_rule_are_not_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stat_cache, "RULE", stat_cache.RULE - 1)
        before = StatCache(place.cache)
        before.digest(place.folder / "000.png", lambda: "00" * 32)
        before.save()
    cache = StatCache(place.cache)
    cache.load([place.folder / "000.png"])
    assert cache.digest(place.folder / "000.png", lambda: "11" * 32) == "11" * 32
