"""Real radiographs and real weights, where they lie beside the project."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from featx.features import extract
from featx.recipes import load_recipe
from featx.runs import FitResult, fit_head

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shared_data: Path, shared_weights: Path) -> Iterator[FitResult]:
    """The report's first model, each image as it is, for fewer epochs."""
    root = tmp_path_factory.mktemp("real")
    recipe = load_recipe("covid2-vgg16", {"views.count": 1, "fit.epochs": 12})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATX_WEIGHTS_DIR", str(shared_weights))
        found = fit_head(shared_data / "two", recipe, out=root / "run", cache=root / "cache")
    yield found
    shutil.rmtree(root)


def test_the_first_model_has_the_reports_size(fitted: FitResult) -> None:
    assert fitted.parameters == {"total": 21_137_729, "trainable": 6_423_041, "non_trainable": 14_714_688}
    assert (fitted.extraction.rows, fitted.extraction.computed, fitted.extraction.dim) == (148, 148, 25_088)
    assert [score.n for score in (fitted.train, fitted.validation, fitted.test)] == [104, 26, 18]


def test_it_tells_covid_from_normal(fitted: FitResult) -> None:
    assert fitted.test.correct >= 16


def test_nothing_is_computed_twice(fitted: FitResult, shared_data: Path, shared_weights: Path) -> None:
    recipe = load_recipe(
        "covid2-vgg16", {"views.count": 1, "backbone.weights": str(shared_weights / "vgg16_notop.weights.h5")}
    )
    again = extract(shared_data / "two", recipe, cache=fitted.extraction.store.root)
    # The same weights by another way are the same weights.
    assert (again.rows, again.computed, again.space.plain.id) == (148, 0, fitted.extraction.space.plain.id)
