"""Options that several commands share, each declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# Help panels, in the order in which a reader needs them.
FEATURES = "What features"
FITTING = "How to fit"
RUNNING = "How to run"


class Pooling(StrEnum):
    """What is done to the network's last map."""

    none = "none"
    avg = "avg"
    max = "max"


class Preprocess(StrEnum):
    """What is done to pixels."""

    rescale = "rescale"
    imagenet = "imagenet"
    featurewise = "featurewise"


class PrecisionChoice(StrEnum):
    """What the network computes in."""

    float32 = "float32"
    mixed = "mixed"


class OnErrorChoice(StrEnum):
    """What to do about an image that cannot be used."""

    fail = "fail"
    skip = "skip"


class NetworkEngine(StrEnum):
    """What runs the network."""

    auto = "auto"
    keras = "keras"
    openvino = "openvino"


class LayerChoice(StrEnum):
    """Which features are looked at."""

    penultimate = "penultimate"
    backbone = "backbone"


class SplitChoice(StrEnum):
    """Which images are looked at."""

    train = "train"
    val = "val"
    test = "test"
    all = "all"


class MapMethod(StrEnum):
    """How a map is made."""

    tsne = "tsne"
    umap = "umap"
    pca = "pca"


class MapSetting(StrEnum):
    """Named parameters of a map."""

    of_2020 = "2020"


class FitEngineChoice(StrEnum):
    """What fits the head."""

    auto = "auto"
    fused = "fused"
    keras = "keras"


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
RecipeChoice = Annotated[str | None, typer.Option("--recipe", help="Name or TOML file.", rich_help_panel=FEATURES)]
BackboneChoice = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="Name, or a .keras file, instead of a recipe; vgg16 without either.",
        rich_help_panel=FEATURES,
    ),
]
PoolingChoice = Annotated[
    Pooling | None,
    typer.Option("--pooling", help="Of the last map; none flattens it.", rich_help_panel=FEATURES),
]
PreprocessChoice = Annotated[
    Preprocess | None, typer.Option("--preprocess", help="Of the pixels.", rich_help_panel=FEATURES)
]
Size = Annotated[int | None, typer.Option("--size", help="Width and height in pixels.", rich_help_panel=FEATURES)]
LayerOption = Annotated[
    LayerChoice | None,
    typer.Option(
        "--layer",
        help="Which features; if not given a run's penultimate ones, and the backbone's of data.",
        rich_help_panel=FEATURES,
    ),
]
Precision = Annotated[
    PrecisionChoice | None,
    typer.Option(
        "--precision",
        help="mixed: products in half precision, for GPUs with units for it; such rows are kept apart.",
        rich_help_panel=FEATURES,
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that fit-head wrote.")]
Cache = Annotated[
    Path, typer.Option("--cache", envvar="FEATX_CACHE", help="Where features are kept.", rich_help_panel=RUNNING)
]
WeightsChoice = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="imagenet|random[:SEED]|FILE",
        help="The backbone's weights; BACKBONE=… where several are used. FEATX_WEIGHTS_DIR is searched for "
        "BACKBONE_notop.weights.h5 before any download.",
        rich_help_panel=FEATURES,
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="Of all that is random.", rich_help_panel=RUNNING)
]
OnError = Annotated[
    OnErrorChoice,
    typer.Option(help="skip: go on without images that cannot be used, and exit with 3.", rich_help_panel=RUNNING),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output.", rich_help_panel=RUNNING)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notices.", rich_help_panel=RUNNING)]
Debug = Annotated[bool, typer.Option("--debug", help="Errors with their traceback.", rich_help_panel=RUNNING)]
CACHE_DEFAULT = Path("cache")


def weights_for(backbone: str, choices: list[str] | None) -> str | None:
    """Return what `--weights` says of one backbone: `BACKBONE=…` before a choice for all, the last one wins."""
    found = None
    named = None
    for choice in choices or []:
        name, equals, source = choice.partition("=")
        if not equals:
            found = choice
        elif name.lower() == backbone.lower():
            named = source
    return named if named is not None else found
