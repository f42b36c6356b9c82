"""The RUN folder that `fit_head` writes: its files, read back."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from featx.data import SPLITS
from featx.errors import FeatxError, RunError, reason_of
from featx.files import check_folder, is_file, open_file, unwritable
from featx.heads import describe_stopping
from featx.networks import Card, card_of
from featx.recipes import Recipe, load_written_recipe
from featx.runs.documents import Manifest, Metrics, read_document
from featx.stats import THRESHOLD
from featx.text import joined_labels

T = TypeVar("T")
HEAD = "head.keras"
RECIPE = "recipe.toml"
MANIFEST = "manifest.json"
METRICS = "metrics.json"
HISTORY = "history.csv"
PREDICTIONS = "predictions.csv"
CURVES = "curves.png"
CONFUSION = "confusion.png"
REPORT = "report.html"
# What `visualize` calls its files.
MAP_FILE = re.compile(r"(tsne|tsne2020|umap|pca)-(penultimate|backbone)-.+\.(png|svg|html|csv|npz)")
MAP_FOLDER = re.compile(r"(tsne|tsne2020|umap|pca)-(penultimate|backbone)-.+-projector")
MAP_FOLDER_FILES = ("tensors.tsv", "metadata.tsv", "projector_config.pbtxt")
# Before the names of the manifest's own columns in PREDICTIONS, which could be named like one of ours.
EXTRA = "extra_"
SHARE = "p_"  # before the name of a class
TARGET = "label:"  # before the name of one of several labels
CELLS = {1.0: "1", 0.0: "0"}  # whether a label is there; where that is not known the cell is empty
ROLES = ("fit", "validation", "test")
TABLE_LIMIT = 2**32  # bytes of a table: ten thousand classes of as many images
DIGEST = re.compile(r"[0-9a-f]{64}")
EPOCH = ("epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class RunImage:
    """One row of a run's `predictions.csv`.

    Attributes:
        path: The image's path, as the data names it.
        split: `train`, `val` or `test`.
        role: What the run used it for: `fit`, `validation` or `test`.
        label: Its class. Of several labels those that are there, with `|` between them.
        predicted: The most probable class. Of several labels those whose probability is at least 0.5, likewise.
        probabilities: One for each class, in the order of the run's classes; they add up to 1, unless an image may
            have several labels.
        digest: SHA-256 of the image's bytes.
        group: The image's group, such as a patient; None where the data names none.
        extra: The other columns of the data's manifest, as text; "" where a cell is empty.
        targets: Of several labels, for each 1 if it is there, 0 if not, NaN if that is not known; None otherwise.
    """

    path: str
    split: str
    role: str
    label: str
    predicted: str
    probabilities: tuple[float, ...]
    digest: str
    group: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[float, ...] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Run:
    """A run as its folder describes it. Its files are read when they are first needed, and once.

    Attributes:
        path: The folder.
        recipe: The recipe with every default and the statistics of the training images.
        manifest: Digests, versions, device and timings.
        classes: In the order of the head's output.
    """

    path: Path
    recipe: Recipe
    manifest: Mapping[str, Any]
    classes: tuple[str, ...]

    @property
    def multilabel(self) -> bool:
        """Whether the classes are labels of which an image may have several."""
        return bool(self.manifest.get("multilabel", False))

    @property
    def temperature(self) -> float:
        """What `predict` divides the head's logits by; 1 where no temperature was fitted."""
        calibration = self.manifest.get("calibration")
        return 1.0 if calibration is None else float(calibration["temperature"])

    @cached_property
    def images(self) -> list[RunImage]:
        """The run's images with what the head predicted for them, in the order of `predictions.csv`.

        Raises:
            RunError: `predictions.csv` is missing or damaged.
        """

        def parse(path: Path) -> list[RunImage]:
            parse_row = _several_labels if self.multilabel else _one_label
            # Row by row: all at once, images times classes, would take gigabytes.
            return parse_row(path, self.classes)

        return self._read(PREDICTIONS, "images", parse)

    @cached_property
    def card(self) -> Card | None:
        """The card of the network as it was when the head was trained; None for a network without one.

        Raises:
            RunError: It is not valid.
        """
        document = self.manifest["weights"].get("card")
        try:
            return None if document is None else card_of(document, f"in {self.path / MANIFEST}")
        except FeatxError as error:
            raise RunError(f"{str(error).removesuffix('.')}; fit the head again.") from None

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The scores, as `featx fit-head --json` prints them.

        Raises:
            RunError: `metrics.json` is missing or damaged.
        """
        return self._read(METRICS, "scores", lambda path: read_document(path, Metrics))

    @cached_property
    def history(self) -> list[dict[str, float | None]]:
        """A row for each epoch: the columns of `history.csv`, None where nothing was held out.

        Raises:
            RunError: `history.csv` is missing or damaged.
        """
        return self._read(HISTORY, "epochs", lambda path: [_epoch(row) for row in _table(path, EPOCH)])

    @property
    def stopping(self) -> str | None:
        """A clause on which epoch was best and whether it is kept; None if it is the last of all epochs.

        Raises:
            RunError: `history.csv` is missing or damaged.
        """
        return describe_stopping([row["val_loss"] for row in self.history], self.recipe.fit)

    def _read(self, name: str, what: str, parse: Callable[[Path], T]) -> T:
        path = self.path / name
        try:
            return parse(path)
        except (OSError, ValueError, csv.Error) as error:
            raise RunError(
                f"Expected the run's {what} in {path}, but it cannot be read ({reason_of(error)}); fit again."
            ) from None


def _one_label(path: Path, names: Sequence[str]) -> list[RunImage]:
    """Return the images of `predictions.csv`, each with one of these classes."""
    shares, classes = [f"{SHARE}{name}" for name in names], frozenset(names)
    valid = {"split": SPLITS, "role": ROLES, "label": classes, "predicted": classes}
    images = []
    for row in _table(path, ("path", "split", "role", "label", "predicted", "sha256", *shares)):
        probabilities = tuple(float(row.pop(name)) for name in shares)
        # Not written so that NaN would pass.
        if not (min(probabilities) >= 0 and abs(sum(probabilities) - 1) < 1e-3):
            raise ValueError(f"the probabilities of {row['path'][:60]!r} do not add up to 1")
        images.append(_image(row, probabilities, valid))
    return images


def _several_labels(path: Path, names: Sequence[str]) -> list[RunImage]:
    """Return the images of `predictions.csv`, each with any of these labels."""
    shares, labels = ([f"{before}{name}" for name in names] for before in (SHARE, TARGET))
    valid = {"split": SPLITS, "role": ROLES}
    targets_of_cell = {"": math.nan, **{cell: value for value, cell in CELLS.items()}}
    images = []
    for row in _table(path, ("path", "split", "role", "sha256", *labels, *shares)):
        probabilities = tuple(float(row.pop(name)) for name in shares)
        if not all(0 <= value <= 1 for value in probabilities):
            raise ValueError(f"a probability of {row['path'][:60]!r} is not between 0 and 1")
        cells = [row.pop(name) for name in labels]
        if wrong := [cell for cell in cells if cell not in targets_of_cell]:
            raise ValueError(f"{wrong[0][:60]!r} is not 1, 0 or empty")
        targets = tuple(targets_of_cell[cell] for cell in cells)
        row["label"] = joined(names, [value == 1 for value in targets])
        row["predicted"] = joined(names, [value >= THRESHOLD for value in probabilities])
        images.append(replace(_image(row, probabilities, valid), targets=targets))
    return images


def joined(names: Sequence[str], there: Iterable[bool]) -> str:
    """Return the labels that are there, with `|` between them."""
    return joined_labels(name for name, chosen in zip(names, there, strict=True) if chosen)


def _image(row: dict[str, str], probabilities: tuple[float, ...], valid: Mapping[str, Collection[str]]) -> RunImage:
    """Return an image of `predictions.csv`, whose columns of labels and probabilities were taken out."""
    for column, values in valid.items():
        if row[column] not in values:
            raise ValueError(f"{row[column][:60]!r} is no {column} of the run")
    if not DIGEST.fullmatch(row["sha256"]) or not row["path"] or "\0" in row["path"]:
        raise ValueError(f"{row['path'][:60]!r} with SHA-256 {row['sha256'][:70]!r} is no image")
    if others := [name for name in row if name.startswith((SHARE, TARGET))]:
        raise ValueError(f"{others[0][:60]} is the column of no class of the manifest")
    return RunImage(
        path=row["path"],
        split=row["split"],
        role=row["role"],
        label=row["label"],
        predicted=row["predicted"],
        probabilities=probabilities,
        digest=row["sha256"],
        group=row.get("group") or None,
        extra={name.removeprefix(EXTRA): value for name, value in row.items() if name.startswith(EXTRA)},
    )


def _table(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, at least one, which has these columns and no cell too few or too many."""
    with io.TextIOWrapper(open_file(path, TABLE_LIMIT), "utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        names = reader.fieldnames or ()
        counted = Counter(names)
        for name in columns:
            if counted[name] != 1:
                raise ValueError(f"it has {counted[name] or 'no'} columns {name[:60]}")
        row = None
        for row in reader:
            if None in row or None in row.values():
                raise ValueError("a line is cut short or has too many cells")
            yield row
    if row is None:
        raise ValueError("it has no rows")


def _epoch(row: Mapping[str, str]) -> dict[str, float | None]:
    values = {name: float(row[name]) if row[name] else None for name in EPOCH}
    for name in ("epoch", "learning_rate", "accuracy", "val_accuracy"):
        if not math.isfinite(values[name] or 0):
            raise ValueError(f"{row[name]!r} is no {name}")
    if (values["epoch"] or 0.0) % 1:
        raise ValueError(f"{row['epoch']!r} is no epoch")
    return values


def is_run(folder: Path) -> bool:
    """Return whether `fit_head` wrote the folder."""
    return is_file(folder / MANIFEST) and is_file(folder / RECIPE)


def read_run(folder: str | Path) -> Run:
    """Read a run's recipe and manifest; the head itself is loaded when it is needed.

    Raises:
        RunError: The folder is missing or is not a run.
        RecipeError: Its recipe is not valid.
    """
    path = Path(folder)
    try:
        manifest = read_document(path / MANIFEST, Manifest)
    except (FileNotFoundError, NotADirectoryError):
        held = f"has no {MANIFEST}" if path.is_dir() else "is a file" if path.exists() else "does not exist"
        raise RunError(
            f"Expected a folder written by featx fit-head, but {path} {held}; fit a head first, or check the path."
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(
            f"The run's {path / MANIFEST} cannot be read ({reason_of(error)}); fit the head again."
        ) from None
    recipe = load_written_recipe(path / RECIPE)
    return Run(path, recipe, manifest, tuple(manifest["classes"]))


def check_out(folder: Path) -> None:
    """Check that a folder is absent, empty or an earlier run, also one whose writing was interrupted."""
    check_folder(folder, "run", (MANIFEST, HEAD))


def withdraw(folder: Path) -> None:
    """Remove an earlier run's manifest, without which its folder is no run, before its files are replaced.

    Its maps and its report go with it, since they show another head. Other files stay, also in a map's folder.
    """
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_file() and (path.name == REPORT or MAP_FILE.fullmatch(path.name)):
                path.unlink(missing_ok=True)
            elif path.is_dir() and MAP_FOLDER.fullmatch(path.name):
                for name in MAP_FOLDER_FILES:
                    (path / name).unlink(missing_ok=True)
                with suppress(OSError):  # it holds other files, or is a link
                    path.rmdir()
    except OSError as error:
        raise unwritable(folder, error) from error
