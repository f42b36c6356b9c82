"""Odd places and times: caches that moved, clocks that are wrong, few open files, no temporary folder, no locale."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from disks import read_only
from killed_processes import Workshop, stored_rows
from PIL import Image
from pipeline_data import files_of

pytestmark = pytest.mark.slow

NOBODY = 65534
FUTURE = 4_102_444_800  # the year 2100


def reuses_all(place: Workshop, cache: Path, **options: object) -> None:
    done = place.run(place.extract(cache), **options)
    assert (done.code, done.json["rows"], done.json["computed"]) == (0, len(place.rows), 0), done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("way", ["copied", "moved", "linked"])
def test_a_cache_at_another_place_serves_its_rows(way: str, place: Workshop, tmp_path: Path) -> None:
    first = place.full_cache(tmp_path / "first")
    cache = tmp_path / "deeper" / "cache with spaces"
    cache.parent.mkdir()
    if way == "copied":
        shutil.copytree(first, cache, copy_function=shutil.copyfile)
    elif way == "moved":
        first.rename(cache)
    else:
        cache.symlink_to(first, target_is_directory=True)
    reuses_all(place, cache)
    assert place.check(cache) == len(place.rows)


def test_a_cache_that_may_only_be_read_serves_analyses(place: Workshop, tmp_path: Path) -> None:
    cache = place.full_cache(tmp_path / "cache")
    with read_only(cache):
        reuses_all(place, cache)
        words = [place.data, "--recipe", place.recipe, "--cache", cache, "--out", tmp_path / "out", "--json"]
        assert place.run(["clusters", *words, "--permutations", 19]).code == 0


# Root as any other user: file permissions hold.
ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give files to others")
def test_files_of_another_user_are_read_where_they_may_be(place: Workshop, tmp_path: Path) -> None:
    cache = place.full_cache(tmp_path / "cache")
    for path in [cache, *cache.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o755 if path.is_dir() else 0o644)
    reuses_all(place, cache, before=ORDINARY)
    (cache / "features").chmod(0o700)
    done = place.run(place.extract(cache), before=ORDINARY)
    assert (done.code, done.out) == (1, "")
    assert "cannot be read" in done.err.splitlines()[-1]


def bitmaps(folder: Path) -> list[Path]:
    """Images whose files have one size, whatever they show."""
    generator = np.random.default_rng(0)
    (folder / "a").mkdir(parents=True)
    paths = [folder / "a" / f"{number}.bmp" for number in range(4)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (32, 32), np.uint8)).save(path)
    assert len({path.stat().st_size for path in paths}) == 1
    return paths


@pytest.mark.parametrize("seconds", [None, FUTURE, 0, -10_000, 315_532_800], ids=str)
def test_files_replaced_with_the_same_size_and_mtime_are_read_again(
    seconds: int | None, place: Workshop, tmp_path: Path
) -> None:
    paths = bitmaps(tmp_path / "data")
    other = paths[1].read_bytes()
    for path in paths if seconds is not None else ():
        os.utime(path, (seconds or 0, seconds or 0))
    time.sleep(2.1)  # until the stat cache would take them as they are
    cache = place.empty_cache(tmp_path / "cache")
    words = ["extract", tmp_path / "data", "--recipe", place.recipe, "--cache", cache, "--json"]
    assert place.run(words).json["computed"] == 4 * 3
    before = paths[0].stat()
    paths[0].write_bytes(other)  # without a new inode
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    after = paths[0].stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    export = tmp_path / "rows.npz"
    done = place.run([*words, "--export", export])
    assert (done.code, done.json["computed"]) == (0, 0), done.err
    with np.load(export, allow_pickle=False) as rows:
        digests = rows["sha256"][rows["view"] == 0]
    assert len(digests) == 4
    assert len(set(digests.tolist())) == 3


def test_names_that_differ_in_case_stay_apart(place: Workshop, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for label in ("covid", "Covid"):
        for name in ("a.png", "A.png", "a.PNG"):
            path = tmp_path / "data" / label / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (32, 32), np.uint8)).save(path, "png")
    if len(files_of(tmp_path / "data")) < 6:
        pytest.skip("the file system does not tell capital from small letters")
    cache, export = place.empty_cache(tmp_path / "cache"), tmp_path / "rows.npz"
    words = ["extract", tmp_path / "data", "--recipe", place.recipe, "--cache", cache, "--export", export, "--json"]
    assert place.run(words).json["images"] == 6
    with np.load(export, allow_pickle=False) as rows:
        found = {(name, label) for name, label in zip(rows["id"].tolist(), rows["label"].tolist(), strict=True)}
    assert found == {
        (f"{label}/{name}", label) for label in ("covid", "Covid") for name in ("a.png", "A.png", "a.PNG")
    }


def under(limit: str) -> list[str]:
    return ["bash", "-c", f'{limit} && exec "$@"', "limited"]


def test_few_open_files_are_enough_for_many_shards(place: Workshop, tmp_path: Path) -> None:
    cache = place.empty_cache(tmp_path / "cache")
    one_by_one = [*place.extract(cache)[:-4], "--batch-size", 1, "--engine", place.engine]
    assert place.run(one_by_one, before=under("ulimit -n 40")).code == 0
    assert len(list(cache.glob("features/*/*.arrow"))) > 40
    reuses_all(place, cache, before=under("ulimit -n 40"))
    done = place.run(["cache", "gc", "--cache", cache], before=under("ulimit -n 40"))
    assert done.code == 0, done.err
    reuses_all(place, cache, before=under("ulimit -n 40"))
    assert stored_rows(cache).keys() == place.rows.keys()


def test_too_little_address_space_gives_one_sentence_or_the_rows(place: Workshop, tmp_path: Path) -> None:
    cache = place.empty_cache(tmp_path / "cache")
    done = place.run(place.extract(cache), before=under("ulimit -v 1500000"))
    assert "Traceback" not in done.err
    place.check(cache)
    done = place.run(place.extract(cache))
    assert (done.code, done.json["rows"]) == (0, len(place.rows)), done.err


NO_LANGUAGE: dict[str, str | None] = dict.fromkeys(["LANG", "LC_ALL", "LC_CTYPE", "LANGUAGE", "PYTHONUTF8"])


@pytest.mark.parametrize(
    "changes",
    [
        {"TMPDIR": "/nowhere/at/all"},
        NO_LANGUAGE,
        NO_LANGUAGE | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": None},
        {"HOME": "/nowhere/at/all"},
        {"PATH": "/nowhere/at/all"},
    ],
    ids=["no temporary folder", "no language", "ASCII", "HOME not set", "no home", "no PATH"],
)
def test_odd_environments(changes: dict[str, str | None], place: Workshop, tmp_path: Path) -> None:
    cache = place.empty_cache(tmp_path / "cache")
    done = place.run(place.extract(cache), changes=changes)
    assert (done.code, done.json["computed"]) == (0, len(place.rows)), done.err
    assert place.check(cache) == len(place.rows)
    words = [place.data, "--recipe", place.recipe, "--cache", cache, "--out", tmp_path / "out"]
    done = place.run(["visualize", *words, "--method", "pca"], changes=changes)
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    assert (tmp_path / "out" / "pca-backbone-train.html").is_file()


def test_a_working_directory_that_is_gone(place: Workshop, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    reuses_all(
        place, place.full_cache(tmp_path / "cache"), before=["bash", "-c", 'rmdir "$PWD" && exec "$@"', "x"], cwd=gone
    )


def test_the_lowest_priority_changes_no_row(place: Workshop, tmp_path: Path) -> None:
    cache = place.empty_cache(tmp_path / "cache")
    assert place.run(place.extract(cache), before=["nice", "-n", "19"]).code == 0
    assert place.check(cache) == len(place.rows)
