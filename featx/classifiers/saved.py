"""A classifier of `compare` saved as a folder that classifies new images on its own."""

from __future__ import annotations

import logging
import platform
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from featx.classifiers.estimator_files import class_probabilities, load_estimator, save_estimator
from featx.classifiers.trained_on import read_trained_on, write_trained_on
from featx.digests import digest_of, digest_of_file
from featx.errors import RunError, UntrustedError, reason_of
from featx.features import FeatureSpace, ViewRows
from featx.files import check_folder, is_file, unwritable, write_file, write_json, write_text
from featx.heads import Head
from featx.recipes import Recipe, dump_recipe, load_written_recipe
from featx.runs import (
    HEAD,
    RECIPE,
    ROWS_AT_ONCE,
    ClassNames,
    Digest,
    Document,
    Model,
    Source,
    SpaceId,
    Width,
    check_weights,
    read_document,
)

log = logging.getLogger("featx")

SKOPS = "classifier.skops"
METADATA = "classifier.json"
SCHEMA = 1
PACKAGES = ("featx", "numpy", "scikit-learn", "scipy", "skops")
# Rows for which a classifier that was read back must give the same probabilities as the one that was written.
CHECKED_ROWS = 64


def _of_this_schema(schema: int) -> int:
    if schema != SCHEMA:
        raise ValueError(f"it is {schema}, and this version of featx reads {SCHEMA}")
    return schema


class _Features(Document):
    backbone_set: SpaceId


class _Weights(Document):
    sha256: Digest


class _Head(Document):
    sha256: Digest
    penultimate: str


class _Data(Document):
    sha256: str = ""


class _Versions(Document):
    scikit_learn: Annotated[str, Field(alias="scikit-learn")]


class _Metadata(Document):
    """The document `classifier.json`, as far as it is read."""

    number: Annotated[int, Field(alias="schema"), AfterValidator(_of_this_schema)]
    classes: ClassNames
    dim: Width
    sha256: Digest
    features: _Features
    weights: _Weights
    head: _Head | None
    data: _Data = _Data()
    versions: _Versions


@dataclass(frozen=True)
class SavedClassifier(Model):
    """A saved classifier's folder; the classifier itself, and a head before it, are loaded when they are needed.

    Attributes:
        recipe: How features are made from images, with the statistics of the training images.
        dim: Features in a row.
        backbone_set: The id of the feature space of the backbone's rows.
        weights: The digest of the backbone's weights.
        head: Digest and layer of the head whose penultimate features it takes; None for the backbone's.
        sha256: The digest of the classifier's file.
        data: The digest of the images that it was trained and tested on.
    """

    path: Path
    recipe: Recipe
    classes: tuple[str, ...]
    dim: int
    backbone_set: str
    weights: str
    head: tuple[str, str] | None
    sha256: str
    scikit_learn: str
    data: str = ""

    @cached_property
    def estimator(self) -> Any:
        """The fitted pipeline, from the file that was saved and no other."""
        path = self.path / SKOPS
        try:
            digest = digest_of_file(path)
        except OSError as error:
            raise _unreadable(path, error) from None
        if digest != self.sha256:
            raise RunError(
                f"Expected the classifier that {self.path / METADATA} describes, but {path} is damaged or another; "
                "save it again with featx compare --save-best."
            )
        here = version("scikit-learn")
        if self.scikit_learn != here:
            log.warning(
                "The classifier was saved with scikit-learn %s and this is %s, which may not do the same with it; "
                "save it again, or install that version.",
                self.scikit_learn,
                here,
            )
        return load_estimator(path, self.dim, len(self.classes))

    @cached_property
    def trained_on(self) -> tuple[tuple[str, str | None], ...] | None:
        """The digest of each training image and the mark of its group; None for a classifier without them."""
        return read_trained_on(self.path)

    def check(self, space: FeatureSpace) -> None:
        """Check the weights' digest and all else that decides a row, and load the classifier, see `Model`."""
        check_weights(space, self.weights, "classifier")
        if space.plain.id != self.backbone_set:
            raise UntrustedError(
                f"Expected the features that {self.path} was trained on (set {self.backbone_set[:12]}…), but its "
                f"{RECIPE} and this version of featx make others ({space.plain.id[:12]}…); predictions would mean "
                "nothing, so restore the recipe, or save the classifier again."
            )
        # If it cannot be loaded, this is known before hours of work.
        _ = self.estimator

    def probabilities(self, rows: ViewRows) -> NDArray[np.float64]:
        """Return (n, classes) for rows of the backbone's features, see `Model`."""
        chunks = rows.chunks(ROWS_AT_ONCE)
        head = self.load_head()
        if head is not None:
            chunks = head.penultimate(chunks)
        parts = [class_probabilities(self.estimator, chunk) for chunk in chunks]
        return np.concatenate([np.empty((0, len(self.classes))), *parts])

    def load_head(self) -> Head | None:
        """Load the head whose penultimate features the classifier takes; None if it takes the backbone's."""
        if self.head is None:
            return None
        digest, layer = self.head
        path = self.path / HEAD
        head = Head.load(path, layer)
        if head.digest() != digest:
            raise UntrustedError(
                f"Expected the head whose features the classifier was trained on (SHA-256 {digest[:12]}…), found "
                f"another in {path}; predictions would mean nothing, so save the classifier again."
            )
        return head


def is_saved_classifier(folder: Path) -> bool:
    """Return whether `save_best` wrote a folder."""
    return is_file(folder / METADATA)


def read_classifier(folder: Path) -> SavedClassifier:
    """Read a saved classifier's folder.

    Raises:
        RunError: It is not such a folder, is incomplete or damaged, or was written by a later featx.
        RecipeError: Its recipe is not valid.
    """
    path = folder / METADATA
    try:
        metadata = read_document(path, _Metadata)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    head = metadata["head"]
    return SavedClassifier(
        folder,
        load_written_recipe(folder / RECIPE),
        classes=tuple(metadata["classes"]),
        dim=metadata["dim"],
        backbone_set=metadata["features"]["backbone_set"],
        weights=metadata["weights"]["sha256"],
        head=None if head is None else (head["sha256"], head["penultimate"]),
        sha256=metadata["sha256"],
        scikit_learn=metadata["versions"]["scikit-learn"],
        data=metadata["data"]["sha256"],
    )


def save_classifier(
    out: str | Path,
    estimator: Any,
    source: Source,
    *,
    name: str,
    parameters: Mapping[str, Any],
    seed: int,
    scores: Mapping[str, Any],
) -> Path:
    """Write a classifier with everything that is needed to classify new images; return the folder.

    It was fitted on the names of the classes of the source, the training images, and has `predict_proba`. An earlier
    saved classifier in the folder is replaced.
    """
    folder = Path(out)
    check_out(folder)
    recipe, features, weights = _origin(source)
    try:
        (folder / METADATA).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    write_file(folder / SKOPS, lambda draft: _save_checked(estimator, draft, source))
    write_text(folder / RECIPE, dump_recipe(recipe))
    head = _save_head(folder, source)
    write_trained_on(folder, source)
    metadata = {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "classifier": name,
        "parameters": dict(parameters),
        "classes": [str(name) for name in estimator.classes_],
        "layer": source.layer,
        "dim": int(source.table.X.shape[1]),
        "seed": seed,
        "sha256": digest_of_file(folder / SKOPS),
        "features": features,
        "weights": weights,
        "head": head,
        "data": _data(source),
        "scores": dict(scores),
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
    }
    # This is written last: a folder with it is complete.
    write_json(folder / METADATA, metadata)
    return folder


def check_out(folder: Path) -> None:
    """Check that a classifier may be written to a folder: absent, empty, or an earlier one, which is replaced.

    Raises:
        RunError: It is a file, or holds other files.
    """
    check_folder(folder, "classifier", (METADATA, SKOPS), "saved classifier", "--save-best")


def _origin(source: Source) -> tuple[Recipe, dict[str, Any], dict[str, Any]]:
    """Return the recipe, the features and the weights of a source's rows."""
    if source.run is not None:
        manifest = source.run.manifest
        described = manifest["features"]
        weights = {name: value for name, value in manifest["weights"].items() if value is not None}
        features = {"backbone_set": described["feature_set"], "description": described.get("description")}
        return source.run.recipe, features, weights
    if source.space is None:
        raise RunError(f"How the rows of {source.name} are made is unknown; save a classifier of a run or of data.")
    spec, backbone_weights = source.space.spec, source.space.weights
    recipe = spec if isinstance(spec, Recipe) else Recipe(name=source.name or "data", **dict(spec))
    return recipe, {"backbone_set": source.feature_set}, backbone_weights.to_json(spec.backbone.name)


def _save_checked(estimator: Any, draft: Path, source: Source) -> None:
    save_estimator(estimator, draft)
    rows = source.table.X[:CHECKED_ROWS]
    again = load_estimator(draft, source.table.X.shape[1], len(estimator.classes_))
    if not np.array_equal(class_probabilities(again, rows), class_probabilities(estimator, rows)):
        raise UntrustedError(
            "Expected a classifier that predicts the same once it is saved and read back, but this one does not; "
            "choose another with --classifiers."
        )


def _save_head(folder: Path, source: Source) -> dict[str, Any] | None:
    """Copy the run's head if the rows are its penultimate features; return what identifies it."""
    if source.layer != "penultimate" or source.run is None:
        (folder / HEAD).unlink(missing_ok=True)
        return None
    head = source.run.manifest["head"]
    write_file(folder / HEAD, partial(shutil.copyfile, source.run.path / HEAD))
    return {"sha256": head["sha256"], "penultimate": head["penultimate"]["layer"]}


def _data(source: Source) -> dict[str, Any]:
    table = source.table
    rows = zip(table.digests, table.labels, table.splits, strict=True)
    counts = Counter(map(str, table.labels))
    return {
        "name": source.name,
        "n": len(table),
        "counts": dict(sorted(counts.items())),
        "sha256": digest_of(sorted(map(list, rows))),
    }


def _unreadable(path: Path, error: Exception) -> RunError:
    return RunError(
        f"Expected a classifier that featx compare --save-best wrote, but {path} cannot be read "
        f"({reason_of(error)}); save it again."
    )
