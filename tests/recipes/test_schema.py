from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from featx.heads import Head
from featx.networks import KerasNetwork, find_weights
from featx.recipes.files import load_recipe, recipe_names
from featx.recipes.pixels import PreprocessPart
from featx.recipes.schema import BackbonePart, DenseLayer, DropoutLayer, FitPart, HeadPart, Recipe, SchedulePart

# The report's tables: trainable (head), frozen (backbone), total; and how many classes its data has.
VGG16, RESNET50V2, EFFICIENTNETLITE0 = 14_714_688, 23_564_800, 3_413_024
PARAMETERS = {
    "covid2-vgg16": (6_423_041, VGG16, 21_137_729, 2),
    "covid4-vgg16": (51_907_844, VGG16, 66_622_532, 4),
    "covid4-resnet50v2": (525_572, RESNET50V2, 24_090_372, 4),
    # Not in the report: its head for ResNet50V2 on a network that gives 1,280 features.
    "covid4-efficientnetlite0": (1280 * 256 + 256 + 256 * 4 + 4, EFFICIENTNETLITE0, 3_741_988, 4),
    # For any data.
    "linear": (1280 * 4 + 4, EFFICIENTNETLITE0, 3_418_148, 4),
    "mlp": (1280 * 256 + 256 + 256 * 4 + 4, EFFICIENTNETLITE0, 3_741_988, 4),
}
BOUNDARY_EPOCHS = (0, 79, 80, 119, 120, 159, 160, 179, 180, 10_000)
AS_PRINTED = (1e-3, 1e-3, 1e-1, 1e-1, 1e-2, 1e-2, 1e-3, 1e-3, 0.5e-3, 0.5e-3)
AS_FACTORS = (1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6, 0.5e-6, 0.5e-6)


@pytest.fixture(scope="module")
def frozen() -> dict[tuple[BackbonePart, tuple[int, int]], tuple[int, int]]:
    """Width and parameters of the recipes' backbones, each built once, with random weights."""
    found = {}
    for recipe in map(load_recipe, recipe_names()):
        key = recipe.backbone, recipe.images.shape
        if key not in found:
            network = KerasNetwork(*key, find_weights(recipe.backbone.name, "random"))
            found[key] = network.width, network.parameters
    return found


@pytest.mark.parametrize("name", recipe_names())
def test_parameters_are_those_of_the_documentation_to_the_digit(
    name: str, frozen: dict[tuple[BackbonePart, tuple[int, int]], tuple[int, int]]
) -> None:
    recipe = load_recipe(name)
    trainable, non_trainable, total, classes = PARAMETERS[re.sub("-(asrun|factors)$", "", name)]
    width, parameters = frozen[recipe.backbone, recipe.images.shape]
    head = Head.build(recipe.head, width, classes)
    assert head.parameters() == trainable
    assert parameters == non_trainable
    assert head.parameters() + parameters == total


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("covid4-resnet50v2", AS_PRINTED),
        ("covid4-resnet50v2-asrun", AS_PRINTED),
        ("covid4-resnet50v2-factors", AS_FACTORS),
        ("covid2-vgg16", (1e-3,) * 10),
    ],
)
def test_the_learning_rate_on_both_sides_of_every_boundary(name: str, rates: tuple[float, ...]) -> None:
    fit = load_recipe(name).fit
    assert [fit.rate(epoch) for epoch in BOUNDARY_EPOCHS] == pytest.approx(rates, rel=1e-12)


def test_factors_follow_the_learning_rate_and_rates_do_not() -> None:
    absolute, factors = (
        load_recipe(f"covid4-resnet50v2{suffix}").replaced({"fit.learning_rate": 4e-3}).fit
        for suffix in ("", "-factors")
    )
    assert [absolute.rate(epoch) for epoch in (0, 80)] == [1e-3, 1e-1]
    assert [factors.rate(epoch) for epoch in (0, 80)] == pytest.approx([4e-3, 4e-4])


def test_the_first_boundary_may_be_epoch_one_and_there_may_be_none() -> None:
    stepped = FitPart(schedule=SchedulePart(kind="absolute", boundaries=(1,), values=(0.5, 0.25)))
    assert [stepped.rate(epoch) for epoch in range(3)] == [0.5, 0.25, 0.25]
    constant = FitPart(learning_rate=0.1, schedule=SchedulePart(kind="factor", boundaries=(), values=(3.0,)))
    assert [constant.rate(epoch) for epoch in (0, 999)] == pytest.approx([0.3, 0.3])


# Each field's range, from both sides: values that are taken, values that are refused.
RANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "images.size": ([8, 4096], [7, 4097, 224.0, "224", True]),
    "images.resize": (["bilinear", "bicubic", "lanczos", "box", "hamming"], ["nearest", ""]),
    "views.count": ([1, 10_000], [0, 10_001]),
    "views.rotation": ([0.0, 180.0], [-0.1, 180.1, float("nan")]),
    "views.shift": ([0.0, 1.0], [-0.1, 1.1]),
    "views.shear": ([0.0, 89.9], [-0.1, 90.0]),
    "views.zoom": ([0.0, 0.99], [-0.1, 1.0]),
    "views.channel_shift": ([0.0, 255.0], [-1.0, 256.0]),
    "views.horizontal_flip": ([True, False], [1, "yes"]),
    "views.fill": ([0, 255], [-1, 256]),
    "views.seed": ([0, 2**32 - 1], [-1, 2**32]),
    "preprocess.mode": (["rescale", "imagenet", "featurewise"], ["none", "Rescale"]),
    "backbone.name": (["vgg16", "own.keras"], ["", 3]),
    "backbone.pooling": (["none", "avg", "max"], ["mean", None]),
    "features.dtype": (["float32", "float16"], ["float64"]),
    "head.output": (["softmax", "sigmoid"], ["linear"]),
    "head.logits_kernel": (["glorot", "zeros"], ["random", None]),
    "fit.optimizer": (["adam"], ["sgd"]),
    "fit.learning_rate": ([1e-9, 10.0], [0.0, -1e-3, float("inf"), float("nan")]),
    "fit.epochs": ([1, 10_000], [0, 1.0]),
    "fit.batch_size": ([1], [0]),
    "fit.validation": ([0.0, 0.99], [1.0, -0.1]),
    "fit.seed": ([0, 2**32 - 1], [-1, 2**32]),
}


@pytest.mark.parametrize("field", RANGES)
def test_the_range_of_a_field(field: str) -> None:
    recipe = load_recipe("covid4-vgg16")
    taken, refused = RANGES[field]
    for value in taken:
        document = recipe.replaced({field: value}).model_dump()
        table, name = field.split(".")
        assert document[table][name] == value
    for value in refused:
        with pytest.raises(ValidationError, match=field):
            recipe.replaced({field: value})


def test_the_key_of_a_head_without_the_later_field_is_that_of_earlier_versions() -> None:
    """Otherwise finished fits of a sweep would be done again."""
    assert HeadPart().key() == {"output": "softmax", "layers": [], "penultimate": None}
    assert HeadPart(logits_kernel="zeros").key() == {**HeadPart().key(), "logits_kernel": "zeros"}


def test_numbers_of_numpy_are_numbers() -> None:
    changes = {"fit.epochs": np.int64(3), "fit.learning_rate": np.float32(0.5), "images.size": np.uint8(64)}
    changed = Recipe(backbone=BackbonePart(name="vgg16")).replaced(changes)
    values = (changed.fit.epochs, changed.fit.learning_rate, changed.images.size)
    assert values == (3, 0.5, 64)
    assert [type(value) for value in values] == [int, float, int]


def test_replacing_fields_does_not_change_the_recipe() -> None:
    recipe = load_recipe("covid4-vgg16")
    before = recipe.model_dump()
    changed = recipe.replaced({"fit.epochs": 3, "name": "other", "backbone.cut": "block4_pool"})
    assert recipe.model_dump() == before
    expected = {**before, "name": "other", "fit": {**before["fit"], "epochs": 3}}
    expected["backbone"] = {**before["backbone"], "cut": "block4_pool"}
    assert changed.model_dump() == expected


def test_parts_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_recipe("covid4-vgg16").fit.epochs = 3  # type: ignore[misc]


STATISTICS = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"mode": "rescale", **STATISTICS}, "belong to mode 'featurewise'"),
        ({"mode": "featurewise", "mean": (0.1, 0.2, 0.3)}, "together"),
        ({"mode": "featurewise", "std": (0.1, 0.2, 0.3)}, "together"),
        ({"mode": "featurewise", **STATISTICS, "std": (1.0, 0.0, 1.0)}, "positive"),
        ({"mode": "featurewise", **STATISTICS, "std": (1.0, -1.0, 1.0)}, "positive"),
        ({"mode": "featurewise", **STATISTICS, "mean": (float("nan"), 0.0, 0.0)}, "finite"),
        ({"mode": "featurewise", **STATISTICS, "mean": (0.1, 0.2)}, "mean"),
    ],
)
def test_statistics_that_are_not_valid(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PreprocessPart(**fields)


def test_dense_layers_without_a_name_are_numbered() -> None:
    dense = [DenseLayer(type="dense", units=2, name=name) for name in (None, "wide", None)]
    dropout = DropoutLayer(type="dropout", rate=0.5)
    head = HeadPart(layers=(dropout, dense[0], dropout, *dense[1:]), penultimate="dense_3")
    assert head.dense_names() == ["dense_1", "wide", "dense_3"]


@pytest.mark.parametrize("name", ["logits", "probabilities", "features", "dropout_1", "dropout_12"])
def test_a_dense_layer_cannot_take_a_name_that_a_head_uses(name: str) -> None:
    with pytest.raises(ValidationError, match=f"cannot be named '{name}'"):
        HeadPart(layers=(DropoutLayer(type="dropout", rate=0.1), DenseLayer(type="dense", units=2, name=name)))


def test_names_of_dense_layers_differ() -> None:
    # The second one is dense_2 by default.
    layers = tuple(DenseLayer(type="dense", units=2, name=name) for name in ("dense_2", None))
    with pytest.raises(ValidationError, match="must differ"):
        HeadPart(layers=layers)


def test_the_penultimate_layer_is_a_dense_one() -> None:
    layers = (DropoutLayer(type="dropout", rate=0.1), DenseLayer(type="dense", units=2))
    with pytest.raises(ValidationError, match=r"must name a dense layer \(dense_1\), received 'dropout_1'"):
        HeadPart(layers=layers, penultimate="dropout_1")
    with pytest.raises(ValidationError, match="there is none"):
        HeadPart(penultimate="dense_1")


def test_a_recipe_needs_only_a_backbone() -> None:
    recipe = Recipe(backbone=BackbonePart(name="vgg16"))
    assert (recipe.images.size, recipe.preprocess.mode, recipe.views.count) == (224, "imagenet", 1)
    assert recipe.head.layers == ()


def test_a_recipe_shows_what_differs_from_the_defaults() -> None:
    recipe = Recipe.model_validate({"name": "a", "backbone": {"name": "vgg16", "pooling": "avg"}, "fit": {"seed": 3}})
    assert repr(recipe) == "Recipe(backbone=BackbonePart(name='vgg16', pooling='avg'), name='a', fit=FitPart(seed=3))"
