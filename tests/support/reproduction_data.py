"""The report's data by its counts, and what was found in fits that were never done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from featx.machine import Machine
from featx.recipes import load_recipe, override
from featx.reports import Told
from featx.reproduction.data import IMAGES, Data
from featx.reproduction.found import Found
from featx.reproduction.plan import RECIPES, Fit, Plan
from featx.reproduction.stages import Stages

CLASSES = ("covid", "normal", "bac", "vir")
MACHINE = Machine("Linux", "a processor", 2, None, None, (), (), "", {})


def data_of_the_report() -> dict[str, Data]:
    """As many images of each class and split as the report has."""
    return {
        name: Data(
            {(split, of): n for split, own in splits.items() for of, n in own.items()},
            {of: of for of in splits["test"]},
        )
        for name, splits in IMAGES.items()
    }


def found_in(out: Path, **changes: Any) -> Found:
    """A reproduction of the report's own data and recipes in which nothing has been done."""
    recipes = {name: load_recipe(recipe) for name, recipe in RECIPES.items()}
    recipes["vgg16-no-views"] = override(recipes["vgg16"], {"views.count": 1})
    fits = tuple(
        Fit(name, name, out / ("two" if name == "task1" else "all"), recipe) for name, recipe in recipes.items()
    )
    fields: dict[str, Any] = {
        "root": out, "fits": fits, "others": (), "sweep": recipes["vgg16"], "batch_sizes": (10,), "seeds": 3,
        "data": data_of_the_report(), "replaced": frozenset(), "quick": False, "seed": 0, "steps": 0,
        "epochs": {name: recipe.fit.epochs for name, recipe in recipes.items()},
    }  # fmt: skip
    plan = Plan(**{**fields, **changes})
    return Found(plan, out, Stages(out, 1), MACHINE)


def told_of(
    *,
    train: Sequence[float] = (0.9,),
    validation: Sequence[float] = (0.9,),
    right: Sequence[bool] = (True,) * 36,
    parameters: tuple[int, int] = (100, 10),
    mode: str = "featurewise",
) -> Told:
    """A run of 216 images to fit and 54 held out, with accuracies by epoch and right answers on test images."""
    images = [
        SimpleNamespace(role="test", digest=str(n), label="covid", predicted="covid" if ok else "vir")
        for n, ok in enumerate(right)
    ]
    frozen, trainable = parameters
    score = {"loss": 0.5}
    run = SimpleNamespace(
        manifest={"weights": {"source": "imagenet"}},
        recipe=SimpleNamespace(preprocess=SimpleNamespace(mode=mode), views=SimpleNamespace(count=4)),
    )
    metrics = {
        "train": {"n": 216, "correct": 200, **score},
        "validation": {"n": 54, "correct": 27, **score},
        "test": {"n": len(right), "correct": sum(right), **score},
        "parameters": {"non_trainable": frozen, "trainable": trainable, "total": frozen + trainable},
    }
    history = [{"accuracy": one, "val_accuracy": other} for one, other in zip(train, validation, strict=True)]
    told = SimpleNamespace(
        run=run,
        metrics=metrics,
        history=history,
        name="a run",
        of_role=lambda role: [image for image in images if image.role == role],
    )
    return cast("Told", told)


def clusters_of(ratios: dict[tuple[str, str], float], classes: Sequence[str] = CLASSES) -> Any:
    """Separation of classes in penultimate features of training images: ratios by pair, 2 where none is given."""
    table = np.full((len(classes),) * 2, 2.0)
    np.fill_diagonal(table, np.nan)
    for (one, other), ratio in ratios.items():
        i, j = classes.index(one), classes.index(other)
        table[i, j] = table[j, i] = ratio
    quality = SimpleNamespace(ratios=table, classes=tuple(classes), silhouette=SimpleNamespace(value=0.5))
    return SimpleNamespace(parts=[SimpleNamespace(layer="penultimate", split="train", quality=quality)])
