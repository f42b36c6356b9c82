"""The table `fit` of a recipe: its fields for stopping, balance and decay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from featx.errors import UsageError
from featx.recipes import dump_recipe, load_recipe, override
from featx.recipes.schema import FitPart, SchedulePart

RECIPE = 'base = "covid4-efficientnetlite0"\n[fit]\n'


def test_the_key_of_a_fit_without_the_later_fields_is_that_of_earlier_versions() -> None:
    """Otherwise finished fits of a sweep would be done again."""
    fit = FitPart(epochs=7, schedule=SchedulePart(kind="factor", boundaries=(3,), values=(1.0, 0.1)))
    assert fit.key() == {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": {"kind": "factor", "boundaries": [3], "values": [1.0, 0.1]},
        "epochs": 7,
        "batch_size": 32,
        "validation": 0.2,
        "seed": 0,
    }


LATER: list[dict[str, Any]] = [{"patience": 3}, {"class_weight": "balanced"}, {"weight_decay": 0.1}]
LATER += [{"keep": "best"}, {"average": 10}, {"label_smoothing": 0.1}, {"members": 5}]


@pytest.mark.parametrize("fields", LATER)
def test_the_later_fields_are_in_the_key_where_they_have_an_effect(fields: dict[str, Any]) -> None:
    assert FitPart(**fields).key() == {**FitPart().key(), **fields}


def test_words_that_change_nothing_are_not_in_the_key() -> None:
    assert FitPart(keep="last").key() == FitPart().key()
    assert FitPart(patience=3, keep="best").key() == FitPart(patience=3).key()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"patience": 5, "keep": "last"}, "patience 5 keeps the best epoch, so keep cannot be 'last'"),
        ({"patience": 5, "average": 3}, "average 3 takes the mean of the last epochs, but patience is 5"),
        ({"keep": "best", "average": 3}, "average 3 takes the mean of the last epochs, but keep is 'best'"),
        ({"epochs": 4, "average": 5}, r"average must be at most epochs \(4\), received 5"),
        ({"average": 0}, "greater than or equal to 1"),
        ({"label_smoothing": 1.0}, "less than 1"),
        ({"members": 0}, "greater than or equal to 1"),
        ({"keep": "first"}, "'last' or 'best'"),
    ],
)
def test_choices_that_exclude_one_another_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        FitPart(**fields)


def test_the_seeds_of_members_count_upwards() -> None:
    assert FitPart(seed=2**32 - 2, members=3).member_seeds() == [2**32 - 2, 2**32 - 1, 0]


def test_later_fields_are_written_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'{RECIPE}patience = 12\nclass_weight = "balanced"\nweight_decay = 1\n', encoding="utf-8")
    recipe = load_recipe(file)
    assert (recipe.fit.patience, recipe.fit.class_weight, recipe.fit.weight_decay) == (12, "balanced", 1.0)
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(file).fit == recipe.fit


def test_recipes_of_earlier_versions_are_read() -> None:
    recipe = load_recipe("covid4-vgg16")
    assert (recipe.fit.patience, recipe.fit.class_weight, recipe.fit.weight_decay) == (None, None, 0.0)
    written = dump_recipe(recipe)
    assert "weight_decay = 0.0" in written
    assert "patience" not in written


def test_a_patience_of_0_takes_that_of_the_base_away(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"{RECIPE}patience = 0\n", encoding="utf-8")
    assert load_recipe(file).fit.patience is None
    patient = override(load_recipe("covid4-efficientnetlite0"), {"fit.patience": 5})
    assert override(patient, {"fit.patience": 0}).fit.patience is None
    with pytest.raises(UsageError, match=r"fit\.patience: input should be greater than or equal to 0, received -1"):
        override(patient, {"fit.patience": -1})


@pytest.mark.parametrize(
    ("schedule", "highest"),
    [
        (None, 0.01),
        (SchedulePart(kind="factor", boundaries=(3,), values=(0.5, 4.0)), 0.04),
        (SchedulePart(kind="absolute", boundaries=(3,), values=(0.5, 0.25)), 0.5),
    ],
)
def test_a_step_never_decays_all_of_a_weight(schedule: SchedulePart | None, highest: float) -> None:
    FitPart(learning_rate=0.01, schedule=schedule, weight_decay=0.99 / highest)
    with pytest.raises(ValidationError, match=f"must be below 1, .* received .* times {highest:g}"):
        FitPart(learning_rate=0.01, schedule=schedule, weight_decay=1.01 / highest)
