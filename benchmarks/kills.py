"""Commands that are killed again and again: rows must stay right, and no half run may count as complete.

    python benchmarks/kills.py [--kills 90] [--fits 67] [--engine openvino] [--seed 0]

Kills extractions with augmented views and fits of a head (SIGKILL) at seeded moments, half of them just before a
change to a file. After each one, all stored rows are compared bit for bit with those of an undisturbed extraction,
and a folder with a `manifest.json` must hold what an undisturbed fit writes. Now and then the command is run to its
end, which must compute exactly what is missing. Prints one JSON object; a wrong row ends the script with an error.
The tests in `tests/robustness` do the same with fewer kills.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from killed_processes import Ended, Workshop, stored_rows, workshop

EVERY = 5  # after so many kills the command runs to its end
WRITES = 60  # changes to files within a command, roughly


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=90, help="of extractions")
    parser.add_argument("--fits", type=int, default=67, help="kills of fits")
    parser.add_argument("--engine", default="openvino", choices=["openvino", "keras"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = workshop(Path(folder) / "place", options.engine)
        moments = random.Random(options.seed)
        counts = {
            "extract": killed_extractions(place, Path(folder), moments, options.kills),
            "fit_head": killed_fits(place, Path(folder), moments, options.fits),
        }
        print(json.dumps(counts))


def disturbed(
    place: Workshop, words: Sequence[object], below: Path, moments: random.Random, seconds: float, number: int
) -> Ended:
    """Run a command that is killed at a random moment, or before a random change to a file."""
    if number % 2:
        return place.run(words, write=moments.randrange(1, WRITES), below=below)
    return place.run_to(moments.uniform(0.2, 1.0) * seconds, words)


def killed_extractions(place: Workshop, root: Path, moments: random.Random, kills: int) -> dict[str, int]:
    cache = place.empty_cache(root / "cache")
    start = time.monotonic()
    place.run(place.extract(cache))
    seconds = time.monotonic() - start
    counts = dict.fromkeys(["killed", "ended", "finished"], 0)
    while counts["killed"] < kills:
        number = counts["killed"] + counts["ended"]
        if number % EVERY == 0:
            place.empty_cache(cache)
        done = disturbed(place, place.extract(cache), cache, moments, seconds, number)
        counts["killed" if done.was_killed else "ended"] += 1
        assert done.was_killed or done.code == 0, done.err
        kept = place.check(cache)
        if number % EVERY == EVERY - 1:
            done = place.run(place.extract(cache))
            assert (done.code, done.json["reused"]) == (0, kept), done.err
            assert place.check(cache) == len(place.rows)
            counts["finished"] += 1
    return counts


def killed_fits(place: Workshop, root: Path, moments: random.Random, kills: int) -> dict[str, int]:
    cache, run = place.full_cache(root / "cache"), root / "run"
    start = time.monotonic()
    place.run(place.fit(cache, root / "expected"))
    seconds = time.monotonic() - start
    rows = stored_rows(cache)
    predictions = (root / "expected" / "predictions.csv").read_bytes()
    counts = dict.fromkeys(["killed", "ended", "finished", "complete"], 0)
    while counts["killed"] < kills:
        number = counts["killed"] + counts["ended"]
        done = disturbed(place, place.fit(cache, run), run, moments, seconds, number)
        counts["killed" if done.was_killed else "ended"] += 1
        assert done.was_killed or done.code == 0, done.err
        place.check(cache, rows)
        if number % EVERY == EVERY - 1:
            done = place.run(place.fit(cache, run))
            assert done.code == 0, done.err
            counts["finished"] += 1
        if (run / "manifest.json").exists():
            assert (run / "predictions.csv").read_bytes() == predictions
            done = place.run(["predict", run, place.data / "test", "--cache", cache])
            assert done.code == 0, done.err
            counts["complete"] += 1
    return counts


if __name__ == "__main__":
    main()
