"""Files of a cache with flipped bits, cut short or swapped: noticed and made again, or harmless."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from killed_processes import BATCH, Workshop
from pipeline_data import check_same_rows, files_of

from featx.features import Extraction, extract
from featx.recipes import load_recipe
from featx.store import Store, verify

pytestmark = pytest.mark.slow

FILES = {
    "shard": "features/*/*.arrow",
    "description": "features/*/space.json",
    "network": "networks/*.json",
    "stat cache": "stat-cache/*.sqlite",
}
DAMAGE: dict[str, Callable[[bytearray, random.Random], None]] = {}


def damage(function: Callable[[bytearray, random.Random], None]) -> Callable[[bytearray, random.Random], None]:
    DAMAGE[function.__name__] = function
    return function


@damage
def flip(content: bytearray, moments: random.Random) -> None:
    content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)


@damage
def flip_many(content: bytearray, moments: random.Random) -> None:
    for _ in range(20):
        flip(content, moments)


@damage
def cut(content: bytearray, moments: random.Random) -> None:
    del content[moments.randrange(len(content)) :]


@damage
def blank(content: bytearray, moments: random.Random) -> None:
    """Zeros from somewhere to the end, as a file has after a power failure."""
    start = moments.randrange(len(content))
    content[start:] = bytes(len(content) - start)


@damage
def lengthen(content: bytearray, moments: random.Random) -> None:
    content += moments.randbytes(64)


@damage
def empty(content: bytearray, moments: random.Random) -> None:
    content.clear()


def again(place: Workshop, cache: Path) -> Extraction:
    return extract(place.data, load_recipe(place.recipe), cache=cache, batch_size=BATCH, engine="openvino")


@pytest.fixture(scope="module")
def expected(place: Workshop) -> Extraction:
    time.sleep(2.1)  # until the images are old enough for the stat cache to list them
    extraction = again(place, place.whole)
    assert extraction.computed == 0
    assert len(list(place.whole.glob(FILES["stat cache"]))) == 1
    return extraction


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("how", DAMAGE)
def test_damage_changes_no_row(how: str, kind: str, place: Workshop, expected: Extraction, tmp_path: Path) -> None:
    moments = random.Random(f"{how} {kind}")
    for _ in range(1 if how == "empty" else 8):
        cache = place.full_cache(tmp_path / "cache")
        file = moments.choice(sorted(cache.glob(FILES[kind])))
        content = bytearray(file.read_bytes())
        DAMAGE[how](content, moments)
        file.write_bytes(content)
        extraction = again(place, cache)
        check_same_rows(extraction, expected)
        assert extraction.computed <= (BATCH if kind == "shard" else 0)
        assert place.check(cache) == len(place.rows)
        if kind != "stat cache":  # which `verify` removes; it saves time and decides nothing
            assert verify(Store(cache)).damaged == []


def test_a_shard_under_the_name_of_another_is_not_taken_for_it(
    place: Workshop, expected: Extraction, tmp_path: Path
) -> None:
    cache = place.full_cache(tmp_path / "cache")
    folder = max((cache / "features").iterdir(), key=lambda folder: len(files_of(folder)))
    one, other, *_ = sorted(folder.glob("*.arrow"))
    one.write_bytes(other.read_bytes())
    extraction = again(place, cache)
    check_same_rows(extraction, expected)
    assert 0 < extraction.computed <= BATCH
    assert np.isfinite(extraction.table().X).all()
