"""What a reproduction fits, on what data, for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.digests import digest_of
from featx.errors import UsageError
from featx.networks import BACKBONES, is_model_file
from featx.recipes import Recipe, dump_recipe, load_recipe, override
from featx.reproduction.data import Data, read_root

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
class Fit:
    """A head to fit.

    Attributes:
        name: Of the stage and of its folder.
        title: For people.
        data: `two` or `all` of the root.
        recipe: With the weights and the seed asked for.
    """

    name: str
    title: str
    data: Path
    recipe: Recipe


@dataclass(frozen=True)
class Plan:
    """All that a reproduction does.

    Attributes:
        root: Holds `two` and `all`.
        fits: In order.
        others: Names of the fits of further backbones.
        sweep: What the batch sizes are tried with.
        batch_sizes: In order.
        seeds: Fits a batch size.
        data: What `two` and `all` hold.
        replaced: Names of fits with a recipe in place of one that comes with featx.
        epochs: Of each recipe before it was cut short, by the fit's name.
        quick: Whether it was.
        seed: Of the first fit, and of all else that is random.
        steps: Of the report's way that are timed; 0 for none.
    """

    root: Path
    fits: tuple[Fit, ...]
    others: tuple[str, ...]
    sweep: Recipe
    batch_sizes: tuple[int, ...]
    seeds: int
    data: Mapping[str, Data]
    replaced: frozenset[str]
    epochs: Mapping[str, int]
    quick: bool
    seed: int
    steps: int

    def fit(self, name: str) -> Fit:
        """Return a fit by its name."""
        return next(fit for fit in self.fits if fit.name == name)

    def other(self, name: str) -> str:
        """Return in what a fit is not one of the report's, data or recipe; "" where it is one."""
        if name in self.replaced:
            return "Another recipe than the report's."
        folder = self.fit(name).data.name
        return self.data[folder].other(folder)

    def settled(self) -> dict[str, Any]:
        """Return what a folder's reproduction cannot change without losing what it has.

        Where weights are is not part of it: those that could not be had may be given next time.
        """
        place = {"backbone.weights": "imagenet", "name": "any", "description": ""}
        recipes = {fit.name: dump_recipe(fit.recipe.replaced(place)) for fit in self.fits if fit.name in RECIPES}
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
    steps: int,
) -> Plan:
    """Return what a reproduction does, see `featx.reproduce`.

    Raises:
        UsageError: A recipe, backbone or number is not one that can be.
        DataError: The root does not hold what is needed.
    """
    _check(recipes, weights, seeds, steps)
    data = read_root(root)
    found = {name: _loaded(recipes.get(recipe, recipe)) for name, recipe in RECIPES.items()}
    found[BARE] = override(found[VGG16], {"views.count": 1})
    found[BARE_ASRUN] = override(found[ASRUN], {"views.count": 1})
    titles = dict(TITLES)
    others = {}
    for choice in backbones:
        name, title, recipe = _other(choice, found[RESNET])
        if name in found:
            raise UsageError(
                f"Expected further backbones with names of their own, received {choice!r}, whose name {name} is "
                "taken; leave it out, or rename the file."
            )
        found[name], titles[name], others[name] = recipe, title, choice
    epochs = {name: recipe.fit.epochs for name, recipe in found.items()}
    made = {name: _made(recipe, weights, seed) for name, recipe in found.items()}
    if quick:
        # Views are most of the work: one fit has them, and those that differ in pixels alone go without.
        del made[ASRUN]
        made = {name: _shortened(recipe, QUICK_VIEWS if name == VGG16 else 1) for name, recipe in made.items()}
    fits = tuple(
        Fit(name, titles[name], root / ("two" if name == TASK1 else "all"), recipe) for name, recipe in made.items()
    )
    sweep = override(made[VGG16], {"fit.epochs": QUICK_SWEEP_EPOCHS}) if quick else made[VGG16]
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
        steps=steps,
    )


def _check(recipes: Mapping[str, Recipe | str], weights: Mapping[str, str], seeds: int | None, steps: int) -> None:
    unknown = sorted(set(recipes) - set(RECIPES.values()))
    if unknown:
        raise UsageError(
            f"Expected recipes in place of {', '.join(RECIPES.values())}, received one for {unknown[0]!r}."
        )
    strange = sorted(set(weights) - set(BACKBONES))
    if strange:
        raise UsageError(f"Expected weights of {', '.join(BACKBONES)}, received some of {strange[0]!r}.")
    if (seeds is not None and seeds < 1) or steps < 0:
        raise UsageError(f"Expected at least one seed and no negative number of steps, received {seeds} and {steps}.")


def _loaded(recipe: Recipe | str) -> Recipe:
    return load_recipe(recipe) if isinstance(recipe, str) else recipe


def _other(choice: str, like: Recipe) -> tuple[str, str, Recipe]:
    """Return the name, title and recipe of a further backbone: ResNet50V2's head on it, at a constant rate."""
    if is_model_file(choice):
        # What it is called goes into the names of files and of the page's parts.
        short = "model-" + re.sub(r"[^A-Za-z0-9]+", "-", Path(choice).stem).strip("-")
        title, size = Path(choice).name, None
    else:
        row = BACKBONES.get(choice.lower())
        if row is None:
            raise UsageError(
                f"Expected backbones among {', '.join(BACKBONES)}, or .keras files, received {choice!r}."
            )
        short, title, size = row.name, row.builder, row.size if like.images.size == 224 else None
    changes: dict[str, Any] = {"backbone.name": choice, "backbone.pooling": "avg", "images.size": size}
    # A recipe in place of the report's may name ResNet50V2's own file or layer.
    like = like.replaced({"fit.schedule": None, "backbone.cut": None, "backbone.weights": "imagenet"})
    recipe = override(like, changes | {"name": f"covid4-{short}"})
    told = f"{title} in place of ResNet50V2, average pooling, one hidden layer, a constant learning rate."
    return short, f"Task 2, {title}", override(recipe, {"description": told})


def _made(recipe: Recipe, weights: Mapping[str, str], seed: int) -> Recipe:
    return override(recipe, {"fit.seed": seed, "backbone.weights": weights.get(recipe.backbone.name.lower())})


def _shortened(recipe: Recipe, views: int) -> Recipe:
    """Return a recipe of few epochs and views, its schedule pressed together alike."""
    epochs = min(recipe.fit.epochs, QUICK_EPOCHS)
    changes: dict[str, Any] = {"fit.epochs": epochs, "views.count": min(recipe.views.count, views)}
    if recipe.fit.schedule is not None:
        # No two boundaries may fall together.
        bounds: list[int] = []
        for bound in recipe.fit.schedule.boundaries:
            scaled = round(bound * epochs / recipe.fit.epochs)
            bounds.append(max(scaled, bounds[-1] + 1 if bounds else 1))
        changes["fit.schedule.boundaries"] = tuple(bounds)
    return override(recipe, changes)
