"""Extraction that no disk or memory holds is refused before it begins; what is in the cache never is."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import SIZE, VIEWS, files_of, small_data

from featx import limits, predict
from featx.data import Item
from featx.errors import ResourcesError
from featx.features import FeatureExtractor, FeatureSpace, Image, compute, extract
from featx.features import extraction as extractions
from featx.features.estimates import LongWork, check_number_of_rows
from featx.networks import Engine, find_weights
from featx.recipes import Recipe
from featx.runs import fit_head
from featx.store import Store

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with no space left for even the smallest row."""
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(1, 1, 0))
    monkeypatch.setattr(limits, "LITTLE_DISK", 0)


def test_rows_that_the_disk_does_not_hold_are_refused_and_a_warm_cache_is_not(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=2, test=1, classes=2)
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(1, 1, 0))
    cache = tmp_path / "cache"
    with monkeypatch.context() as strict:
        strict.setattr(limits, "LITTLE_DISK", 0)
        with pytest.raises(ResourcesError, match=r"storing 6 rows of 96 features takes about 2\.3 kB"):
            extract(data, recipe, cache=cache)
        assert extract(data, recipe, cache=cache, yes=True).computed == 6
        assert extract(data, recipe, cache=cache).computed == 0
    # So little is tried without asking.
    assert extract(data, recipe, cache=tmp_path / "other").computed == 6


def test_the_transformer_has_the_argument_too(recipe: Recipe, tmp_path: Path, full_disk: None) -> None:
    images = [np.full((40, 40), level, np.uint8) for level in (10, 200)]
    extractor = FeatureExtractor(recipe, cache=tmp_path / "cache")
    with pytest.raises(ResourcesError, match="storing 2 rows of 96 features"):
        extractor.fit(images)
    assert extractor.set_params(yes=True).fit_transform(images).shape == (2, 96)


def test_half_precision_takes_half_the_disk(recipe: Recipe, tmp_path: Path, full_disk: None) -> None:
    data = small_data(tmp_path / "data", train=1, test=1, classes=2)
    half = recipe.replaced({"features.dtype": "float16"})
    with pytest.raises(ResourcesError, match=r"takes about 0\.8 kB"):
        extract(data, half, cache=tmp_path / "cache")


def test_millions_of_views_are_refused_before_they_are_listed(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = recipe.replaced({"views.count": 10_000, "views.rotation": 5.0})
    space = FeatureSpace(spec, find_weights(spec.backbone.name, "imagenet"), Store(tmp_path / "cache"))
    images = [Image(Item(str(n), Path(str(n)), "a", "train"), f"{n:064x}") for n in range(300)]
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(10**13, 0, 10**9))
    monkeypatch.setattr(extractions, "row_keys", None)
    with pytest.raises(ResourcesError, match=r"1\.0 GB free, but storing 3,000,000 rows of 96 features"):
        check_number_of_rows(space, images, 10_000)
    # A disk may hold them, and no memory the list.
    monkeypatch.setattr(limits, "available_memory", lambda: 10**9)
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(10**18, 0, 10**18))
    with pytest.raises(ResourcesError, match=r"a list of 3,000,000 rows takes about 1\.2 GB"):
        check_number_of_rows(space, images, 10_000)
    check_number_of_rows(space, images[:90], 10_000)


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_a_batch_that_no_memory_holds_is_refused(recipe: Recipe, tmp_path: Path, engine: Engine) -> None:
    data = small_data(tmp_path / "data", train=1, test=1, classes=2)
    extract(data, recipe, cache=tmp_path / "cache", engine=engine)
    data = small_data(tmp_path / "data", train=2, test=1, classes=2)
    for batch_size in (10**9, 10**30):
        with pytest.raises(ResourcesError, match=f"the network on {batch_size:,} images of 32 × 32 pixels at a time"):
            extract(data, recipe, cache=tmp_path / "cache", engine=engine, batch_size=batch_size)


def test_an_image_is_classified_on_a_full_disk(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=4, test=1, classes=2)
    fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache")
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(1, 1, 0))
    monkeypatch.setattr(limits, "available_memory", lambda: 0)
    image = files_of(data)[0]
    assert len(predict(tmp_path / "run", [image], cache=tmp_path / "new").rows) == 1


def test_views_that_are_made_in_parts_have_the_same_rows(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=2, test=1, classes=2)
    spec = recipe.replaced({"views.count": 7, **{f"views.{name}": value for name, value in VIEWS.items()}})
    whole = extract(data, spec, cache=tmp_path / "whole")
    monkeypatch.setattr(compute, "VIEW_BYTES", 2 * 3 * SIZE**2)
    parts = extract(data, spec, cache=tmp_path / "parts")
    assert parts.computed == 4 * 7 + 2
    train = whole.select("train")
    assert np.array_equal(
        np.concatenate(list(whole.view_rows(train, 7).chunks(100))),
        np.concatenate(list(parts.view_rows(parts.select("train"), 7).chunks(3))),
    )


@pytest.mark.parametrize(("total", "days"), [(10_000, ""), (10_000_000, "11 days")])
def test_days_of_extraction_are_a_notice(
    total: int, days: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter(range(0, 1000, 10))
    monkeypatch.setattr("featx.limits.time.monotonic", lambda: next(times))
    work = LongWork(total)
    for _ in range(20):
        work.done(100)
    sentence = f"rows that are left take about {days} at this pace; if you stop here, the rows so far are kept."
    texts = [record.getMessage() for record in caplog.records]
    assert texts == ([f"The 9,999,600 {sentence}"] if days else [])
