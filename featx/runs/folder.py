"""The RUN folder that `fit_head` writes: its files, read back."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, TypeVar

from featx.errors import RunError
from featx.files import check_folder, unwritable
from featx.recipes import Recipe, load_recipe

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


@dataclass(frozen=True)
class RunImage:
    """One row of a run's `predictions.csv`.

    Attributes:
        path: The image's path, as the data names it.
        split: `train`, `val` or `test`.
        role: What the run used it for: `fit`, `validation` or `test`.
        label: Its class.
        predicted: The most probable class.
        probabilities: One for each class, in the order of the run's classes.
        digest: SHA-256 of the image's bytes.
        group: The image's group, such as a patient; None where the data names none.
        extra: The other columns of the data's manifest, as text; "" where a cell is empty.
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

    @cached_property
    def images(self) -> list[RunImage]:
        """The run's images with what the head predicted for them, in the order of `predictions.csv`.

        Raises:
            RunError: `predictions.csv` is missing or damaged.
        """
        return self._read(PREDICTIONS, "images", lambda file: [self._image(row) for row in _table(file)])

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The scores, as `featx fit-head --json` prints them.

        Raises:
            RunError: `metrics.json` is missing or damaged.
        """
        return self._read(METRICS, "scores", lambda file: dict(json.load(file)))

    @cached_property
    def history(self) -> list[dict[str, float | None]]:
        """A row for each epoch: the columns of `history.csv`, None where nothing was held out.

        Raises:
            RunError: `history.csv` is missing or damaged.
        """

        def parse(file: TextIO) -> list[dict[str, float | None]]:
            return [{name: float(value) if value else None for name, value in row.items()} for row in _table(file)]

        return self._read(HISTORY, "epochs", parse)

    def _read(self, name: str, what: str, parse: Callable[[TextIO], T]) -> T:
        path = self.path / name
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return parse(file)
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise RunError(
                f"Expected the run's {what} in {path}, but it cannot be read ({error}); fit again."
            ) from None

    def _image(self, row: Mapping[str, Any]) -> RunImage:
        if None in row.values():
            raise ValueError("a line is cut short")
        return RunImage(
            path=row["path"],
            split=row["split"],
            role=row["role"],
            label=row["label"],
            predicted=row["predicted"],
            probabilities=tuple(float(row[f"p_{name}"]) for name in self.classes),
            digest=row["sha256"],
            group=row.get("group") or None,
            extra={name.removeprefix(EXTRA): value for name, value in row.items() if name.startswith(EXTRA)},
        )


def _table(file: TextIO) -> csv.DictReader[str]:
    return csv.DictReader(file, strict=True)


def is_run(folder: Path) -> bool:
    """Return whether `fit_head` wrote the folder."""
    return (folder / MANIFEST).is_file() and (folder / RECIPE).is_file()


def read_run(folder: str | Path) -> Run:
    """Read a run's recipe and manifest; the head itself is loaded when it is needed.

    Raises:
        RunError: The folder is missing or is not a run.
        RecipeError: Its recipe is not valid.
    """
    path = Path(folder)
    if not (path / MANIFEST).is_file():
        raise RunError(
            f"Expected a folder written by featx fit-head, but {path} "
            f"{f'has no {MANIFEST}' if path.is_dir() else 'does not exist'}; fit a head first, or check the path."
        )
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
        classes = tuple(manifest["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"The run's {path / MANIFEST} cannot be read ({error}); fit the head again.") from None
    return Run(path, load_recipe(path / RECIPE), manifest, classes)


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
