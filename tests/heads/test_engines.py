"""Which engine trains a head, and that both give the same run."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pipeline_data import read_table, small_data, small_recipe
from training_by_hand import dense, dropout, rows

from featx.errors import RecipeError, UntrustedError, UsageError
from featx.heads import engines as fit_engines
from featx.heads.engines import FitEngine, FusedFitter, KerasFitter, check_engine, make_fitter
from featx.heads.head import Head
from featx.heads.sampling import TrainingBatches
from featx.heads.training import fit_epochs
from featx.recipes import DenseLayer, HeadPart, Recipe
from featx.recipes.schema import Activation
from featx.runs import FitResult, fit_head
from featx.stats import Score

SOFT = DenseLayer(type="dense", units=5, activation="gelu", name="soft")
GELU = HeadPart(layers=(dense(6), SOFT, dense(4, "tanh")))
NARROW = DenseLayer(type="dense", units=5, name="narrow")
KNOWN = HeadPart(layers=(dropout(0.3), dropout(0.2), dense(6), NARROW, dropout(0.5)), penultimate="narrow")
ENGINES: tuple[Literal["fused", "keras"], ...] = ("fused", "keras")


def recipe_of(head: HeadPart, seed: int = 0) -> Recipe:
    return small_recipe(Path("any.keras"), {"fit.seed": seed, "head": head.model_dump()})


# The choice.


def test_auto_is_fused_where_it_supports_all_layers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "featx"):
        for head in (KNOWN, HeadPart(), HeadPart(output="sigmoid")):
            assert make_fitter("auto", recipe_of(head), 7, 2).name == "fused"
    assert caplog.messages == []


def test_auto_is_keras_for_another_activation_and_says_which(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "featx"):
        fitter = make_fitter("auto", recipe_of(GELU), 7, 3)
    assert (fitter.name, type(fitter)) == ("keras", KerasFitter)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "The engine keras trains the head, because layer soft has the activation gelu." in caplog.text


def test_auto_is_keras_on_a_gpu_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_engines, "has_gpu", lambda: True)
    with caplog.at_level(logging.INFO, "featx"):
        assert make_fitter("auto", recipe_of(KNOWN), 7, 3).name == "keras"
    assert caplog.messages == ["The engine keras trains the head, because there is a GPU."]
    assert make_fitter("fused", recipe_of(KNOWN), 7, 3).name == "fused"


def test_a_named_engine_is_used(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "featx"):
        assert [make_fitter(name, recipe_of(KNOWN), 7, 3).name for name in ENGINES] == list(ENGINES)
    assert caplog.messages == []


@pytest.mark.parametrize("activation", ["gelu", "elu", "selu", "silu", "tanh", "sigmoid"])
def test_fused_refuses_layers_that_it_does_not_support(activation: Activation) -> None:
    head = HeadPart(layers=(dense(4, activation),))
    with pytest.raises(RecipeError, match=f"layer dense_1 has the activation {activation}; use keras or auto"):
        check_engine("fused", head)
    check_engine("keras", head)
    check_engine("auto", head)
    check_engine("fused", KNOWN)


@pytest.mark.parametrize("name", ["Fused", "torch", ""])
def test_there_are_three_engines(name: str) -> None:
    with pytest.raises(UsageError, match=f"Expected the engine auto, fused or keras, received '{name}'"):
        check_engine(name, KNOWN)


@pytest.mark.parametrize(
    ("engine", "error"), [("fused", RecipeError), ("torch", UsageError)], ids=["unknown layer", "unknown engine"]
)
def test_a_fit_that_cannot_be_is_refused_before_any_work(engine: Any, error: type[Exception], tmp_path: Path) -> None:
    """Neither the data nor the network is there, and nobody has looked."""
    recipe = recipe_of(GELU)
    with pytest.raises(error):
        fit_head(tmp_path / "data", recipe, out=tmp_path / "run", cache=tmp_path / "cache", engine=engine)
    assert list(tmp_path.iterdir()) == []


# The fitters.


@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("softmax", 2), ("sigmoid", 2)])
def test_both_engines_start_with_the_same_weights(output: str, classes: int) -> None:
    head = KNOWN.model_copy(update={"output": output})
    expected = Head.build(head, 11, classes, 8).model.get_weights()
    for make in (FusedFitter, KerasFitter):
        found = make(recipe_of(head, seed=8), 11, classes).head().model.get_weights()
        assert len(found) == len(expected) == 6
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_both_engines_make_the_same_model() -> None:
    fused, keras = (make(recipe_of(KNOWN), 11, 3).head() for make in (FusedFitter, KerasFitter))
    assert [layer.name for layer in fused.model.layers] == [layer.name for layer in keras.model.layers]
    assert described(fused.model) == described(keras.model)
    assert fused.penultimate_layer == keras.penultimate_layer == "narrow"


def described(model: Any) -> list[dict[str, Any]]:
    """All that decides what a model computes, but for its weights."""
    of_drawing = ("kernel_initializer", "bias_initializer")
    return [
        {key: value for key, value in layer.get_config().items() if key not in of_drawing} for layer in model.layers
    ]


@pytest.mark.slow
@pytest.mark.parametrize("make", [FusedFitter, KerasFitter])
def test_the_head_is_what_the_fitter_fitted(make: type[FusedFitter | KerasFitter]) -> None:
    """And its logits before that are the head's: validation scores what is saved."""
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(30, 11)).astype(np.float32), np.arange(30) % 3
    fitter = make(recipe_of(KNOWN), 11, 3)
    batches = TrainingBatches(X, y, 1, 7, 0)
    for number in range(3):
        fitter.run_epoch(batches, number, 1e-2, number == 2)
    logits = fitter.logits([X])
    head = fitter.head()
    np.testing.assert_allclose(head.logits([X]), logits, rtol=1e-4, atol=1e-5)
    fresh = Head.build(KNOWN, 11, 3, 0)
    assert np.abs(fresh.logits([X]) - logits).max() > 0.1
    # The model takes part in what is done with it next, gradients included.
    assert [weight.shape for weight in head.model.trainable_weights] == [
        weight.shape for weight in fresh.model.trainable_weights
    ]


@pytest.mark.slow
@pytest.mark.parametrize("make", [FusedFitter, KerasFitter])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_patience_gives_the_weights_of_the_best_epoch(make: type[FusedFitter | KerasFitter], decay: float) -> None:
    """The same bits as a training that ends there, though the next epochs had begun; features are rarely active."""
    X, y = rows(40, 30, 3, zeros=0.9)
    head = HeadPart(layers=(dense(6),))
    losses = iter([3.0, 2.0, 1.0, 1.5, 1.2])
    validated = []

    def train(epochs: int, patience: int | None) -> tuple[Head, int]:
        fields = {"fit.epochs": epochs, "fit.patience": patience, "fit.weight_decay": decay}
        recipe = recipe_of(head).replaced(fields)
        fitter = make(recipe, 30, 3)

        def validate() -> Score:
            validated.append(fitter.logits([X]))
            return Score(1, 1, next(losses) if patience else None)

        history = list(fit_epochs(fitter, TrainingBatches(X, y, 1, 7, 0), validate, recipe.fit))
        np.testing.assert_allclose(fitter.logits([X]), validated[2], rtol=1e-6)
        return fitter.head(), len(history)

    patient, trained = train(20, 2)
    assert trained == 5
    assert np.abs(validated[4] - validated[2]).max() > 1e-2
    np.testing.assert_allclose(patient.logits([X]), validated[2], rtol=1e-4, atol=1e-5)
    validated.clear()
    short, _ = train(3, None)
    for one, other in zip(patient.model.get_weights(), short.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


# Whole runs.


@pytest.fixture(scope="module")
def runs(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FitResult]:
    """The same recipe fitted by both engines, without dropout, by views, at two rates."""
    root = tmp_path_factory.mktemp("engines")
    data = small_data(root / "data", train=6, test=3)
    head = HeadPart(layers=(dense(16), dense(8, "linear")), penultimate="dense_2")
    recipe = small_recipe(
        tiny_model,
        {
            "head": head.model_dump(),
            "views.count": 2,
            "views.horizontal_flip": True,
            "fit.epochs": 8,
            "fit.batch_size": 5,
            "fit.learning_rate": 1e-2,
            "fit.schedule": {"kind": "factor", "boundaries": (5,), "values": (1.0, 0.2)},
        },
    )
    return {
        engine: fit_head(data, recipe, out=root / engine, cache=root / "cache", engine=engine) for engine in ENGINES
    }


def shape_of(document: Any) -> Any:
    """A JSON document's keys, with the types of its values."""
    if isinstance(document, dict):
        return {key: shape_of(value) for key, value in document.items()}
    return [shape_of(value) for value in document] if isinstance(document, list) else type(document)


@pytest.mark.slow
def test_runs_hold_the_same_files_whichever_engine_fitted(runs: dict[str, FitResult]) -> None:
    for engine, result in runs.items():
        assert result.engine == engine
        assert json.loads((result.run / "metrics.json").read_text("utf-8"))["engine"] == engine
    fused, keras = (runs[engine].run for engine in ENGINES)
    assert {path.name for path in fused.iterdir()} == {path.name for path in keras.iterdir()}
    assert (fused / "recipe.toml").read_bytes() == (keras / "recipe.toml").read_bytes()
    for name in ("metrics.json", "manifest.json"):
        one, other = (json.loads((run / name).read_text("utf-8")) for run in (fused, keras))
        assert shape_of(one) == shape_of(other)
    for name in ("history.csv", "predictions.csv"):
        one, other = read_table(fused / name), read_table(keras / name)
        assert [list(row) for row in one] == [list(row) for row in other]


def test_runs_hold_the_same_numbers_whichever_engine_fitted(runs: dict[str, FitResult]) -> None:
    fused, keras = (runs[engine] for engine in ENGINES)
    X = fused.extraction.table().X
    heads = [Head.load(result.run / "head.keras") for result in (fused, keras)]
    logits = [head.logits([X]) for head in heads]
    assert described(heads[0].model) == described(heads[1].model)
    assert np.ptp(logits[0]) > 1
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-3)
    figures = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    histories = [
        [[getattr(epoch, name) for name in figures] for epoch in result.history] for result in (fused, keras)
    ]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-3)
    for one, other in zip(*(read_table(result.run / "predictions.csv") for result in (fused, keras)), strict=True):
        shares = [key for key in one if key.startswith("p_")]
        assert {key: one[key] for key in one if key not in shares} == {
            key: other[key] for key in one if key not in shares
        }
        p_fused, p_keras = ([float(row[key]) for key in shares] for row in (one, other))
        np.testing.assert_allclose(p_fused, p_keras, atol=1e-3)
    assert (fused.validation.correct, fused.validation.n) == (keras.validation.correct, keras.validation.n)
    assert keras.history[-1].val_accuracy == keras.validation.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_fit_that_diverges_is_refused(engine: FitEngine, runs: dict[str, FitResult], tmp_path: Path) -> None:
    result = runs[engine]
    recipe = result.recipe.replaced({"fit.learning_rate": 1e30})
    root = result.run.parent
    with pytest.raises(UntrustedError, match=r"in epoch 1 the training diverged at a learning rate of 1e\+30"):
        fit_head(root / "data", recipe, out=tmp_path / "run", cache=root / "cache", engine=engine)
    assert not (tmp_path / "run").exists()


# What is loaded.


@pytest.mark.slow
def test_the_engine_keras_needs_no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("featx.heads.fused.network", "featx.heads.fused.layers", "numba"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it is an error
    X, y = np.ones((8, 5), np.float32), np.arange(8) % 2
    fitter = make_fitter("keras", recipe_of(KNOWN), 5, 2)
    fitter.run_epoch(TrainingBatches(X, y, 1, 4, 0), 0, 0.01, True)
    assert fitter.head().logits([X]).shape == (8, 2)
    with pytest.raises(ImportError):
        make_fitter("fused", recipe_of(KNOWN), 5, 2)


def test_choosing_an_engine_loads_none() -> None:
    script = "import featx.heads.engines, sys; print(*{'numba', 'keras', 'tensorflow', 'numpy'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ended.stdout.split() == ["numpy"]
