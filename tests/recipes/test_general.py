"""The recipes `linear` and `mlp`, for any data and any backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blobs import blobs

from featx import FitResult, fit_head, write_phantoms
from featx.heads import FitEngine, TrainingBatches, fit_epochs, make_fitter
from featx.recipes.files import load_recipe
from featx.stats import Score, score

WIDTH = 64


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("data"), train=30, test=25, classes=("covid", "normal"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_they_are_for_any_data(name: str) -> None:
    recipe = load_recipe(name)
    assert "covid" not in recipe.model_dump_json()
    assert (recipe.backbone.name, recipe.backbone.pooling) == ("efficientnetlite0", "avg")
    assert (recipe.preprocess.mode, recipe.views.count) == ("imagenet", 1)
    assert recipe.fit.patience is not None
    assert recipe.fit.validation > 0  # else there is no epoch to stop at


def test_only_mlp_has_penultimate_features() -> None:
    assert load_recipe("linear").head.dense_names() == []
    assert load_recipe("mlp").head.penultimate in load_recipe("mlp").head.dense_names()


@pytest.mark.parametrize("engine", ["fused", pytest.param("keras", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["linear", "mlp"])
@pytest.mark.parametrize(("length", "loss"), [(1, 0.9), (15, 0.3), (80, 0.3)])
def test_they_learn_features_of_any_length(name: str, engine: FitEngine, length: float, loss: float) -> None:
    """Rows of EfficientNet-Lite0 have a length of about 15, those of VGG16 of about 80; some networks give 1."""
    rows, labels = blobs((60, 40, 60, 20), columns=WIDTH)
    rows = np.maximum(rows, 0)  # as pooled features are
    rows *= np.float32(length / np.linalg.norm(rows, axis=1).mean())
    train, validation, test = np.split(np.arange(len(rows)), [90, 120])
    recipe = load_recipe(name)
    fitter = make_fitter(engine, recipe, WIDTH, 4)

    def scored(part: np.ndarray) -> Score:
        return score(fitter.logits([rows[part]]), labels[part])

    batches = TrainingBatches(rows[train], labels[train], 1, recipe.fit.batch_size, 0)
    history = list(fit_epochs(fitter, batches, lambda: scored(validation), recipe.fit))
    assert len(history) <= recipe.fit.epochs
    result = scored(test)
    assert result.correct / result.n > 0.9
    assert result.loss is not None
    assert result.loss < loss


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["fused", "keras"])
@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_they_tell_phantoms_apart(name: str, engine: FitEngine, phantoms: Path, cache: Path, tmp_path: Path) -> None:
    result: FitResult = fit_head(phantoms, name, out=tmp_path / "run", cache=cache, engine=engine)
    assert result.test.n == 50
    assert result.test.correct >= 43
    assert result.test.loss is not None
    assert result.test.loss < 0.4
