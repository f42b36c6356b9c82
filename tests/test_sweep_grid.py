from __future__ import annotations

from typing import Any

import pytest

from featx.errors import UsageError
from featx.pipeline.sweep_grid import column_names, parsed_setting, parsed_values, points_of
from featx.recipe import BackbonePart, Recipe

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
        ("null", ["null"]),
    ],
)
def test_values_are_read_as_they_are_written(text: str, values: list[Any]) -> None:
    found = parsed_values(text)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


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
    told = [(p.recipe.fit.batch_size, p.recipe.fit.epochs, p.recipe.fit.seed) for p in points]
    assert told == [(b, e, s) for b in (5, 10) for e in (1, 2) for s in (3, 4)]
    assert [(*p.values.values(), p.seed) for p in points] == told
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
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_starts(grid: dict[str, list[Any]], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        points_of(RECIPE, grid, [0])


def test_columns_have_column_names_where_they_can_be_told_apart() -> None:
    assert column_names(["fit.batch_size", "views.count"]) == {"fit.batch_size": "batch_size", "views.count": "count"}
    assert list(column_names(["views.seed", "fit.epochs"]).values()) == ["views.seed", "epochs"]
    assert list(column_names(["a.size", "b.size"]).values()) == ["a.size", "b.size"]
