"""The mean of the last epochs, the best epoch, smoothed labels, and heads of several members, with both engines."""

from __future__ import annotations

import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline_data import small_recipe
from training_by_hand import check_same_bits, dense, dropout, rows

from featx.data import Dataset, Item
from featx.errors import RecipeError, RunError
from featx.heads.engines import Fitter, make_fitter
from featx.heads.fit import check_to_fit
from featx.heads.fused.class_loss import cross_entropy
from featx.heads.fused.label_loss import label_cross_entropy
from featx.heads.head import Head
from featx.heads.kept_weights import VALUES_AT_ONCE, kept_mean
from featx.heads.members import mean_logits
from featx.heads.sampling import TrainingBatches
from featx.heads.training import Epoch, describe_stopping, fit_epochs
from featx.recipes import FitPart, HeadPart, Recipe
from featx.stats import score

HEAD = HeadPart(layers=(dropout(0.3), dense(9), dense(5, "linear")), penultimate="dense_2")
# Without dropout, whose masks differ between the engines.
PLAIN = HeadPart(layers=(dense(9), dense(5, "linear")), penultimate="dense_2")
ENGINES = ("fused", "keras")
Engine = Any


def recipe_of(head: HeadPart, **fit: Any) -> Recipe:
    document = {"epochs": 6, "batch_size": 7, "learning_rate": 0.02, **fit}
    return small_recipe(Path("any.keras"), {"head": head.model_dump(), "fit": document})


def trained(
    recipe: Recipe, engine: Engine, classes: int = 3, weights: NDArray[np.float32] | None = None
) -> tuple[Fitter, list[Epoch]]:
    X, y = rows(25, 6, classes)
    held_out, labels = rows(20, 6, classes, seed=1)
    fitter = make_fitter(engine, recipe, 6, classes, weights)
    batches = TrainingBatches(X, y, 1, recipe.fit.batch_size, 3)
    return fitter, list(fit_epochs(fitter, batches, lambda: score(fitter.logits([held_out]), labels), recipe.fit))


def weights_of(recipe: Recipe, engine: Engine) -> list[NDArray[np.float32]]:
    weights: list[NDArray[np.float32]] = trained(recipe, engine)[0].head().model.get_weights()
    return weights


# The mean of the last epochs.


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_mean_is_that_of_the_weights_after_each_of_the_last_epochs(engine: Engine) -> None:
    ends = [weights_of(recipe_of(PLAIN, epochs=epochs, weight_decay=0.5), engine) for epochs in (4, 5, 6)]
    averaged = weights_of(recipe_of(PLAIN, average=3, weight_decay=0.5), engine)
    for mean, *single in zip(averaged, *ends, strict=True):
        np.testing.assert_allclose(mean, np.mean(single, axis=0), rtol=1e-5, atol=1e-6)
        assert np.abs(mean - single[-1]).max() > 1e-3


def test_the_epochs_before_are_trained_as_without_a_mean() -> None:
    losses = [
        [(epoch.loss, epoch.val_loss) for epoch in trained(recipe_of(HEAD, average=n), "fused")[1]] for n in (1, 4)
    ]
    assert losses[0] == losses[1]


def test_a_running_mean_of_large_arrays() -> None:
    generator = np.random.default_rng(0)
    arrays = [[generator.normal(size=shape).astype(np.float32) for shape in ((5, 600_000), (3,))] for _ in range(3)]
    assert arrays[0][0].size > VALUES_AT_ONCE
    kept = None
    for nth, weights in enumerate(arrays, 1):
        kept = kept_mean(kept, weights, nth)
    for mean, *single in zip(kept or [], *arrays, strict=True):
        np.testing.assert_allclose(mean, np.mean(single, axis=0), atol=1e-6)
    check_same_bits(kept_mean(kept, arrays[1], 1), arrays[1])


def test_the_mean_is_said() -> None:
    fit = FitPart(epochs=30, average=10)
    assert (
        describe_stopping([None] * 30, fit) == "the head has the mean of the weights at the ends of epochs 21 to 30"
    )


# The best epoch.


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_best_epoch_is_kept_though_all_are_trained(engine: Engine) -> None:
    restless = {"epochs": 12, "learning_rate": 0.2}
    fitter, history = trained(recipe_of(PLAIN, keep="best", **restless), engine)
    losses = [epoch.val_loss or 0.0 for epoch in history]
    best = int(np.argmin(losses))
    assert len(losses) == 12
    assert best < 11
    held_out, labels = rows(20, 6, 3, seed=1)
    assert score(fitter.logits([held_out]), labels).loss == pytest.approx(losses[best], rel=1e-5)
    expected = weights_of(recipe_of(PLAIN, epochs=best + 1, learning_rate=0.2), engine)
    for one, other in zip(fitter.head().model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    stopping = describe_stopping(losses, recipe_of(PLAIN, keep="best", **restless).fit)
    assert f"the weights of epoch {best + 1}, with the lowest validation loss" in str(stopping)


def test_a_best_epoch_needs_validation_images() -> None:
    items = tuple(Item(str(n), Path(str(n)), "ab"[n % 2], "train") for n in range(8))
    dataset = Dataset(Path("photos"), items, ("a", "b"))
    with pytest.raises(RecipeError, match=r"images for fit\.keep \(--keep\) .* or keep the last epoch \(--keep last"):
        check_to_fit(dataset, recipe_of(HEAD, keep="best", validation=0.0), "fused")
    check_to_fit(dataset, recipe_of(HEAD, keep="last", validation=0.0), "fused")


# Label smoothing.


@pytest.mark.parametrize(("outputs", "classes"), [(3, 3), (1, 2)])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_derivative_is_that_of_the_smoothed_loss(outputs: int, classes: int, smoothing: float) -> None:
    generator = np.random.default_rng(0)
    z, y = generator.normal(size=(8, outputs)), generator.integers(classes, size=8)
    counts = generator.uniform(0.5, 2, size=8)

    def smoothed(logits: NDArray[np.float64]) -> float:
        both = np.hstack([np.zeros_like(logits), logits]) if outputs == 1 else logits
        logs = both - np.log(np.exp(both).sum(1, keepdims=True))
        targets = (1 - smoothing) * np.eye(classes)[y] + smoothing / classes
        return float(np.mean(counts * -(targets * logs).sum(1)))

    expected = numerical(smoothed, z)
    total, _, delta = cross_entropy(z.astype(np.float32), y, counts.astype(np.float32), smoothing)
    np.testing.assert_allclose(delta, expected, atol=1e-5)
    assert total == pytest.approx(cross_entropy(z.astype(np.float32), y, counts.astype(np.float32))[0])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_derivative_is_that_of_the_smoothed_loss_of_labels(smoothing: float) -> None:
    generator = np.random.default_rng(0)
    z, y = generator.normal(size=(6, 3)), generator.integers(2, size=(6, 3)).astype(float)
    y[0, 1] = np.nan
    weights = generator.uniform(0.5, 2, size=(3, 2))

    def smoothed(logits: NDArray[np.float64]) -> float:
        targets = (1 - smoothing) * y + smoothing / 2
        losses = np.log1p(np.exp(logits)) - targets * logits
        return float(np.nanmean(losses * np.where(y == 1, weights[:, 1], weights[:, 0])))

    logits, targets, factors = (array.astype(np.float32) for array in (z, y, weights))
    total, _, delta = label_cross_entropy(logits, targets, factors, smoothing)
    np.testing.assert_allclose(delta, numerical(smoothed, z), atol=1e-5)
    assert total == pytest.approx(label_cross_entropy(logits, targets, factors)[0])


def numerical(function: Any, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The derivative by central differences."""
    step = 1e-5
    moves = step * np.eye(at.size).reshape(at.size, *at.shape)
    return np.array([function(at + move) - function(at - move) for move in moves]).reshape(at.shape) / (2 * step)


@pytest.mark.slow
@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("sigmoid", 2)])
@pytest.mark.parametrize("balanced", [False, True])
def test_both_engines_smooth_labels_and_report_the_plain_loss(output: str, classes: int, balanced: bool) -> None:
    head = PLAIN.model_copy(update={"output": output})
    weights = np.linspace(0.5, 1.5, classes, dtype=np.float32) if balanced else None
    fits = [trained(recipe_of(head, label_smoothing=0.2), engine, classes, weights) for engine in ENGINES]
    check_engines_agree([fitter for fitter, _ in fits])
    fused, keras = ([(epoch.loss, epoch.accuracy) for epoch in history] for _, history in fits)
    np.testing.assert_allclose(fused, keras, rtol=1e-3)
    plain, history = trained(recipe_of(head), "fused", classes, weights)
    # All batches of the first epoch but the first come after steps, which differ.
    assert history[0].loss == pytest.approx(fused[0][0], rel=0.1)
    held_out, _ = rows(20, 6, classes, seed=1)
    assert np.abs(plain.logits([held_out])).mean() > 1.1 * np.abs(fits[0][0].logits([held_out])).mean()


def check_engines_agree(fitters: list[Fitter]) -> None:
    one, other = (fitter.logits([rows(20, 6, 3, seed=1)[0]]) for fitter in fitters)
    np.testing.assert_allclose(one, other, rtol=5e-3, atol=2e-3)


# Members.


def test_members_are_what_single_fits_with_their_seeds_would_be() -> None:
    """On the same batches: only the initial weights and the dropout are of the member's seed."""
    fitter, _ = trained(recipe_of(HEAD, seed=4, members=3, average=2), "fused")
    held_out, _ = rows(20, 6, 3, seed=1)
    members = fitter.logits_of_members([held_out])
    for seed, own in zip((4, 5, 6), members, strict=True):
        alone, _ = trained(recipe_of(HEAD, seed=seed, average=2), "fused")
        np.testing.assert_array_equal(alone.logits([held_out]), own)
    assert np.abs(members[0] - members[1]).max() > 0.1


def test_rows_of_members_are_not_kept() -> None:
    """All rows of many images at once would not fit into memory."""
    fitter, _ = trained(recipe_of(HEAD, members=2, epochs=1), "fused")
    held_out, _ = rows(20, 6, 3, seed=1)
    read: list[weakref.ref[NDArray[np.float32]]] = []

    def chunks() -> Iterator[NDArray[np.float32]]:
        for part in np.array_split(held_out, 5):
            assert sum(each() is not None for each in read) <= 1
            copied = part.copy()
            read.append(weakref.ref(copied))
            yield copied
            del copied

    together = fitter.logits(chunks())
    assert len(read) == 5
    np.testing.assert_array_equal(together, fitter.logits([held_out]))
    assert fitter.logits([]).shape == (0, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("sigmoid", 2)])
def test_both_engines_train_the_same_members(output: str, classes: int) -> None:
    head = PLAIN.model_copy(update={"output": output})
    fits = [trained(recipe_of(head, members=3, keep="best"), engine, classes) for engine in ENGINES]
    check_engines_agree([fitter for fitter, _ in fits])
    fused, keras = ([(epoch.loss, epoch.val_loss or 0.0) for epoch in history] for _, history in fits)
    np.testing.assert_allclose(fused, keras, rtol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("sigmoid", 2)])
def test_the_file_of_a_head_gives_the_mean_probabilities(
    engine: Engine, output: str, classes: int, tmp_path: Path
) -> None:
    recipe = recipe_of(HEAD.model_copy(update={"output": output}), members=3)
    fitter, _ = trained(recipe, engine, classes)
    held_out, _ = rows(20, 6, classes, seed=1)
    members, together = fitter.logits_of_members([held_out]).astype(np.float64), fitter.logits([held_out])
    fitter.head().save(tmp_path / "head.keras")
    head = Head.load(tmp_path / "head.keras", "dense_2")
    powers = np.exp(members)
    shares = powers / powers.sum(2, keepdims=True) if output == "softmax" else powers / (1 + powers)
    np.testing.assert_allclose(np.asarray(head.model(held_out)), shares.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.logits([held_out]), together, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.logits_of_members([held_out]), members, rtol=1e-4, atol=1e-5)
    # The penultimate features of all members side by side.
    features = np.concatenate(list(head.penultimate([held_out])))
    assert features.shape == (20, 15)
    last = [head.model.get_layer(f"member_{number}-logits") for number in (1, 2, 3)]
    for number, layer in enumerate(last):
        kernel, bias = layer.get_weights()
        np.testing.assert_allclose(
            features[:, 5 * number : 5 * number + 5] @ kernel + bias, members[number], rtol=1e-3, atol=1e-4
        )
    assert head.parameters() == 3 * Head.build(recipe.head, 6, classes).parameters()


def test_members_that_are_sure_of_different_classes() -> None:
    """No logit is so large that the mean of two probabilities becomes 0 or not a number."""
    sure = np.array([[[200.0, -200.0, 0.0]], [[-200.0, 200.0, 0.0]], [[-1e4, 1e4, -1e4]]], np.float32)
    expected = np.log([[1 / 3, 2 / 3, 2 * np.exp(-200) / 3]])
    np.testing.assert_allclose(mean_logits(sure, softmax=True), expected, rtol=1e-6)
    one = sure[:, :, :1]
    np.testing.assert_allclose(mean_logits(one, softmax=False), [[np.log(0.5)]], rtol=1e-5)
    head = Head.build(HeadPart(), 3, 3, [0, 1, 2])
    for model, logits in zip(head.member_models, sure, strict=True):
        model.set_weights([np.zeros((3, 3), np.float32), logits[0]])
    np.testing.assert_allclose(head.logits([np.zeros((1, 3), np.float32)]), expected, rtol=1e-5)


def test_members_of_several_labels() -> None:
    spec = HeadPart(layers=(dense(4),), output="sigmoid")
    head = Head.build(spec, 6, 3, [0, 1], multilabel=True)
    single = [Head.build(spec, 6, 3, seed, multilabel=True).model(rows(9, 6, 3)[0]) for seed in (0, 1)]
    np.testing.assert_allclose(head.model(rows(9, 6, 3)[0]), np.mean(single, axis=0), rtol=1e-5)


def test_members_that_could_not_differ_are_refused() -> None:
    items = tuple(Item(str(n), Path(str(n)), "ab"[n % 2], "train") for n in range(8))
    dataset = Dataset(Path("photos"), items, ("a", "b"))
    with pytest.raises(RecipeError, match=r"the 5 heads of the recipe small would all be the same, .*\(--seeds 1\)"):
        check_to_fit(dataset, recipe_of(HeadPart(logits_kernel="zeros"), members=5), "fused")
    for head in (HeadPart(), HEAD.model_copy(update={"logits_kernel": "zeros"})):
        check_to_fit(dataset, recipe_of(head, members=5), "fused")


def test_a_file_without_space_for_all_members_is_refused(tmp_path: Path) -> None:
    Head.build(HEAD, 5000, 3, [0, 1, 2]).save(tmp_path / "head.keras")
    with zipfile.ZipFile(tmp_path / "head.keras") as saved, zipfile.ZipFile(tmp_path / "cut.keras", "w") as cut:
        for name in saved.namelist():
            content = saved.read(name)
            cut.writestr(name, content[: len(content) // 2] if name == "model.weights.h5" else content)
    with pytest.raises(RunError, match="no space for the weights"):
        Head.load(tmp_path / "cut.keras")
