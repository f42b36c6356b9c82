"""What classifies new images: a run's head, or a saved classifier on the features that it was fitted on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx import runs
from featx.classifier_files import class_probabilities
from featx.errors import UntrustedError
from featx.heads import Head
from featx.pipeline.saved_classifiers import SavedClassifier, is_saved_classifier, read_classifier
from featx.pipeline.spaces import ViewRows, describe
from featx.recipe import FeatureSpec, Recipe
from featx.runs import Run, read_run
from featx.stats import probabilities
from featx.store import Store
from featx.weights import Weights

ROWS_AT_ONCE = 256


class Model(ABC):
    """What classifies images.

    Attributes:
        recipe: How rows are made of images.
        classes: In the order of the probabilities' columns.
    """

    recipe: Recipe
    classes: tuple[str, ...]

    @abstractmethod
    def check(self, spec: FeatureSpec, weights: Weights, store: Store) -> None:
        """Check that rows of these features are those that it was fitted on.

        Raises:
            UntrustedError: They are not.
        """

    @abstractmethod
    def probabilities(self, rows: ViewRows) -> NDArray[np.float64]:
        """Return (n, classes) of rows of the backbone's features, each adding up to 1."""


class HeadModel(Model):
    """A run's head."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.recipe = run.recipe
        self.classes = run.classes

    def check(self, spec: FeatureSpec, weights: Weights, store: Store) -> None:
        """Check the weights' digest, see `Model`."""
        _check_weights(spec, weights, str(self.run.manifest["weights"]["sha256"]), "head")

    def probabilities(self, rows: ViewRows) -> NDArray[np.float64]:
        """Return the head's, see `Model`."""
        return probabilities(Head.load(self.run.path / runs.HEAD).logits(rows.chunks(ROWS_AT_ONCE)))


class ClassifierModel(Model):
    """A saved classifier, and before it the head whose penultimate features it takes."""

    def __init__(self, saved: SavedClassifier) -> None:
        self.saved = saved
        self.recipe = saved.recipe
        self.classes = saved.classes
        self._estimator: Any = None

    def check(self, spec: FeatureSpec, weights: Weights, store: Store) -> None:
        """Check the weights' digest and all else that decides a row, and load the classifier, see `Model`."""
        _check_weights(spec, weights, self.saved.weights, "classifier")
        expected = self.saved.backbone_set
        found = store.space(describe(spec, weights, augmented=False)).id
        if found != expected:
            raise UntrustedError(
                f"Expected the features that {self.saved.path} was fitted on (set {expected[:12]}…), but its "
                f"{runs.RECIPE} and this version of featx make others ({found[:12]}…); predictions would mean "
                "nothing, so put the recipe back, or fit and save it again."
            )
        # Before hours of work that it may turn out to be of no use for.
        self._estimator = self.saved.estimator()

    def probabilities(self, rows: ViewRows) -> NDArray[np.float64]:
        """Return the classifier's, see `Model`."""
        estimator = self.saved.estimator() if self._estimator is None else self._estimator
        chunks = rows.chunks(ROWS_AT_ONCE)
        if self.saved.head is not None:
            chunks = self._head(*self.saved.head).penultimate(chunks)
        parts = [class_probabilities(estimator, chunk) for chunk in chunks]
        return np.concatenate([np.empty((0, len(self.classes))), *parts])

    def _head(self, digest: str, layer: str) -> Head:
        path = self.saved.path / runs.HEAD
        head = Head.load(path, layer)
        if head.digest() != digest:
            raise UntrustedError(
                f"Expected the head that the classifier was fitted behind (SHA-256 {digest[:12]}…), found another in "
                f"{path}; predictions would mean nothing, so save the classifier again."
            )
        return head


def read_model(folder: str | Path) -> Model:
    """Read a run or a saved classifier; what was fitted is loaded when it is needed.

    Raises:
        RunError: The folder is neither.
        RecipeError: Its recipe is not valid.
    """
    place = Path(folder)
    return ClassifierModel(read_classifier(place)) if is_saved_classifier(place) else HeadModel(read_run(place))


def _check_weights(spec: FeatureSpec, found: Weights, expected: str, fitted: str) -> None:
    if found.digest != expected:
        raise UntrustedError(
            f"Expected the weights of {spec.backbone.name} that the {fitted} was fitted on (SHA-256 "
            f"{expected[:12]}…), found others in {found.path or found.source} ({found.digest[:12]}…); predictions "
            "would mean nothing, so pass the right file with --weights, or fit again."
        )
