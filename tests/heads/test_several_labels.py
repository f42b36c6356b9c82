"""Heads for several labels: both engines against each other, and against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline_data import small_recipe
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from training_by_hand import dense, dropout

from featx.heads import Epoch, FitEngine, Fitter, Head, TrainingBatches, fit_epochs, make_fitter
from featx.heads.fused.label_loss import label_cross_entropy
from featx.heads.training import balanced_label_weights
from featx.recipes import HeadPart, Recipe
from featx.stats import score

Matrix = NDArray[np.float32]
WIDTH = 23
ENGINES: tuple[FitEngine, FitEngine] = ("fused", "keras")


def recipe_of(head: HeadPart, **fit: float | str | None) -> Recipe:
    return small_recipe(Path("any.keras"), {"head": head.model_dump(), **{f"fit.{k}": v for k, v in fit.items()}})


def rows(n: int = 61, labels: int = 4, unknown: float = 0.3, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return rows and targets that depend on them; the first row has no known label."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, WIDTH)) * (generator.random((n, WIDTH)) > 0.4)
    chances = expit(X @ generator.normal(size=(WIDTH, labels)) - 1)
    targets = (generator.random((n, labels)) < chances).astype(np.float32)
    targets[generator.random((n, labels)) < unknown] = np.nan
    targets[0] = np.nan
    return X.astype(np.float32), targets


def fit(engine: FitEngine, recipe: Recipe, X: Matrix, targets: Matrix) -> tuple[Fitter, list[Epoch]]:
    weights = None if recipe.fit.class_weight is None else balanced_label_weights(targets)
    fitter = make_fitter(engine, recipe, X.shape[1], targets.shape[1], weights, multilabel=True)
    batches = TrainingBatches(X, targets, 1, recipe.fit.batch_size, recipe.fit.seed)
    return fitter, list(fit_epochs(fitter, batches, lambda: score(fitter.logits([X]), targets), recipe.fit))


CASES = {
    "linear": recipe_of(HeadPart(output="sigmoid"), batch_size=8, epochs=9),
    # A batch of one row, which may have no known label.
    "batches of 1": recipe_of(HeadPart(output="sigmoid"), batch_size=1, epochs=2),
    "softmax is replaced": recipe_of(HeadPart(output="softmax"), batch_size=10, epochs=9),
    "deep": recipe_of(HeadPart(layers=(dense(9), dense(6, "linear")), output="sigmoid"), batch_size=7, epochs=8),
    "balanced, decay, zeros": recipe_of(
        HeadPart(output="sigmoid", logits_kernel="zeros"),
        batch_size=8,
        epochs=9,
        class_weight="balanced",
        weight_decay=3.0,
    ),
    "patience": recipe_of(HeadPart(output="sigmoid"), batch_size=8, epochs=9, patience=2),
}


@pytest.mark.parametrize("name", CASES)
def test_both_engines_train_the_same_head(name: str) -> None:
    recipe = CASES[name].replaced({"fit.learning_rate": 1e-2})
    X, targets = rows()
    (fused, history), (keras, wanted) = (fit(engine, recipe, X, targets) for engine in ENGINES)
    for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
        values, expected = ([getattr(epoch, column) for epoch in each] for each in (history, wanted))
        np.testing.assert_allclose(values, expected, rtol=1e-4, err_msg=column)
    heads = fused.head(), keras.head()
    assert heads[0].model.output_shape == (None, 4)
    assert heads[0].model.layers[-1].get_config()["activation"] == "sigmoid"
    for one, other in zip(*(head.model.get_weights() for head in heads), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)
    # Training has an effect: the logits explain the known labels better than chance.
    assert wanted[-1].val_loss is not None
    assert wanted[0].loss - wanted[-1].val_loss > 0.05


def test_one_label_is_as_two_classes_with_sigmoid() -> None:
    """Where every image is known, the labels 0 and 1 of one column are two classes."""
    X, targets = rows(labels=1, unknown=0.0)
    targets[0] = 1
    recipe = CASES["linear"]
    fitter, history = fit("fused", recipe, X, targets)
    classes = targets[:, 0].astype(np.int64)
    two = make_fitter("fused", recipe, WIDTH, 2)
    batches = TrainingBatches(X, classes, 1, recipe.fit.batch_size, recipe.fit.seed)
    wanted = list(fit_epochs(two, batches, lambda: score(two.logits([X]), classes), recipe.fit))
    np.testing.assert_allclose([e.loss for e in history], [e.loss for e in wanted], rtol=1e-6)
    np.testing.assert_allclose(fitter.logits([X]), two.logits([X]), rtol=1e-4, atol=1e-5)


def test_rows_without_a_known_label_change_nothing() -> None:
    X, targets = rows(n=16, unknown=0.0)
    recipe = CASES["linear"].replaced({"fit.batch_size": 32})
    others = np.concatenate([X, 9 * X[:5]]), np.concatenate([targets, np.full((5, 4), np.nan, np.float32)])
    for engine in ENGINES:
        alone, with_unknown = (fit(engine, recipe, *data)[1] for data in ((X, targets), others))
        np.testing.assert_allclose(
            [(e.loss, e.accuracy) for e in with_unknown], [(e.loss, e.accuracy) for e in alone], rtol=1e-5
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_known_at_all_is_no_nan(engine: FitEngine) -> None:
    X, targets = rows()
    fitter, history = fit(engine, CASES["linear"], X, np.full_like(targets, np.nan))
    assert {(epoch.loss, epoch.accuracy, epoch.val_loss) for epoch in history} == {(0.0, 0.0, None)}
    fresh = Head.build(CASES["linear"].head, WIDTH, 4, CASES["linear"].fit.seed, multilabel=True)
    np.testing.assert_allclose(fitter.logits([X]), fresh.logits([X]), atol=1e-5)


def test_the_loss_and_its_derivative() -> None:
    """Against the formula in double precision and differences of the loss."""
    z = np.array([[0.0, -0.5, 3.0], [40.0, -40.0, 1.0], [200.0, -200.0, 5.0]])
    y = np.array([[1, 0, np.nan], [0, 1, 1], [1, 0, np.nan]])
    weights = np.array([[0.5, 3.0], [2.0, 0.7], [1.0, 1.5]])

    def losses(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        each = np.logaddexp(0, logits) - np.nan_to_num(y) * logits
        return np.where(np.isnan(y), 0, each * np.where(y == 1, weights[:, 1], weights[:, 0]))

    with np.errstate(over="ignore"):  # as the engine has it
        total, right, delta = label_cross_entropy(
            z.astype(np.float32), y.astype(np.float32), weights.astype(np.float32)
        )
    assert total == pytest.approx(losses(z).sum(), rel=1e-6)
    assert right == 2
    step = 1e-4
    for place in np.ndindex(z.shape):
        moved = np.zeros_like(z)
        moved[place] = step
        slope = (losses(z + moved) - losses(z - moved)).sum() / (2 * step) / 7
        assert delta[place] == pytest.approx(slope, abs=1e-5)
    assert delta.dtype == np.float32


def test_balanced_weights_are_those_of_scikit_learn_by_label() -> None:
    _, targets = rows(n=200)
    targets[:, 3] = 1  # none without it
    weights = balanced_label_weights(targets)
    for column, both in zip(targets.T[:3], weights, strict=False):
        known = column[np.isfinite(column)]
        np.testing.assert_allclose(both, compute_class_weight("balanced", classes=np.array([0, 1]), y=known))
    assert weights[3, 1] == 0.5
    assert np.isfinite(weights).all()


def test_dropout_drops_the_same_values_as_for_classes() -> None:
    recipe = recipe_of(HeadPart(layers=(dropout(0.3), dense(9)), output="sigmoid"), batch_size=8, epochs=30)
    X, targets = rows(n=200, unknown=0.1)
    _, history = fit("fused", recipe.replaced({"fit.learning_rate": 1e-2}), X, targets)
    assert history[-1].val_loss is not None
    assert history[-1].val_loss < 0.8 * history[0].loss


def test_a_linear_head_converges_to_logistic_regression_one_versus_rest() -> None:
    """Trained to the end on all rows at once and without decay: each label's model is fitted where it is known."""
    X, targets = rows(n=600, labels=5, unknown=0.25)
    schedule = {"kind": "factor", "boundaries": (400, 600), "values": (1.0, 0.1, 0.01)}
    recipe = recipe_of(HeadPart(output="sigmoid", logits_kernel="zeros"), batch_size=600, epochs=700)
    recipe = recipe.replaced({"fit.learning_rate": 5e-2, "fit.schedule": schedule})
    fitter, _ = fit("fused", recipe, X[:400], targets[:400])
    reference = np.stack([_logistic(X[:400], column[:400], X[400:]) for column in targets.T], axis=1)
    shares = expit(fitter.logits([X[400:]]).astype(np.float64))
    np.testing.assert_allclose(shares, reference, atol=2e-3)


def _logistic(X: Matrix, column: Matrix, new: Matrix) -> NDArray[np.float64]:
    known = np.isfinite(column)
    model = LogisticRegression(C=np.inf, max_iter=2000, tol=1e-8).fit(X[known], column[known])
    return np.asarray(model.predict_proba(new)[:, 1])
