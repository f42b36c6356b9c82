"""Commands that are killed: no wrong row, no half run that counts as complete, and the next call ends as if alone."""

from __future__ import annotations

import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from killed_processes import BATCH, Ended, Workshop, stored_rows, workshop
from pipeline_data import read_table

from featx.errors import RunError
from featx.runs import read_run

pytestmark = pytest.mark.slow

# Changes to files within an extraction or a fit, roughly.
WRITES = 60
FIT_WRITES = 34


def same(document: Any) -> Any:
    """A result without what differs from call to call: times, and where files are."""
    if isinstance(document, dict):
        left_out = {"seconds", "images_per_second", "run", "computed", "reused", "bytes", "files", "stored"}
        return {name: same(value) for name, value in document.items() if name not in left_out}
    return [same(value) for value in document] if isinstance(document, list) else document


def check_finished(place: Workshop, cache: Path) -> None:
    """The next extraction computes what is missing and nothing else; the cache is sound."""
    kept = place.check(cache)
    done = place.run(place.extract(cache))
    assert (done.code, done.json["rows"], done.json["reused"]) == (0, len(place.rows), kept), done.err
    assert place.check(cache) == len(place.rows)
    assert not list(cache.rglob("set-aside"))


def test_extractions_killed_at_any_moment_leave_right_rows(place: Workshop, tmp_path: Path) -> None:
    cache, moments = place.empty_cache(tmp_path / "cache"), random.Random(1)
    start = time.monotonic()
    place.run(place.extract(cache))
    seconds = time.monotonic() - start
    killed = 0
    for number in range(14):
        if number % 2 == 0:
            place.empty_cache(cache)
        if number % 4 < 2:
            killed += place.run_to(moments.uniform(0.4, 1) * seconds, place.extract(cache)).was_killed
        else:
            write = moments.randrange(1, WRITES)
            killed += place.run(place.extract(cache), write=write, below=cache).was_killed
        place.check(cache)
        if number % 2:
            check_finished(place, cache)
    assert killed >= 8


def test_extractions_killed_with_a_cold_network_leave_right_rows(place: Workshop, tmp_path: Path) -> None:
    cache, moments = tmp_path / "cache", random.Random(2)
    for write in moments.sample(range(1, 25), 3):  # while the network is converted, most of them
        done = place.run(place.extract(cache), write=write, below=cache)
        assert done.was_killed or done.code == 0
        place.check(cache)
    check_finished(place, cache)


def test_extractions_by_keras_killed_at_any_moment_leave_right_rows(tmp_path: Path) -> None:
    place = workshop(tmp_path / "keras", "keras")
    cache, moments = tmp_path / "cache", random.Random(3)
    for write in moments.sample(range(1, WRITES), 3):
        assert place.run(place.extract(cache), write=write, below=cache).was_killed
        place.check(cache)
    check_finished(place, cache)


def is_complete(run: Path) -> bool:
    """Whether the folder counts as a run; then all its files are whole."""
    if not (run / "manifest.json").exists():
        with pytest.raises(RunError, match="fit a head first"):
            read_run(run)
        return False
    opened = read_run(run)
    assert len(opened.images) == 18
    assert len(opened.history) == opened.recipe.fit.epochs
    assert opened.metrics["epochs"] == opened.recipe.fit.epochs
    assert zipfile.ZipFile(run / "head.keras").testzip() is None
    return True


def check_fitted(done: Ended, run: Path, expected: Ended, expected_run: Path) -> None:
    assert done.code == 0, done.err
    assert same(done.json) == same(expected.json)
    assert read_table(run / "predictions.csv") == read_table(expected_run / "predictions.csv")
    assert is_complete(run)
    assert read_run(run).manifest["head"] == read_run(expected_run).manifest["head"]


def test_fits_killed_at_any_moment_leave_no_half_run(place: Workshop, tmp_path: Path) -> None:
    cache, run, moments = place.full_cache(tmp_path / "cache"), tmp_path / "run", random.Random(4)
    start = time.monotonic()
    expected = place.run(place.fit(cache, tmp_path / "expected"))
    seconds = time.monotonic() - start
    rows, killed = stored_rows(cache), 0  # those of the head's penultimate layer too
    place.full_cache(cache)
    for number in range(12):
        if number % 3:
            write = moments.randrange(1, FIT_WRITES)
            done = place.run(place.fit(cache, run), write=write, below=run)
        else:
            done = place.run_to(moments.uniform(0.6, 1) * seconds, place.fit(cache, run))
        killed += done.was_killed
        assert done.was_killed or done.code == 0, done.err
        if is_complete(run):  # an earlier one, whose files are not mixed with those of the fit that was killed
            assert read_table(run / "predictions.csv") == read_table(tmp_path / "expected" / "predictions.csv")
        place.check(cache, rows)
        if number % 4 == 3:
            check_fitted(place.run(place.fit(cache, run)), run, expected, tmp_path / "expected")
    assert killed >= 8
    predicted = place.run(["predict", run, *sorted((place.data / "test").rglob("*.png")), "--cache", cache, "--json"])
    table = {row["path"]: row["predicted"] for row in read_table(run / "predictions.csv")}
    assert [table[str(Path(row["path"]).relative_to(place.data))] for row in predicted.json["predictions"]] == [
        row["label"] for row in predicted.json["predictions"]
    ]


COMMANDS: dict[str, list[object]] = {
    "compare": ["--classifiers", "logreg,knn,pixels", "--folds", 2, "--repeats", 1, "--jobs", 1],
    "sweep": ["--batch-size", "4,8", "--seeds", 2],
    "visualize": ["--method", "pca"],
    "clusters": ["--permutations", 19],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_results_killed_while_they_are_written_are_written_by_the_next_call(
    name: str, place: Workshop, tmp_path: Path
) -> None:
    def words(out: str) -> list[object]:
        places = ["--recipe", place.recipe, "--cache", cache, "--out", tmp_path / out]
        return [name, place.data, *places, *COMMANDS[name], "--json"]

    cache, moments = place.full_cache(tmp_path / "cache"), random.Random(name)
    expected = place.run(words("expected"))
    assert expected.code == 0, expected.err
    rows = stored_rows(cache)
    place.full_cache(cache)
    killed = 0
    for write in (moments.randrange(1, 8), moments.randrange(8, 24), moments.randrange(8, 40)):
        done = place.run(words("out"), write=write, below=tmp_path)
        assert done.was_killed or done.code == 0, done.err
        killed += done.was_killed
    assert killed
    done = place.run(words("out"))
    assert done.code == 0, done.err
    assert same(done.json) == same(expected.json)
    assert stored_rows(cache) == rows
    left = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".tmp-")}
    assert left == {path.name for path in (tmp_path / "expected").iterdir()}


def test_gc_killed_at_any_write_loses_no_row(place: Workshop, tmp_path: Path) -> None:
    cache, killed = place.full_cache(tmp_path / "cache"), 0
    shards = len(list(cache.glob("features/*/*.arrow")))
    assert shards > len(place.rows) // BATCH
    for write in range(1, 3 * shards, 2):
        done = place.run(["cache", "gc", "--cache", cache], write=write, below=cache)
        assert done.was_killed or done.code == 0, done.err
        killed += done.was_killed
        assert place.check(cache) == len(place.rows)
        if done.code == 0:
            break
        if write % 3:  # go on with what the killed one left, or begin anew
            place.full_cache(cache)
    assert killed >= 3
    assert place.run(["cache", "gc", "--cache", cache]).code == 0
    assert len(list(cache.glob("features/*/*.arrow"))) == 3  # of both sets, and of bit depths
    check_finished(place, cache)
