"""New images: features made as those of a run or of data, and the head's probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.data import Dataset, read_paths
from featx.errors import DataError, RunError, UntrustedError
from featx.features import Extraction, FeatureSpace, OnError, ViewRows, extract_dataset
from featx.heads import Head
from featx.networks import find_weights
from featx.recipes import Recipe, override
from featx.runs.folder import HEAD, RECIPE, Run
from featx.runs.source import Source
from featx.stats import scaled_probabilities
from featx.store import Store

ROWS_AT_ONCE = 256


class Model(ABC):
    """A model that classifies images: a run's head or a saved classifier.

    Attributes:
        recipe: How features are made of images.
        classes: In the order of the probabilities' columns.
        multilabel: Whether the classes are labels of which an image may have several.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    multilabel: bool = False

    @abstractmethod
    def check(self, space: FeatureSpace) -> None:
        """Check that these are the features that the model was trained on.

        Raises:
            UntrustedError: They are not.
        """

    @abstractmethod
    def probabilities(self, rows: ViewRows) -> NDArray[np.float64]:
        """Return (n, classes) for rows of the backbone's features; each row adds up to 1, unless `multilabel`."""


class HeadModel(Model):
    """A run's head.

    Args:
        run: The run.
        raw: Whether its probabilities are those without the temperature that was fitted on validation images.
    """

    def __init__(self, run: Run, *, raw: bool = False) -> None:
        self.run = run
        self.temperature = 1.0 if raw else run.temperature
        self.recipe = run.recipe
        self.classes = run.classes
        self.multilabel = run.multilabel

    def check(self, space: FeatureSpace) -> None:
        """Check the digest of the weights, and load the head."""
        check_weights(space, str(self.run.manifest["weights"]["sha256"]), "head")
        # If it cannot be loaded, this is known before hours of work.
        _ = self.head

    @cached_property
    def head(self) -> Head:
        """The run's head."""
        return load_head(self.run)

    def probabilities(self, rows: ViewRows) -> NDArray[np.float64]:
        """Return the head's probabilities; the temperature changes no predicted class."""
        logits = self.head.logits(rows.chunks(ROWS_AT_ONCE))
        return scaled_probabilities(logits, self.temperature, multilabel=self.multilabel)


def load_head(run: Run) -> Head:
    """Load a run's head.

    Raises:
        RunError: The file is missing or does not hold a head.
        UntrustedError: It is another head than the run's manifest names.
    """
    penultimate = run.manifest["head"]["penultimate"]
    head = Head.load(run.path / HEAD, None if penultimate is None else penultimate["layer"])
    expected = str(run.manifest["head"]["sha256"])
    if head.digest() != expected:
        raise UntrustedError(
            f"Expected the head that {run.path} describes (SHA-256 {expected[:12]}…), found another in "
            f"{run.path / HEAD}; predictions would mean nothing, so fit the head again."
        )
    width, classes = int(run.manifest["features"]["dim"]), len(run.classes)
    what, outputs = ("labels", head.outputs) if run.multilabel else ("classes", head.classes)
    if (head.width, outputs) != (width, classes):
        raise RunError(
            f"Expected a head from {width} features to {classes} {what} in {run.path / HEAD}, found one from "
            f"{head.width} to {outputs}; fit the head again."
        )
    # Else a manifest that was edited would turn the sigmoids of several labels into a softmax, or the other way.
    output = run.recipe.head.output
    if head.outputs != run.recipe.head.outputs(classes, run.multilabel) or (run.multilabel and output != "sigmoid"):
        raise RunError(
            f"Expected a head with the output of {run.path / RECIPE}, {output} for {classes} {what}, in "
            f"{run.path / HEAD}, found another; fit the head again."
        )
    return head


def check_weights(space: FeatureSpace, expected: str, model: str) -> None:
    """Check that the backbone has the weights with which a model was trained.

    Args:
        space: The features of new images.
        expected: The digest of the weights, 64 hexadecimal digits.
        model: `head` or `classifier`, for the message.

    Raises:
        UntrustedError: The backbone has others.
    """
    weights = space.weights
    if weights.digest == expected:
        return
    if weights.card is not None:
        raise UntrustedError(
            f"Expected the network of {space.spec.backbone.name} as the {model} was trained on it (SHA-256 "
            f"{expected[:12]}…), found another in {weights.source} ({weights.digest[:12]}…): its files, or [input], "
            "[pixels] or [output] of its card, have changed; predictions would mean nothing, so pass the right card "
            "with --weights, or fit again."
        )
    raise UntrustedError(
        f"Expected the weights of {space.spec.backbone.name} that the {model} was trained on (SHA-256 "
        f"{expected[:12]}…), found others in {weights.path or weights.source} ({weights.digest[:12]}…); "
        "predictions would mean nothing, so pass the right file with --weights, or fit again."
    )


def read_new(
    images: Any,
    on_error: OnError = "fail",
    *,
    cache: str | Path = "cache",
    least: int = 1,
    image_column: str | None = None,
) -> Dataset:
    """List new images, see `read_paths`; with `skip`, files that a manifest lists and that do not exist are kept.

    Raises:
        DataError: There are fewer than `least` images, or what `read_paths` says.
    """
    missing: Literal["keep", "fail"] = "keep" if on_error == "skip" else "fail"
    dataset = read_paths(images, missing=missing, cache=cache, image_column=image_column)
    if len(dataset.items) < least:
        raise DataError("Expected images, folders or manifests, received none; pass at least one.")
    return dataset


def extract_new(
    model: Model,
    paths: Any,
    *,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
    image_column: str | None = None,
) -> Extraction:
    """Return the backbone's features of new images, made as those of a model; for the arguments see `predict`.

    Raises:
        UntrustedError: The backbone's weights, or anything else that decides the features, differ from the model's.
        FeatxError: What `read_new` and `extract` raise.
    """
    # Paths are checked first, so that a typing error does not wait for a download.
    dataset = read_new(paths, on_error, cache=cache, image_column=image_column)
    return extract_for(model, dataset, cache=cache, weights=weights, on_error=on_error)


def extract_for(
    model: Model,
    dataset: Dataset,
    *,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
) -> Extraction:
    """Return the backbone's features of data that was read, made as those of a model, see `extract_new`.

    Raises:
        UntrustedError: The backbone's weights, or anything else that decides the features, differ from the model's.
        FeatxError: What `extract` raises.
    """
    return _extract(model.recipe, model.check, dataset, cache=cache, weights=weights, on_error=on_error)


def _extract(
    recipe: Recipe,
    check: Callable[[FeatureSpace], None],
    dataset: Dataset,
    *,
    cache: str | Path,
    weights: str | None,
    on_error: OnError,
) -> Extraction:
    # No image here is a training image: augmented views are not needed.
    spec = override(recipe, {"backbone.weights": weights, "views.count": 1})
    store = Store(Path(cache))
    found_weights = find_weights(spec.backbone.name, spec.backbone.weights, store.root)
    check(FeatureSpace(spec, found_weights, store))
    return extract_dataset(dataset, spec, weights=found_weights, cache=cache, on_error=on_error)


def extract_like(
    source: Source,
    dataset: Dataset,
    *,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
) -> Extraction:
    """Return the backbone's features of new images, made as those of a source's images; no head is loaded.

    Args:
        source: Rows of a run or of data.
        dataset: The new images, from `read_new`.
        cache: Folder of the store.
        weights: Where the backbone's weights of a run are, if not where its recipe says.
        on_error: What to do about images that cannot be read, see `extract`.

    Raises:
        UntrustedError: The weights of a run's backbone, or anything else that decides the features, have changed.
        FeatxError: What `extract` raises.
    """
    if source.run is not None:
        manifest = source.run.manifest
        expected = str(manifest["features"]["feature_set"])
        check = partial(check_weights, expected=str(manifest["weights"]["sha256"]), model="head")
        extraction = _extract(source.run.recipe, check, dataset, cache=cache, weights=weights, on_error=on_error)
    elif source.space is not None:
        expected, spec = source.feature_set, source.space.spec
        spec = spec.model_copy(update={"views": spec.views.model_copy(update={"count": 1})})
        extraction = extract_dataset(dataset, spec, weights=source.space.weights, cache=cache, on_error=on_error)
    else:
        raise DataError(f"It is not known how the features of {source.name} were computed; pass the data instead.")
    made = extraction.space.plain.id
    if made != expected:
        raise UntrustedError(
            f"Expected features of new images as those of {source.name} (set {expected[:12]}…), but its recipe and "
            f"this version of featx make others ({made[:12]}…), which cannot be compared; fit again or pass the data."
        )
    return extraction


def rows_like(source: Source, extraction: Extraction, digests: Sequence[str]) -> NDArray[np.float32]:
    """Return the rows of new images in a source's layer, (n, d), in the order of their digests.

    A row that the cache has is read. The head is loaded only for penultimate features of other images.

    Args:
        source: Rows of a run or of data.
        extraction: What `extract_like` returned for this source.
        digests: (n,) the digests of images of the extraction.

    Raises:
        RunError: The head's file is missing or does not hold a head.
        UntrustedError: It is another head than the run's manifest names.
    """
    features = extraction.space
    keys = [(digest, 0) for digest in digests]
    if source.run is None or source.layer == "backbone":
        return features.plain.rows(keys).to_array()
    about = source.run.manifest["head"]
    stored = features.penultimate(str(about["sha256"]), str(about["penultimate"]["layer"])).plain
    missing = stored.missing(keys)
    known = list(set(keys).difference(missing))
    rows = dict(zip(known, stored.rows(known).to_array(), strict=True)) if known else {}
    if missing:
        chunks = features.plain.rows(missing).chunks(ROWS_AT_ONCE)
        computed = np.concatenate(list(load_head(source.run).penultimate(chunks)))
        rows |= dict(zip(missing, computed, strict=True))
    return np.stack([rows[key] for key in keys])
