"""Training images as a reference, from the cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.data import group_ids
from featx.errors import RunError
from featx.novelty.reference import Reference, evenly_spaced, make_reference
from featx.runs import Run, Source, run_source
from featx.store import Store

# A reference has at most so many bytes of rows: 26,214 images at 1,280 features.
MOST_BYTES = 2**27


def training_images(run: Run, store: Store) -> Source:
    """Return the backbone's rows of a run's training images, those held out for validation among them.

    Args:
        run: The run.
        store: The cache.

    Raises:
        RunError: The cache lacks some of them, or the run has none.
    """
    images = [image for image in run.images if image.split != "test"]
    if not images:
        raise RunError(f"Expected training images in the run {run.path}, found none; fit the head again.")
    return run_source(run, "backbone", store, images)


def reference_of(source: Source) -> Reference:
    """Return the images of a source as a reference; images of one group are left out together.

    Where their rows would take more than 128 MB, evenly spaced ones are used, in the order of their digests.

    Args:
        source: Training images, such as `training_images` returns, or `Source.take` with their numbers.

    Raises:
        DataError: There are fewer than 20 images or 5 groups.
    """
    kept = _sample(*source.table.X.shape)
    return make_reference(source.table.X[kept], np.asarray(source.group_ids())[kept])


def stored_reference(
    store: Store, feature_set: str, digests: Sequence[str], groups: Sequence[str | None]
) -> Reference:
    """Return training images as a reference, see `reference_of`, from their digests and the rows in the cache.

    Args:
        store: The cache.
        feature_set: The id of the feature space of their rows.
        digests: (n,) SHA-256 of their bytes.
        groups: (n,) the patient or another group of each, or None.

    Raises:
        RunError: The cache lacks some of the rows.
        DataError: There are fewer than 20 images or 5 groups.
    """
    ids = dict(zip(digests, group_ids(digests, groups), strict=True))
    ordered = sorted(ids)
    for space in store.spaces():
        if space.id == feature_set and not space.missing([(digest, 0) for digest in ordered]):
            width = space.rows([(digest, 0) for digest in ordered[:1]]).shape[1]
            kept = [ordered[number] for number in _sample(len(ordered), width)]
            X = space.rows([(digest, 0) for digest in kept]).to_array()
            return make_reference(X, np.asarray([ids[digest] for digest in kept]))
    raise RunError(
        f"Expected the features of the training images in the cache {store.root}, but it lacks some; pass the cache "
        "of the fit with --cache."
    )


def _sample(n: int, width: int) -> NDArray[np.int64]:
    return evenly_spaced(n, max(1, MOST_BYTES // (4 * max(width, 1))))
