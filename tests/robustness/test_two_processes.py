"""Two commands at once on one cache, one of which may be killed: rows are right and nothing is computed in vain."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from killed_processes import Workshop, ended, stored_rows
from pipeline_data import read_table

from featx.runs import read_run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_extractions_one_of_which_is_killed(seed: int, place: Workshop, tmp_path: Path) -> None:
    cache, moments = place.empty_cache(tmp_path / "cache"), random.Random(seed)
    other = place.start(place.extract(cache))
    place.run(place.extract(cache), write=moments.randrange(2, 50), below=cache)
    done = ended(other)
    assert (done.code, done.json["rows"]) == (0, len(place.rows)), done.err
    assert place.check(cache) == len(place.rows)
    assert place.run(place.extract(cache)).json["computed"] == 0


def test_an_extraction_while_gc_runs_again_and_again(place: Workshop, tmp_path: Path) -> None:
    cache = place.empty_cache(tmp_path / "cache")
    process = place.start(place.extract(cache))
    collections = 0
    while process.poll() is None:
        done = place.run(["cache", "gc", "--cache", cache], write=17 if collections % 3 == 2 else 0, below=cache)
        assert done.was_killed or done.code == 0, done.err
        collections += 1
    done = ended(process)
    assert (done.code, done.json["rows"]) == (0, len(place.rows)), done.err
    assert collections
    assert place.check(cache) == len(place.rows)


def test_a_fit_while_gc_merges_the_shards_that_it_reads(place: Workshop, tmp_path: Path) -> None:
    cache, run = place.full_cache(tmp_path / "cache"), tmp_path / "run"
    expected = place.run(place.fit(cache, tmp_path / "expected"))
    assert expected.code == 0, expected.err
    rows = stored_rows(cache)
    place.full_cache(cache)
    process = place.start(place.fit(cache, run))
    time.sleep(0.3)
    assert place.run(["cache", "gc", "--cache", cache]).code == 0
    done = ended(process)
    assert done.code == 0, done.err
    assert read_table(run / "predictions.csv") == read_table(tmp_path / "expected" / "predictions.csv")
    assert read_run(run).manifest["head"] == read_run(tmp_path / "expected").manifest["head"]
    assert place.check(cache, rows) == len(rows)
