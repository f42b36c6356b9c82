from __future__ import annotations

import json
from typing import Any

import pytest

from featx.errors import ResourcesError, UsageError
from featx.limits import permitting
from featx.recipes import BackbonePart, PreprocessPart, Recipe
from featx.sweeps.grid import as_text, check_number, column_names, parsed_setting, parsed_values, points_of

RECIPE = Recipe(backbone=BackbonePart(name="vgg16"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5..8", [5, 6, 7, 8]),
        ("5..15..5", [5, 10, 15]),
        ("5..14..5", [5, 10]),
        ("3", [3]),
        ("1e-4, 1e-3", [1e-4, 1e-3]),
        ("1..3,10", [1, 2, 3, 10]),
        ("rescale,featurewise", ["rescale", "featurewise"]),
        ("true,false", [True, False]),
        ("null,block5_conv3", [None, "block5_conv3"]),
    ],
)
def test_values_are_read_as_they_are_written(text: str, values: list[Any]) -> None:
    parsed = parsed_values(text)
    assert parsed == values
    assert [type(value) for value in parsed] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["", "5..1", "5,,6", "1..100000", "0..5000..2", "5..15..0"])
def test_what_names_no_values_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Expected"):
        parsed_values(text)


def test_a_setting_is_a_field_and_its_values() -> None:
    assert parsed_setting("fit.learning_rate=1e-4,1e-3") == ("fit.learning_rate", [1e-4, 1e-3])
    for text in ("fit.learning_rate", "=3"):
        with pytest.raises(UsageError, match="Expected --set FIELD=VALUES"):
            parsed_setting(text)


def test_every_combination_is_fitted_with_every_seed() -> None:
    points = points_of(RECIPE, {"fit.batch_size": [5, 10], "fit.epochs": [1, 2]}, [3, 4])
    fits = [(p.recipe.fit.batch_size, p.recipe.fit.epochs, p.recipe.fit.seed) for p in points]
    assert fits == [(b, e, s) for b in (5, 10) for e in (1, 2) for s in (3, 4)]
    assert [(*p.values.values(), p.seed) for p in points] == fits
    assert points[0].recipe.backbone == RECIPE.backbone


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ({}, "Expected values to try"),
        ({"fit.batch_size": []}, "Expected values to try"),
        ({"fit.batch_size": [5, 6, 5]}, "received 5 twice"),
        ({"fit.seed": [1, 2]}, "--seeds says"),
        ({"fit.batch_sise": [5]}, "did you mean batch_size"),
        ({"fit.batch_size": [0]}, "fit.batch_size"),
        ({"fit.batch_size": ["ten"]}, "valid integer"),
        ({"fit.batch_size": [None, 8]}, "valid integer"),
        ({"head.layers.0.rate": [0.1]}, "expected no number, as there are none, received 0"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_starts(grid: dict[str, list[Any]], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        points_of(RECIPE, grid, [0])


HEAD = RECIPE.replaced(
    {"head.layers": [{"type": "dropout", "rate": 0.5}, {"type": "dense", "units": 16, "activation": "relu"}]}
)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("head.layers.2.rate", r"head.layers: expected a number from 0 to 1, received 2\."),
        ("head.layers.first.rate", r"expected a number from 0 to 1, received first\."),
        ("head.layers.-1.rate", r"expected a number from 0 to 1, received -1\."),
        ("head.layers.0.units", r"there is no field head.layers\[0\].units"),
        ("head.layers.0.rate.x", "rate"),
    ],
)
def test_a_place_that_is_not_there_is_refused(field: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        points_of(HEAD, {field: [0.2, 0.5]}, [0])


def test_tables_and_empty_fields_are_values_like_others() -> None:
    schedule = {"kind": "factor", "boundaries": [2], "values": [1.0, 0.1]}
    grid: dict[str, list[Any]] = {
        "fit.schedule": [None, schedule],
        "head.layers": [[], ({"type": "dropout", "rate": 0.1},), [{"type": "dropout", "rate": 0.2}]],
    }
    points = points_of(RECIPE.replaced({"fit.schedule": schedule}), grid, [0, 1])
    assert len(points) == 2 * 3 * 2
    assert [point.recipe.fit.schedule is None for point in points] == [True] * 6 + [False] * 6
    assert [len(point.recipe.head.layers) for point in points] == [0, 0, 1, 1, 1, 1] * 2
    assert len({point.key for point in points}) == 6
    json.dumps([point.values for point in points])


def test_parts_of_a_recipe_are_values_too() -> None:
    grid = {"preprocess": [PreprocessPart(mode="rescale"), PreprocessPart(mode="featurewise")]}
    points = points_of(RECIPE, grid, [0])
    assert [point.recipe.preprocess.mode for point in points] == ["rescale", "featurewise"]
    assert [point.values["preprocess"]["mode"] for point in points] == ["rescale", "featurewise"]


def test_a_rate_that_a_schedule_overrules_is_refused() -> None:
    schedule = {"kind": "absolute", "boundaries": [2], "values": [1e-3, 1e-4]}
    recipe = RECIPE.replaced({"fit.schedule": schedule})
    with pytest.raises(UsageError, match=r"gives absolute rates, which fit\.learning_rate"):
        points_of(recipe, {"fit.learning_rate": [1e-4, 1e-3]}, [0])
    without = points_of(recipe, {"fit.schedule": [None], "fit.learning_rate": [1e-4, 1e-3]}, [0])
    assert [point.recipe.fit.rate(5) for point in without] == [1e-4, 1e-3]
    assert len(points_of(recipe, {"fit.batch_size": [4, 8]}, [0])) == 2
    factors = recipe.replaced({"fit.schedule.kind": "factor"})
    assert len(points_of(factors, {"fit.learning_rate": [1e-4, 1e-3]}, [0])) == 2


def test_weights_go_to_their_backbone() -> None:
    grid = {"backbone.name": ["vgg16", "resnet50v2", "mobilenetv2"]}
    points = points_of(RECIPE, grid, [0], {"resnet50v2": "res.h5", "VGG16": "random:3"})
    assert [point.recipe.backbone.weights for point in points] == ["random:3", "res.h5", "imagenet"]
    with pytest.raises(UsageError, match="received them twice"):
        points_of(RECIPE, {"backbone.weights": ["random", "imagenet"]}, [0], {"vgg16": "random"})


@pytest.mark.parametrize("value", ["rescale", 5, 1e-4, True, None])
def test_values_are_shown_as_they_are_written(value: Any) -> None:
    assert parsed_values(as_text(value)) == [value]


def test_columns_have_column_names_where_they_can_be_told_apart() -> None:
    assert column_names(["fit.batch_size", "views.count"]) == {"fit.batch_size": "batch_size", "views.count": "count"}
    assert list(column_names(["views.seed", "fit.epochs"]).values()) == ["views.seed", "epochs"]
    assert list(column_names(["a.size", "b.size"]).values()) == ["a.size", "b.size"]
    assert list(column_names(["preprocess.mean.0"]).values()) == ["preprocess.mean.0"]


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, '{"a":' * 9999, "9" * 5000, "1.." + "9" * 5000, "1..3.." + "9" * 5000, "NaN", "1e400"],
    ids=lambda text: text[-10:],
)
def test_absurd_values_are_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"fit\.epochs: input should be a valid integer, received"):
        points_of(RECIPE, {"fit.epochs": parsed_values(text)}, [0])


def test_more_fits_than_a_day_has_seconds_are_refused_before_they_are_listed() -> None:
    grid = {"fit.batch_size": list(range(1, 1001)), "views.count": list(range(1, 1001))}
    with pytest.raises(ResourcesError, match=r"at most 86,400 fits, .* received 3,000,000; try"):
        points_of(RECIPE, grid, range(3))
    with pytest.raises(ResourcesError, match="received 1,000,000,000,000"):
        points_of(RECIPE, {"fit.batch_size": [8]}, range(10**12))
    check_number(86_400)
    with permitting(True):
        check_number(86_401)
