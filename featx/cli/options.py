"""Options that several commands share, each declared once, and the frame that all commands run in."""

from __future__ import annotations

import errno
import inspect
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from featx.cli import console
from featx.cli.data_options import DataOptions as DataOptions
from featx.cli.data_options import ImageColumn as ImageColumn
from featx.errors import UsageError, naming_options, reason_of

if TYPE_CHECKING:
    from featx.features import FeatureChoice

# Help panels, in the order in which a reader needs them.
FEATURES = "Which features"
FITTING = "How to train"
RUNNING = "How to run"

# Named in help texts, which must not load what has them; tests compare them.
BACKBONE_NAMES = (
    "efficientnetlite0, vgg16, vgg19, resnet50, resnet50v2, mobilenetv2, densenet121, efficientnetv2b0, convnexttiny"
)
CLASSIFIER_NAMES = "logreg, svm-linear, svm-rbf, knn, lda, forest, boosting, pixels"
THE_RECIPE_S = "the recipe's"

feature_option = partial(typer.Option, rich_help_panel=FEATURES)
fitting_option = partial(typer.Option, rich_help_panel=FITTING)
running_option = partial(typer.Option, rich_help_panel=RUNNING)

Layer = Literal["penultimate", "backbone"]
Split = Literal["train", "val", "test", "all"]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with a folder for each class, or with train/ and test/ that contain these; or a manifest (CSV "
        "or Parquet); or an archive of images.",
    ),
]
SeveralData = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA...",
        help="A folder of images, with or without a folder for each class, or with train/ and test/; a manifest (CSV "
        "or Parquet) or archive; or images without labels: files, folders and patterns such as 'photos/*.jpg'.",
    ),
]
Place = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|DATA", help="A folder that fit-head wrote, or images: a folder, archive or manifest."
    ),
]
SeveralPlaces = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN|DATA...",
        help="A folder that fit-head wrote; a folder, manifest or archive of images; or images without labels: "
        "files, folders and patterns such as 'photos/*.jpg'.",
    ),
]
_recipe = feature_option("--recipe", help="Name of a recipe (see featx recipes list), or its TOML file.")
RecipeChoice = Annotated[str | None, _recipe]
BackboneChoice = Annotated[
    str | None,
    feature_option(
        "--backbone",
        help=f"Network with its default settings, instead of a recipe: {BACKBONE_NAMES}; or a card, an .onnx file "
        "with a card, or a .keras file.",
        show_default="efficientnetlite0",
    ),
]
PoolingChoice = Annotated[
    Literal["none", "avg", "max"] | None,
    feature_option(
        "--pooling",
        help="Pooling of the network's last feature map; with none it is flattened.",
        show_default="avg, or the recipe's",
    ),
]
PreprocessChoice = Annotated[
    Literal["rescale", "imagenet", "featurewise", "raw", "card"] | None,
    feature_option(
        "--preprocess",
        help="How pixels are prepared: rescale (0 to 1), imagenet (as for the network's ImageNet weights), "
        "featurewise (by the training images), raw (0 to 255, unchanged), or card (as the network's card says).",
        show_default="the network's own, or the recipe's",
    ),
]
Size = Annotated[
    str | None,
    feature_option(
        "--size",
        metavar="N|HEIGHTxWIDTH",
        help="Size of the network's input in pixels; one number is both height and width.",
        show_default="the network's own, or the recipe's",
    ),
]
Window = Annotated[
    str | None,
    feature_option(
        "--window",
        metavar="file|none|CENTER/WIDTH",
        help="Grey levels of DICOM files: file (the file's VOI LUT or window), none (from the smallest value to the "
        "largest), or a window in the images' units, such as 40/400 for CT.",
        show_default="file, or the recipe's",
    ),
]
FramesOption = Annotated[
    Literal["first", "middle", "all"] | None,
    feature_option(
        "--frames",
        help="Which frames of DICOM files that have several; with all, each frame is an image.",
        show_default="first, or the recipe's",
    ),
]
Views = Annotated[
    int | None,
    feature_option(
        "--views",
        help="Number of versions of each training image: the image itself and augmented views (augmentation).",
        show_default="1, or the recipe's",
    ),
]
LayerOption = Annotated[
    Layer | None,
    feature_option(
        "--layer",
        help="Features of the backbone, or of the head's second to last layer.",
        show_default="penultimate for a run that has it, else backbone",
    ),
]
Precision = Annotated[
    Literal["float32", "mixed"] | None,
    feature_option(
        "--precision",
        help="Precision of the network's arithmetic; mixed is half precision, for GPUs, and is stored separately.",
        show_default="float32, or the recipe's",
    ),
]
WeightsChoice = Annotated[
    list[str] | None,
    feature_option(
        "--weights",
        metavar="imagenet|random[:SEED]|FILE",
        help="Weights of the backbone: imagenet, random ones, or a file; BACKBONE=… for one of several networks. "
        "The folder FEATX_WEIGHTS_DIR is searched for BACKBONE_notop.weights.h5 before any download.",
        show_default="imagenet, or the recipe's",
    ),
]
HeadChoice = Annotated[
    Literal["linear", "mlp"] | None,
    fitting_option(
        "--head",
        help="Head to train, instead of a recipe: linear has no hidden layer, mlp has one.",
        show_default="linear",
    ),
]
FitEngineOption = Annotated[
    Literal["auto", "fused", "keras"],
    running_option(
        "--engine", help="What trains the head; auto is fused on a CPU if the head's layers allow it, else keras."
    ),
]
OnError = Annotated[
    Literal["fail", "skip"],
    running_option(
        "--on-error",
        help="What to do about images that cannot be used: fail, or skip them, list them, and exit with 3.",
    ),
]
Yes = Annotated[
    bool,
    running_option(
        "--yes", help="Do the work even if it is estimated to need more disk, memory or time than there is."
    ),
]
Cache = Annotated[Path, running_option("--cache", envvar="FEATX_CACHE", help="Folder in which features are stored.")]
_seed_option = partial(running_option, "--seed", min=0, max=2**32 - 1)
Seed = Annotated[
    int | None,
    _seed_option(help="Seed of everything random; the same seed gives the same result.", show_default="0"),
]
RecipeSeed = Annotated[
    int | None,
    _seed_option(
        help="Seed of the validation images, the initial weights, the order of images and dropout.",
        show_default=THE_RECIPE_S,
    ),
]
Json = Annotated[bool, running_option("--json", help="Print one JSON object on standard output.")]
Quiet = Annotated[bool, running_option("--quiet", "-q", help="Show no progress and no notices.")]
Debug = Annotated[bool, running_option("--debug", help="Show errors with their traceback.")]
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
    window: Window = None
    frames: FramesOption = None

    def choice(self) -> FeatureChoice:
        """Return the arguments of a verb that the options mean, but for the recipe."""
        return {
            "backbone": self.backbone,
            "pooling": self.pooling,
            "preprocess": self.preprocess,
            "size": size_of(self.size),
            "weights": weights_by_backbone(self.weights),
            "window": self.window,
            "frames": self.frames,
        }


def one_or_several(paths: list[Path]) -> Path | list[Path]:
    """Return the one path that a command was given, or all of them, none of which may be a run.

    Raises:
        UsageError: One of several is a run.
    """
    if len(paths) == 1:
        return paths[0]
    from featx.runs import is_run

    for path in paths:
        if is_run(path):
            raise UsageError(f"Expected one run alone, or images and folders, received the run {path} among others.")
    return paths


def size_of(text: str | None) -> int | tuple[int, int] | None:
    """Return the size that `--size` names."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9})(?:[xX×](\d{1,9}))?", text)
    if match is None:
        raise UsageError(
            f"Expected one number for --size, or HEIGHTxWIDTH, such as 224 or 480x640, received {text[:80]!r}."
        )
    height, width = match.groups()
    return int(height) if width is None else (int(height), int(width))


def weights_by_backbone(choices: list[str] | None) -> dict[str, str | Path] | None:
    """Return the choices of `--weights` by backbone, "" for all; the last one of each wins."""
    from featx.networks import BACKBONES

    weights: dict[str, str | Path] = {}
    for choice in choices or []:
        name, equals, source = choice.partition("=")
        if equals and (name.lower() in BACKBONES or _names_file(name)):
            weights.pop(name, None)
            weights[name] = source
        else:
            weights[""] = choice  # a path may have a = of its own
    return weights or None


def weights_for(backbone: str, choices: list[str] | None) -> str | None:
    """Return the choice of `--weights` for one backbone: `BACKBONE=…` before a choice for all, the last one wins."""
    from featx.features import weights_of

    return weights_of(backbone, weights_by_backbone(choices))


def _names_file(name: str) -> bool:
    """Tell whether the text before a = is the path of a network of its own, not a part of another path."""
    return name.lower().endswith((".keras", ".toml", ".onnx")) or bool(name and Path(name).is_dir())


def _check_names(values: Iterable[Any]) -> None:
    """Check that the system takes the names of all paths, whether there is something or not."""
    for value in values:
        if isinstance(value, list):
            _check_names(value)
        elif isinstance(value, Path):
            try:
                value.lstat()
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
                    continue  # nothing is there, or it cannot be read, which is said where it is needed
                raise UsageError(
                    f"Expected the name of a file or folder, received one that none can have ({reason_of(error)[:60]}"
                    f"…): {str(value)[:60]!r}; choose another."
                ) from error


def refuse_overwriting(out: Path | None, what: str, *starts: bytes, option: str = "--out") -> None:
    """Check before the work that a file can be written: it is new, empty, or an earlier one, which starts like these.

    Raises:
        UsageError: It is a folder, a device, or a file of another kind, which may be an image or a manifest.
    """
    if out is None or not (out.exists() or out.is_symlink()):
        return
    if out.is_file():
        with suppress(OSError), out.open("rb") as file:
            held = file.read(max(map(len, starts))).lower()
            if not held or held.startswith(starts):
                return
    raise UsageError(
        f"Expected a new file or earlier {what} at {out}, found something else there; choose another {option}."
    )


def command(function: Callable[..., console.Result]) -> Callable[..., None]:
    """Make a command of a function: with groups of options, notices, progress bars, and one way to end.

    A parameter whose type is `Output`, `Features` or `DataOptions` becomes the options that are its fields. What the
    function returns is printed, as JSON or for people, by `console.finish`.
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
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        output = given["output"]
        console.start(quiet=output.quiet, debug=output.debug)
        _check_names(given.values())
        with naming_options(), console.progress(quiet=output.quiet):
            result = function(**given)
        console.finish(result, json=output.json)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
