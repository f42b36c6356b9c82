"""The plan of a reproduction: what it fits, on which data, for how long."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from featx.digests import digest_of
from featx.errors import UsageError
from featx.features import default_recipe
from featx.networks import BACKBONES, is_model_file
from featx.recipes import Recipe, dump_recipe, is_network_path, load_recipe, override
from featx.reproduction.data import TaskData, read_root
from featx.sweeps import check_number

TASK1, VGG16, RESNET, FACTORS, ASRUN = "task1", "vgg16", "resnet50v2", "resnet50v2-factors", "vgg16-rescaled"
BARE, BARE_ASRUN = "vgg16-no-views", "vgg16-rescaled-no-views"
RECIPES = {
    TASK1: "covid2-vgg16",
    VGG16: "covid4-vgg16",
    RESNET: "covid4-resnet50v2",
    FACTORS: "covid4-resnet50v2-factors",
    ASRUN: "covid4-vgg16-asrun",
}
TITLES = {
    TASK1: "Task 1, VGG16",
    VGG16: "Task 2, VGG16",
    RESNET: "Task 2, ResNet50V2",
    FACTORS: "Task 2, ResNet50V2, rates as factors",
    ASRUN: "Task 2, VGG16, pixels only rescaled",
    BARE: "Task 2, VGG16, no views",
    BARE_ASRUN: "Task 2, VGG16, pixels only rescaled, no views",
}
BATCH_SIZES = tuple(range(5, 16))
SEEDS = 3
# A minute or two of fits on two cores, besides the features.
QUICK_EPOCHS, QUICK_VIEWS, QUICK_BATCH_SIZES, QUICK_SEEDS, QUICK_SWEEP_EPOCHS = 5, 2, (5, 10, 15), 2, 2


@dataclass(frozen=True)
class PlannedFit:
    """A fit of the reproduction: its name is that of its stage and of the run's folder, its title is for people."""

    name: str
    title: str
    data: Path
    recipe: Recipe


@dataclass(frozen=True)
class Plan:
    """Everything that a reproduction does; its data is `two` and `all` in the root."""

    root: Path
    fits: tuple[PlannedFit, ...]
    # Names of the fits of further backbones.
    others: tuple[str, ...]
    sweep: Recipe
    batch_sizes: tuple[int, ...]
    # Number of fits for each batch size.
    seeds: int
    data: Mapping[str, TaskData]
    # Names of the fits whose recipe is not the report's.
    replaced: frozenset[str]
    # Epochs of each fit's recipe before `quick` shortened it.
    epochs: Mapping[str, int]
    quick: bool
    seed: int

    def fit(self, name: str) -> PlannedFit:
        """Return a fit by its name."""
        return next(fit for fit in self.fits if fit.name == name)

    def deviation(self, name: str) -> str:
        """Return how the data or recipe of a fit is not the report's; "" if it may be."""
        if name in self.replaced:
            return "Another recipe than the report's."
        folder = self.fit(name).data.name
        return self.data[folder].deviation(folder)

    def settled(self) -> dict[str, Any]:
        """Return the choices that cannot change without fits being done again.

        The place of weights is not one of them: weights that were missing may be given in the next call.
        """
        place = {"backbone.weights": "imagenet", "name": "any", "description": ""}
        recipes = {fit.name: _lasting(fit.recipe.replaced(place)) for fit in self.fits if fit.name in RECIPES}
        return {"quick": self.quick, "seed": self.seed, "recipes": digest_of(recipes)}


def plan_of(
    root: Path,
    *,
    quick: bool,
    seeds: int | None,
    seed: int,
    weights: Mapping[str, str],
    backbones: Sequence[str],
    recipes: Mapping[str, Recipe | str],
) -> Plan:
    """Return the plan for the arguments of `featx.reproduce`.

    Raises:
        UsageError: A recipe, backbone or number is not valid.
        DataError: A folder of the root is missing or has other classes.
    """
    _check(recipes, weights, seeds)
    check_number(len(BATCH_SIZES) * (seeds or SEEDS))
    data = read_root(root)
    chosen = {name: recipes.get(recipe, recipe) for name, recipe in RECIPES.items()}
    loaded = {name: load_recipe(recipe) if isinstance(recipe, str) else recipe for name, recipe in chosen.items()}
    loaded[BARE] = override(loaded[VGG16], {"views.count": 1})
    loaded[BARE_ASRUN] = override(loaded[ASRUN], {"views.count": 1})
    titles, others = dict(TITLES), []
    for choice in backbones:
        name, title, recipe = _other(choice, loaded[RESNET])
        if name in loaded:
            raise UsageError(
                f"Expected further backbones with names of their own, received {choice!r}, whose name {name} is "
                "taken; leave it out, or rename the file."
            )
        loaded[name], titles[name] = recipe, title
        others.append(name)
    epochs = {name: recipe.fit.epochs for name, recipe in loaded.items()}
    planned = {
        name: override(recipe, {"fit.seed": seed, "backbone.weights": weights.get(recipe.backbone.name.lower())})
        for name, recipe in loaded.items()
    }
    if quick:
        # Views are most of the work, so only one fit has them; without views, two fits would be the same.
        del planned[ASRUN]
        planned = {name: _shortened(recipe, QUICK_VIEWS if name == VGG16 else 1) for name, recipe in planned.items()}
    fits = tuple(
        PlannedFit(name, titles[name], root / ("two" if name == TASK1 else "all"), recipe)
        for name, recipe in planned.items()
    )
    sweep = override(planned[VGG16], {"fit.epochs": QUICK_SWEEP_EPOCHS}) if quick else planned[VGG16]
    return Plan(
        root=root,
        fits=fits,
        others=tuple(others),
        sweep=sweep,
        batch_sizes=QUICK_BATCH_SIZES if quick else BATCH_SIZES,
        seeds=seeds or (QUICK_SEEDS if quick else SEEDS),
        data=data,
        replaced=frozenset(name for name, recipe in RECIPES.items() if recipe in recipes),
        epochs=epochs,
        quick=quick,
        seed=seed,
    )


def _lasting(recipe: Recipe) -> str:
    """Return a recipe as TOML without later fields that have no effect, so that folders of earlier versions match."""
    document = tomllib.loads(dump_recipe(recipe))
    for name, key in (("head", recipe.head.key()), ("fit", recipe.fit.key())):
        document[name] = {field: value for field, value in document[name].items() if field in key}
    for field, default in (("window", "file"), ("frames", "first"), ("depth", "data")):
        if document["images"][field] == default:
            del document["images"][field]
    return tomli_w.dumps(document)


def _check(recipes: Mapping[str, Recipe | str], weights: Mapping[str, str], seeds: int | None) -> None:
    unknown = sorted(set(recipes) - set(RECIPES.values()))
    if unknown:
        raise UsageError(
            f"Expected recipes in place of {', '.join(RECIPES.values())}, received one for {unknown[0]!r}."
        )
    strange = sorted(set(weights) - set(BACKBONES))
    if strange:
        raise UsageError(f"Expected weights of {', '.join(BACKBONES)}, received some of {strange[0]!r}.")
    if seeds is not None and seeds < 1:
        raise UsageError(f"Expected at least one seed, received {seeds}.")


def _other(choice: str, like: Recipe) -> tuple[str, str, Recipe]:
    """Return the name, title and recipe of a further backbone, with ResNet50V2's head and a constant rate."""
    own: dict[str, Any] = {}
    if is_network_path(choice) or (choice.lower() not in BACKBONES and Path(choice).is_dir()):
        title, stem, size = Path(choice).name, Path(choice).stem, None
        if not is_model_file(choice):
            carded = default_recipe(choice)
            title = stem = carded.name
            own = {"images": carded.images, "preprocess.mode": "card", "backbone.name": carded.backbone.name}
            own |= {"backbone.pooling": carded.backbone.pooling}
        # This name is part of file names and of ids on the page.
        short = "model-" + re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")
    else:
        row = BACKBONES.get(choice.lower())
        if row is None:
            raise UsageError(
                f"Expected backbones among {', '.join(BACKBONES)}, cards or .keras files, received {choice!r}."
            )
        short, title, size = row.name, row.builder, row.size if like.images.size == 224 else None
    changes = {"backbone.name": choice, "backbone.pooling": "avg", "images.size": size}
    # A recipe in place of the report's may name ResNet50V2's own file or layer.
    like = like.replaced({"fit.schedule": None, "backbone.cut": None, "backbone.weights": "imagenet"})
    recipe = override(like, changes | own | {"name": f"covid4-{short}"})
    pooling = {"avg": "average pooling, ", "max": "maximum pooling, "}.get(recipe.backbone.pooling, "")
    description = f"{title} in place of ResNet50V2, {pooling}one hidden layer, a constant learning rate."
    return short, f"Task 2, {title}", override(recipe, {"description": description})


def _shortened(recipe: Recipe, views: int) -> Recipe:
    """Return a recipe with few epochs and views; its schedule is shortened in proportion."""
    epochs = min(recipe.fit.epochs, QUICK_EPOCHS)
    changes: dict[str, Any] = {"fit.epochs": epochs, "views.count": min(recipe.views.count, views)}
    changes["fit.average"] = min(recipe.fit.average, epochs)
    if recipe.fit.schedule is not None:
        # No two boundaries may be the same.
        bounds: list[int] = []
        for bound in recipe.fit.schedule.boundaries:
            scaled = round(bound * epochs / recipe.fit.epochs)
            bounds.append(max(scaled, bounds[-1] + 1 if bounds else 1))
        changes["fit.schedule.boundaries"] = tuple(bounds)
    return override(recipe, changes)
