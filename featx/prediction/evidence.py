"""What the training images say about new ones: how typical these are, and which training images are nearest."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from featx.classifiers import SavedClassifier
from featx.errors import DataError, FeatxError, RunError, UsageError
from featx.features import Extraction
from featx.novelty import Reference, is_outside, reference_of, stored_reference, training_images
from featx.runs import ROWS_AT_ONCE, HeadModel, Model, Source
from featx.searching import Neighbour, neighbours_of
from featx.store import Store
from featx.text import images as images_in_words

log = logging.getLogger("featx")

Compared = tuple[float | None, tuple[Neighbour, ...]]
# Images that a warning names.
MOST_NAMED = 3


@dataclass(frozen=True)
class Evidence:
    """The training images of a model, with which new images are compared.

    Attributes:
        feature_set: The id of the feature space of their rows.
        reference: How far they lie from each other; None where that is not known.
        source: Their rows; None if no neighbours are wanted.
        neighbours: Number of neighbours of each image.
        n: Number of training images; 0 without a reference.
    """

    feature_set: str = ""
    reference: Reference | None = None
    source: Source | None = None
    neighbours: int = 0
    n: int = 0

    def compare(self, extraction: Extraction) -> list[Compared]:
        """Return the typicality and the neighbours of each image of an extraction, in its order.

        Raises:
            RunError: Neighbours are wanted, but the training images' features were made by other rules.
        """
        new = extraction.images
        if not new or (self.reference is None and self.source is None):
            return [(None, ())] * len(new)
        if extraction.space.plain.id != self.feature_set:
            reason = (
                "Expected features of the training images as this version of featx makes them, found others; fit "
                "again."
            )
            if self.source is not None:
                raise RunError(reason)
            _notice(reason)
            return [(None, ())] * len(new)
        return self._compare(extraction)

    def _compare(self, extraction: Extraction) -> list[Compared]:
        compared: list[Compared] = []
        for X in extraction.view_rows(extraction.images).chunks(ROWS_AT_ONCE):
            digests = [image.digest for image in extraction.images[len(compared) : len(compared) + len(X)]]
            typicality = [None] * len(X) if self.reference is None else self.reference.typicality(X).tolist()
            near: list[tuple[Neighbour, ...]] = [()] * len(X)
            if self.source is not None:
                near = neighbours_of(self.source, X, digests, min(self.neighbours, len(self.source.table)))
            compared += zip(typicality, near, strict=True)
        return compared


def evidence_of(model: Model, store: Store, neighbours: int = 0) -> Evidence:
    """Return the training images of a model, with which new images are compared.

    Where they cannot be compared there is a notice, and nothing is known of new images.

    Args:
        model: A run's head or a saved classifier.
        store: The cache.
        neighbours: Number of nearest training images that are named for each image.

    Raises:
        UsageError: The number is negative, or of a saved classifier above 0: it does not have their names.
        RunError: Neighbours are wanted, but their features are not in the cache.
    """
    if neighbours < 0:
        raise UsageError(f"Expected a number of neighbours of at least 0, received {neighbours}.")
    if neighbours:
        return _with_neighbours(model, store, neighbours)
    try:
        if isinstance(model, HeadModel):
            feature_set = str(model.run.manifest["features"]["feature_set"])
            rows = [(image.digest, image.group) for image in model.run.images if image.split != "test"]
        else:
            feature_set, rows = _of_classifier(model)
        digests, groups = [digest for digest, _ in rows], [group for _, group in rows]
        reference = stored_reference(store, feature_set, digests, groups)
    except FeatxError as error:
        _notice(str(error))
        return Evidence()
    return Evidence(feature_set, reference, n=len(set(digests)))


def _with_neighbours(model: Model, store: Store, neighbours: int) -> Evidence:
    if not isinstance(model, HeadModel):
        raise UsageError(
            f"Expected no --neighbours {neighbours} of a saved classifier, which does not have the names of its "
            "training images; leave it out, or pass the run of a head."
        )
    source = training_images(model.run, store)
    reference = None
    try:
        reference = reference_of(source)
    except DataError as error:
        _notice(str(error))
    n = len(source.table) if reference is not None else 0
    return Evidence(source.feature_set, reference, source, neighbours, n)


def _of_classifier(model: Model) -> tuple[str, list[tuple[str, str | None]]]:
    """Return the feature set of a saved classifier, and digest and group of its training images.

    Raises:
        RunError: They are not kept with it.
    """
    if not isinstance(model, SavedClassifier) or model.trained_on is None:
        raise RunError(
            "Expected the digests of the training images with the saved classifier, found none; save it again with "
            "featx compare --save-best."
        )
    return model.backbone_set, list(model.trained_on)


def warn_of_outside(names: Sequence[str], typicality: Sequence[float | None]) -> None:
    """Warn in one line of images outside what the training images span."""
    outside = [name for name, value in zip(names, typicality, strict=True) if value is not None and is_outside(value)]
    if outside:
        more = f" and {len(outside) - MOST_NAMED:,} more" if len(outside) > MOST_NAMED else ""
        log.warning(
            "%s of %s %s outside what the training images span (%s%s): nearly all held-out training images are "
            "closer to the others, so what is predicted there means little.",
            f"{len(outside):,}",
            images_in_words(len(names)),
            "lies" if len(outside) == 1 else "lie",
            ", ".join(outside[:MOST_NAMED]),
            more,
        )


def _notice(reason: str) -> None:
    log.warning("How typical images are of the training images is not known. %s", reason)
