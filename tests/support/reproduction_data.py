"""The report's data by its counts, and results of fits that were never done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from featx.recipes import load_recipe, override
from featx.reports import OpenedRun
from featx.reproduction.data import IMAGES, TaskData
from featx.reproduction.plan import RECIPES, Plan, PlannedFit
from featx.reproduction.state import ReproductionState, Stages

CLASSES = ("covid", "normal", "bac", "vir")


def data_of_the_report() -> dict[str, TaskData]:
    """As many images of each class and split as the report has."""
    return {
        name: TaskData(
            {(split, of): n for split, own in splits.items() for of, n in own.items()},
            {of: of for of in splits["test"]},
        )
        for name, splits in IMAGES.items()
    }


def state_in(out: Path, **changes: Any) -> ReproductionState:
    """A reproduction of the report's own data and recipes in which nothing has been done."""
    recipes = {name: load_recipe(recipe) for name, recipe in RECIPES.items()}
    recipes["vgg16-no-views"] = override(recipes["vgg16"], {"views.count": 1})
    fits = tuple(
        PlannedFit(name, name, out / ("two" if name == "task1" else "all"), recipe)
        for name, recipe in recipes.items()
    )
    fields: dict[str, Any] = {
        "root": out, "fits": fits, "others": (), "sweep": recipes["vgg16"], "batch_sizes": (10,), "seeds": 3,
        "data": data_of_the_report(), "replaced": frozenset(), "quick": False, "seed": 0,
        "epochs": {name: recipe.fit.epochs for name, recipe in recipes.items()},
    }  # fmt: skip
    plan = Plan(**{**fields, **changes})
    return ReproductionState(plan, Stages(out, 1))


def run_of(
    *,
    train: Sequence[float] = (0.9,),
    validation: Sequence[float] = (0.9,),
    right: Sequence[bool] = (True,) * 36,
    parameters: tuple[int, int] = (100, 10),
) -> OpenedRun:
    """A run of 216 training and 54 validation images, with accuracies by epoch and correct answers on test images."""
    images = [
        SimpleNamespace(
            role="test",
            digest=str(n),
            label="covid",
            predicted="covid" if ok else "vir",
            targets=None,
            group=None,
        )
        for n, ok in enumerate(right)
    ]
    frozen, trainable = parameters
    run = SimpleNamespace(
        manifest={"weights": {"source": "imagenet"}},
        multilabel=False,
        recipe=load_recipe("covid4-vgg16"),
        metrics={
            "train": {"n": 216, "correct": 200, "loss": 0.5},
            "validation": {"n": 54, "correct": 27, "loss": 0.5},
            "test": {"n": len(right), "correct": sum(right), "loss": 0.5},
            "parameters": {"non_trainable": frozen, "trainable": trainable, "total": frozen + trainable},
        },
        history=[{"accuracy": one, "val_accuracy": other} for one, other in zip(train, validation, strict=True)],
    )
    by_role: dict[str, Any] = {"fit": [], "validation": [], "test": images}
    return cast("OpenedRun", SimpleNamespace(run=run, name="a run", of_role=by_role.__getitem__))


def clusters_of(ratios: dict[tuple[str, str], float], classes: Sequence[str] = CLASSES) -> Any:
    """Separation of classes in penultimate features of training images: ratios by pair, 2 where none is given."""
    table = np.full((len(classes),) * 2, 2.0)
    np.fill_diagonal(table, np.nan)
    for (one, other), ratio in ratios.items():
        i, j = classes.index(one), classes.index(other)
        table[i, j] = table[j, i] = ratio
    quality = SimpleNamespace(ratios=table, classes=tuple(classes), silhouette=SimpleNamespace(value=0.5))
    return SimpleNamespace(parts=[SimpleNamespace(layer="penultimate", split="train", quality=quality)])
