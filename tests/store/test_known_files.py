from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pipeline_data import digest, files_of, small_data, small_recipe
from stored_rows import damage, tree

from featx.data import Item, read_data, read_paths
from featx.errors import ImageError
from featx.features import Failure, extract, hash_images, hashing
from featx.images import read_bytes
from featx.recipes import Recipe
from featx.store import file_state, known_buckets
from featx.store.admin import gc, info, verify
from featx.store.file_state import FileState, state_of, tells_of_changes
from featx.store.known_buckets import FOLDER, bucket_of
from featx.store.known_files import KnownFiles
from featx.store.store import Store

SECOND = 10**9
HOUR = 3600 * SECOND


def at(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    """Set the clock that states are judged by to so many nanoseconds from now."""
    monkeypatch.setattr(file_state, "now_ns", lambda: time.time_ns() + offset)


@pytest.fixture(autouse=True)
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just written are old."""
    at(monkeypatch, HOUR)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read for their digest, emptied by `hashed`."""
    names: list[str] = []

    def counting(path: Path, name: str) -> bytes:
        names.append(path.name)
        return read_bytes(path, name)

    monkeypatch.setattr(hashing, "read_bytes", counting)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "data", 5)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def written(folder: Path, n: int) -> Path:
    """A folder of files of one size; hashing asks for no more than bytes."""
    folder.mkdir(parents=True)
    for i in range(n):
        (folder / f"{i:03d}.png").write_bytes(b"%06d" % i)
    return folder


def hashed(cache: Path, *paths: Path) -> dict[Path, str]:
    """Digests by path, checked against the files as they are."""
    images, failed = hash_images(read_paths(list(paths)).items, "fail", KnownFiles(cache))
    assert failed == []
    found = {image.item.path: image.digest for image in images}
    assert found == {path: digest(path) for path in found}
    return found


def again(reads: list[str], cache: Path, *paths: Path) -> list[str]:
    """The names of the files that a further command reads."""
    reads.clear()
    hashed(cache, *paths)
    return sorted(reads)


def tables(cache: Path) -> list[Path]:
    return sorted((cache / FOLDER).glob("*.arrow"))


# --- what is read and what is not ---


def test_what_was_read_once_is_not_read_again(folder: Path, cache: Path, reads: list[str]) -> None:
    hashed(cache, folder)
    assert len(reads) == 5
    before = tree(cache)
    assert again(reads, cache, folder) == []
    assert tree(cache) == before  # nothing was learned, nothing is written


def test_what_is_new_is_read_and_the_rest_is_not(folder: Path, cache: Path, reads: list[str]) -> None:
    hashed(cache, folder)
    (folder / "new.png").write_bytes(b"new")
    assert again(reads, cache, folder) == ["new.png"]
    assert again(reads, cache, folder) == []


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
def test_other_bytes_are_noticed_though_size_and_time_are_as_before(
    change: Callable[[Path], None], folder: Path, cache: Path, reads: list[str]
) -> None:
    hashed(cache, folder)
    path = folder / "001.png"
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert again(reads, cache, folder) == ["001.png"]
    assert again(reads, cache, folder) == []


def test_files_that_changed_places_are_noticed(folder: Path, cache: Path, reads: list[str]) -> None:
    hashed(cache, folder)
    one, two = folder / "001.png", folder / "002.png"
    one.rename(folder / "x")
    two.rename(one)
    (folder / "x").rename(two)
    assert again(reads, cache, folder) == ["001.png", "002.png"]


def test_of_a_link_the_file_behind_it_counts(tmp_path: Path, cache: Path, reads: list[str]) -> None:
    real = written(tmp_path / "real", 2)
    links = tmp_path / "links"
    links.mkdir()
    for path in files_of(real):
        (links / path.name).symlink_to(path)
    hashed(cache, links)
    assert again(reads, cache, links) == []
    rewrite(real / "001.png")
    assert again(reads, cache, links) == ["001.png"]
    (links / "000.png").unlink()
    (links / "000.png").symlink_to(real / "001.png")
    assert again(reads, cache, links) == ["000.png"]


@pytest.mark.parametrize("field", FileState._fields)
def test_each_part_of_the_state_counts(
    field: str, folder: Path, cache: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed(cache, folder)

    def otherwise(path: Path) -> FileState | None:
        state = state_of(path)
        assert state is not None
        return state._replace(**{field: getattr(state, field) + 1}) if path.name == "003.png" else state

    monkeypatch.setattr("featx.store.file_state.state_of", otherwise)
    assert again(reads, cache, folder) == ["003.png"]


def test_a_moved_folder_is_read_again(folder: Path, cache: Path, reads: list[str]) -> None:
    hashed(cache, folder)
    moved = folder.rename(folder.with_name("moved"))
    assert len(again(reads, cache, moved)) == 5


def test_names_that_are_no_text(tmp_path: Path, cache: Path, reads: list[str]) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / name).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such names")
    item = Item("caf.png", tmp_path / name, None, "test")
    for expected in ([name], []):
        reads.clear()
        hash_images([item], "fail", KnownFiles(cache))
        assert reads == expected


# --- when times tell nothing ---


def test_files_that_were_just_written_are_not_known(
    folder: Path, cache: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, 0)
    hashed(cache, folder)
    assert len(again(reads, cache, folder)) == 5
    assert not cache.exists()


def test_known_files_are_read_while_the_clock_is_set_back(
    folder: Path, cache: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed(cache, folder)
    before = tree(cache)
    for offset, expected in ((-HOUR, 5), (0, 5), (HOUR, 0)):
        at(monkeypatch, offset)
        assert len(again(reads, cache, folder)) == expected
    assert tree(cache) == before


def test_a_time_in_the_future_is_not_trusted(folder: Path, cache: Path, reads: list[str]) -> None:
    later = time.time_ns() + 2 * HOUR
    os.utime(folder / "002.png", ns=(later, later))
    hashed(cache, folder)
    assert again(reads, cache, folder) == ["002.png"]


@pytest.mark.parametrize(
    ("mtime", "ctime", "told"),
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
def test_times_must_be_two_seconds_old(mtime: int, ctime: int, told: bool) -> None:
    now = 1_700_000_000_123_456_789
    assert tells_of_changes(FileState(1, now + mtime, now + ctime, 1, 1), now) is told


def test_a_file_system_without_ctime_is_not_trusted() -> None:
    now, coarse = 1_700_000_000 * SECOND, 1_600_000_000 * SECOND
    assert not tells_of_changes(FileState(1, coarse, coarse, 1, 1), now)  # FAT
    assert not tells_of_changes(FileState(1, coarse + 10**7, coarse + 10**7, 1, 1), now)  # exFAT
    assert tells_of_changes(FileState(1, coarse, coarse + SECOND, 1, 1), now)  # whole seconds, but two times
    assert tells_of_changes(FileState(1, coarse + 1, coarse + 1, 1, 1), now)


def test_where_ctime_is_something_else_nothing_is_known(
    folder: Path, cache: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed(cache, folder)
    before = tree(cache)
    monkeypatch.setattr(file_state, "SUPPORTED", False)
    monkeypatch.delattr("featx.store.file_state.state_of")  # nor is it asked for
    (folder / "new.png").write_bytes(b"new")
    assert len(again(reads, cache, folder)) == 6
    assert tree(cache) == before


def test_a_file_that_changes_while_it_is_read_is_not_known(
    folder: Path, cache: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path, name: str) -> bytes:
        content = read_bytes(path, name)
        if path.name == "004.png":
            rewrite(path)
        return content

    with monkeypatch.context() as patch:
        patch.setattr(hashing, "read_bytes", slow)
        hash_images(read_paths([folder]).items, "fail", KnownFiles(cache))
    assert info(Store(cache)).known_files == 4
    assert again(reads, cache, folder) == ["004.png"]


# --- files that cannot be read ---


def test_a_known_file_that_may_not_be_read_fails_as_it_always_does(
    folder: Path, cache: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed(cache, folder)
    items = read_paths([folder]).items

    def denied(path: Path, *_: object) -> bytes:
        raise PermissionError(13, "denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        patch.setattr(Path, "read_bytes", denied)
        with pytest.raises(ImageError, match="may not be read"):
            hash_images(items, "fail", KnownFiles(cache))
    assert again(reads, cache, folder) == []


def test_a_known_file_that_is_no_file_any_more_fails(folder: Path, cache: Path) -> None:
    hashed(cache, folder)
    items = read_paths([folder]).items
    path = folder / "001.png"
    path.unlink()
    images, failed = hash_images(items, "skip", KnownFiles(cache))
    assert (len(images), failed) == (4, [Failure(items[1].id, "does not exist")])
    path.mkdir()
    assert hash_images(items, "skip", KnownFiles(cache))[1][0].reason.startswith("is a folder")
    path.rmdir()
    os.mkfifo(path)
    assert hash_images(items, "skip", KnownFiles(cache))[1][0].reason == "is not a regular file"


def test_what_was_read_before_an_error_is_known(folder: Path, cache: Path, reads: list[str]) -> None:
    (folder / "zzz.png").touch()
    with pytest.raises(ImageError, match="is empty"):
        hash_images(read_paths([folder]).items, "fail", KnownFiles(cache))
    (folder / "zzz.png").unlink()
    assert again(reads, cache, folder) == []


# --- the table on disk ---


def test_other_folders_are_neither_lost_nor_written(
    tmp_path: Path, cache: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [written(tmp_path / f"large-{i}", 20) for i in range(20)]
    hashed(cache, *large)
    before = {path: path.stat().st_ino for path in tables(cache)}
    small = written(tmp_path / "small", 2)
    hashed(cache, small)
    touched = set(before) ^ set(tables(cache))
    number = bucket_of(os.fsencode(small / "x"))
    assert {int(path.name[:2]) for path in touched} == {number}
    assert len(before) > 5
    assert again(reads, cache, *large, small) == []
    monkeypatch.setattr(known_buckets, "BUCKETS", 1)  # all in one: merging loses nothing either
    other = tmp_path / "one bucket"
    for data in (*large[:3], small):
        hashed(other, data)
    assert len(tables(other)) == 1
    assert again(reads, other, *large[:3], small) == []


def test_files_that_went_are_dropped_when_their_folder_is_written(folder: Path, cache: Path) -> None:
    hashed(cache, folder)
    (folder / "000.png").unlink()
    (folder / "new.png").write_bytes(b"new")
    hashed(cache, folder / "new.png")
    assert info(Store(cache)).known_files == 5


def test_the_table_does_not_depend_on_the_threads(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "TOGETHER", 1)
    hashed(tmp_path / "many", folder)
    monkeypatch.setattr(hashing, "WORKERS", 1)
    hashed(tmp_path / "one", folder)
    assert tables(tmp_path / "many")[0].name == tables(tmp_path / "one")[0].name


def test_any_script_can_read_it(folder: Path, cache: Path) -> None:
    expected = hashed(cache, folder)
    (path,) = tables(cache)
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    found = {Path(os.fsdecode(row["path"])): row for row in table.to_pylist()}
    assert {path: row["digest"].hex() for path, row in found.items()} == expected
    for path, row in found.items():
        assert FileState(*(row[name] for name in FileState._fields)) == state_of(path)


def test_two_writers_at_once_lose_nothing(tmp_path: Path, cache: Path, reads: list[str]) -> None:
    folder = written(tmp_path / "data", 8)
    items = read_paths([folder]).items
    one, two = KnownFiles(cache), KnownFiles(cache)
    for known, part in ((one, items[:5]), (two, items[3:])):
        for item, entry in zip(part, known.recorded([item.path for item in part]), strict=True):
            known.digest(item.path, entry, lambda path=item.path: digest(path))  # type: ignore[misc]
    one.save()
    two.save()
    assert again(reads, cache, folder) == []
    assert len(tables(cache)) == 1


def test_tables_of_writers_that_overlapped_are_read_together_and_merged(
    folder: Path, cache: Path, tmp_path: Path, reads: list[str]
) -> None:
    hashed(tmp_path / "a", *files_of(folder)[:3])
    hashed(tmp_path / "b", *files_of(folder)[2:])
    shutil.copytree(tmp_path / "a" / FOLDER, cache / FOLDER)
    shutil.copytree(tmp_path / "b" / FOLDER, cache / FOLDER, dirs_exist_ok=True)
    assert len(tables(cache)) == 2
    assert again(reads, cache, folder) == []
    assert info(Store(cache)).known_files == 5
    planned, done = gc(Store(cache), dry_run=True), gc(Store(cache))
    assert (planned.bytes_freed, done.forgotten) == (done.bytes_freed, 0)
    assert len(tables(cache)) == 1
    assert again(reads, cache, folder) == []


def test_a_table_that_holds_all_of_another_is_kept(
    folder: Path, cache: Path, tmp_path: Path, reads: list[str]
) -> None:
    hashed(cache, folder)
    for path in files_of(folder)[:3]:  # of the names, some come before and some after
        hashed(tmp_path / path.name, path)
        shutil.copytree(tmp_path / path.name / FOLDER, cache / FOLDER, dirs_exist_ok=True)
    gc(Store(cache))
    assert len(tables(cache)) == 1
    assert again(reads, cache, folder) == []


def test_many_writers_and_a_collector_at_once(tmp_path: Path, cache: Path, reads: list[str]) -> None:
    folder = written(tmp_path / "data", 40)
    items = read_paths([folder]).items
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                part = items[(number + turn) % 4 :: 4]
                images, _ = hash_images(part, "fail", KnownFiles(cache))
                assert [image.digest for image in images] == [digest(item.path) for item in part]
                gc(Store(cache))
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    hashed(cache, folder)
    assert again(reads, cache, folder) == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def no_table(path: Path) -> None:
    """Sound by its name, but of something else."""
    content = b"something else"
    path.with_name(f"{path.name[:2]}-{hashlib.sha256(content).hexdigest()}.arrow").write_bytes(content)
    path.unlink()


@pytest.mark.parametrize("harm", [damage, truncate, no_table])
def test_a_damaged_table_is_ignored_and_made_again(
    harm: Callable[[Path], None], folder: Path, cache: Path, reads: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    hashed(cache, folder)
    harm(tables(cache)[0])
    assert len(again(reads, cache, folder)) == 5
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert again(reads, cache, folder) == []
    assert len(tables(cache)) == 1
    assert len(caplog.records) == 1


def test_a_cache_that_cannot_be_written_is_no_matter(folder: Path, tmp_path: Path, reads: list[str]) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / FOLDER).write_text("a file in the folder's place")
    assert len(again(reads, cache, folder)) == 5
    assert len(again(reads, cache, folder)) == 5


# --- the commands for the cache ---


def test_the_cache_commands_know_it(tmp_path: Path, folder: Path, cache: Path, reads: list[str]) -> None:
    other = written(tmp_path / "other", 3)
    hashed(cache, folder, other)
    store = Store(cache)
    assert (info(store).known_files, info(store).rows) == (8, 0)
    assert info(store).known_files_bytes == sum(path.stat().st_size for path in tables(cache))
    shutil.rmtree(other)
    (folder / "000.png").unlink()
    size = info(store).known_files_bytes
    before = tree(cache)
    planned = gc(store, dry_run=True)
    assert tree(cache) == before
    done = gc(store)
    assert planned.forgotten == done.forgotten == 4
    assert planned.bytes_freed == done.bytes_freed == size - info(store).known_files_bytes
    assert again(reads, cache, folder) == []
    assert verify(store).damaged == []
    damage(tables(cache)[0])
    name = tables(cache)[0].name
    found = verify(store)
    assert (found.known_files, found.damaged) == (0, [f"{FOLDER}/{name}"])
    assert tables(cache) == []


# --- features ---


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model)


def test_features_are_the_same_with_and_without(
    tmp_path: Path, cache: Path, recipe: Recipe, reads: list[str]
) -> None:
    data = small_data(tmp_path / "data", train=3, test=1, classes=2)
    first = extract(data, recipe, cache=cache)
    n = len(first.images)
    assert (first.computed, len(reads)) == (n, n)
    for warm, read in ((True, 0), (False, n)):
        if not warm:
            shutil.rmtree(cache / FOLDER)
        reads.clear()
        found = extract(data, recipe, cache=cache)
        assert (found.computed, len(reads)) == (0, read)
        assert found.images == first.images
        np.testing.assert_array_equal(found.table().X, first.table().X)
    wider = recipe.replaced({"backbone.pooling": "avg"})
    known = extract(data, wider, cache=cache)
    afresh = extract(data, wider, cache=tmp_path / "afresh")
    assert known.computed == afresh.computed == n
    np.testing.assert_array_equal(known.table().X, afresh.table().X)


def test_a_record_that_is_wrong_all_the_same_is_found_out_and_forgotten(
    tmp_path: Path, cache: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a change through a memory map, which may leave a file's times as they are."""
    data = small_data(tmp_path / "data", train=2, test=1, classes=2)
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "sha256", lambda content: hashlib.sha256(content + b"x").hexdigest())
        hash_images(read_data(data).items, "fail", KnownFiles(cache))
    with pytest.raises(ImageError, match="changed while it was being read; run the command again"):
        extract(data, recipe, cache=cache)
    extract(data, recipe, cache=cache, on_error="skip")  # which comes upon all others too
    found = extract(data, recipe, cache=cache)
    expected = extract(data, recipe, cache=tmp_path / "afresh")
    assert found.images == expected.images
    np.testing.assert_array_equal(found.table().X, expected.table().X)
