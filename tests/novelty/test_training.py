from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pipeline_data import small_data, small_recipe

from featx.errors import RunError
from featx.novelty import reference_of, stored_reference, training_images
from featx.runs import FitResult, Run, fit_head, read_run
from featx.store import Store


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    root = tmp_path_factory.mktemp("novelty")
    small_data(root / "data", train=6, test=2)
    return fit_head(root / "data", small_recipe(tiny_model), out=root / "run", cache=root / "cache")


@pytest.fixture
def run(fitted: FitResult) -> Run:
    return read_run(fitted.run)


@pytest.fixture
def store(fitted: FitResult) -> Store:
    return fitted.extraction.store


def test_a_reference_has_the_training_images_and_no_test_image(run: Run, store: Store) -> None:
    source = training_images(run, store)
    assert len(source.table) == 4 * 6
    assert not {image.digest for image in run.images if image.split == "test"} & set(source.table.digests)
    assert np.isfinite(reference_of(source).distances).all()


def test_rows_of_the_cache_give_the_same_reference_in_any_order(run: Run, store: Store) -> None:
    source = training_images(run, store)
    expected = reference_of(source)
    images = [image for image in run.images if image.split != "test"]
    new = np.random.default_rng(0).normal(size=(4, source.table.X.shape[1])).astype(np.float32)
    for ordered in (images, images[::-1]):
        digests, groups = [image.digest for image in ordered], [image.group for image in ordered]
        reference = stored_reference(store, source.feature_set, digests, groups)
        np.testing.assert_array_equal(reference.distances, expected.distances)
        np.testing.assert_array_equal(reference.typicality(new), expected.typicality(new))


def test_rows_that_the_cache_lacks_are_said(run: Run, tmp_path: Path) -> None:
    digests = [image.digest for image in run.images]
    with pytest.raises(RunError, match=r"the cache .* lacks some; pass the cache of the fit with --cache"):
        stored_reference(Store(tmp_path), "0" * 32, digests, [None] * len(digests))
