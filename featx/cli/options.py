"""Options that several commands share, each declared once, and the frame that all commands run in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from featx.cli import console

if TYPE_CHECKING:
    from featx.recipes import FeatureSpec

# Help panels, in the order in which a reader needs them.
FEATURES = "What features"
FITTING = "How to fit"
RUNNING = "How to run"


Layer = Literal["penultimate", "backbone"]
Split = Literal["train", "val", "test", "all"]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="Folder of class folders or train/ and test/ folders, or a CSV or Parquet manifest."
    ),
]
Place = Annotated[
    Path,
    typer.Argument(metavar="RUN|DATA", help="Folder that fit-head wrote, or a folder or manifest of images."),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that fit-head wrote.")]
RecipeChoice = Annotated[
    str | None, typer.Option("--recipe", help="Name of a recipe, or its TOML file.", rich_help_panel=FEATURES)
]
RecipeNeeded = Annotated[
    str, typer.Option("--recipe", help="Name of a recipe, or its TOML file.", rich_help_panel=FEATURES)
]
BackboneChoice = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="Name of a backbone, or a .keras file, instead of a recipe; vgg16 without either.",
        rich_help_panel=FEATURES,
    ),
]
PoolingChoice = Annotated[
    Literal["none", "avg", "max"] | None,
    typer.Option("--pooling", help="Pooling of the last feature map; none flattens it.", rich_help_panel=FEATURES),
]
PreprocessChoice = Annotated[
    Literal["rescale", "imagenet", "featurewise"] | None,
    typer.Option("--preprocess", help="Preprocessing of the pixels.", rich_help_panel=FEATURES),
]
Size = Annotated[
    int | None, typer.Option("--size", help="Width and height of the input in pixels.", rich_help_panel=FEATURES)
]
Views = Annotated[
    int | None,
    typer.Option(
        "--views",
        help="Augmented views of each training image, including the image itself.",
        rich_help_panel=FEATURES,
    ),
]
LayerOption = Annotated[
    Layer | None,
    typer.Option(
        "--layer",
        help="Which features; the default is penultimate for a run that has them, else backbone.",
        rich_help_panel=FEATURES,
    ),
]
Precision = Annotated[
    Literal["float32", "mixed"] | None,
    typer.Option(
        "--precision",
        help="mixed: products in half precision, for GPUs with units for it; such rows are kept separately.",
        rich_help_panel=FEATURES,
    ),
]
WeightsChoice = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="imagenet|random[:SEED]|FILE",
        help="Weights of the backbone; BACKBONE=… where several are used. FEATX_WEIGHTS_DIR is searched for "
        "BACKBONE_notop.weights.h5 before any download.",
        rich_help_panel=FEATURES,
    ),
]
FitEngineOption = Annotated[
    Literal["auto", "fused", "keras"],
    typer.Option("--engine", help="What trains the head; auto: fused where it can.", rich_help_panel=RUNNING),
]
OnError = Annotated[
    Literal["fail", "skip"],
    typer.Option(
        "--on-error", help="skip: leave out images that cannot be used, exit with 3.", rich_help_panel=RUNNING
    ),
]
Cache = Annotated[
    Path,
    typer.Option("--cache", envvar="FEATX_CACHE", help="Folder of cached features.", rich_help_panel=RUNNING),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.", rich_help_panel=RUNNING),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output.", rich_help_panel=RUNNING)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notices.", rich_help_panel=RUNNING)]
Debug = Annotated[bool, typer.Option("--debug", help="Show errors with their traceback.", rich_help_panel=RUNNING)]
CACHE_DEFAULT = Path("cache")


@dataclass(frozen=True)
class Output:
    """The options of every command: how it speaks."""

    json: Json = False
    quiet: Quiet = False
    debug: Debug = False


@dataclass(frozen=True)
class Features:
    """The options that choose features: a recipe or a backbone, and single fields of it."""

    recipe: RecipeChoice = None
    backbone: BackboneChoice = None
    pooling: PoolingChoice = None
    preprocess: PreprocessChoice = None
    size: Size = None
    weights: WeightsChoice = None

    def spec(self, **further: Any) -> FeatureSpec:
        """Return the features that the options mean.

        Args:
            further: More fields of a recipe to replace, `__` for the dot in their names; those that are None are
                left as they are.

        Raises:
            UsageError: Recipe and backbone are both given.
            RecipeError: The recipe or a field is not valid.
        """
        from featx.features import base_recipe
        from featx.recipes import override

        base = base_recipe(self.recipe, self.backbone)
        changes = {
            "backbone.pooling": self.pooling,
            "preprocess.mode": self.preprocess,
            "images.size": self.size,
            "backbone.weights": weights_for(base.backbone.name, self.weights),
            **{name.replace("__", "."): value for name, value in further.items()},
        }
        return override(base, changes)

    def spec_if_given(self) -> FeatureSpec | None:
        """Return the features that the options mean, or None where none is given: a run has its own features."""
        return self.spec() if any(getattr(self, field.name) for field in fields(self)) else None


def weights_for(backbone: str, choices: list[str] | None) -> str | None:
    """Return the choice of `--weights` for one backbone: `BACKBONE=…` before a choice for all, the last one wins."""
    for_all = None
    for_this = None
    for choice in choices or []:
        name, equals, source = choice.partition("=")
        if not equals:
            for_all = choice
        elif name.lower() == backbone.lower():
            for_this = source
    return for_this if for_this is not None else for_all


def command(function: Callable[..., console.Result]) -> Callable[..., None]:
    """Make a command of a function: with groups of options, notices, progress bars, and one way to end.

    A parameter whose type is `Output` or `Features` becomes the options that are its fields. What the function
    returns is printed, as JSON or for people, by `console.finish`.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        group = parameter.annotation
        if not is_dataclass(group):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = group
        hints = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
            )
            for field in fields(group)
        ]

    @wraps(function)
    def run(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        output = next(group for group in made.values() if isinstance(group, Output))
        console.start(quiet=output.quiet, debug=output.debug)
        with console.progress_bars(quiet=output.quiet):
            result = function(**given, **made)
        console.finish(result, json=output.json)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
