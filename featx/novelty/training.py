"""The training images of a run, from the cache, as a reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.errors import RunError
from featx.novelty.reference import Reference, evenly_spaced, make_reference
from featx.runs import Run, Source, run_source
from featx.store import Store

# A reference has at most so many bytes of rows: 26,214 images at 1,280 features.
MOST_BYTES = 2**27


def training_images(run: Run, store: Store, *, sampled: bool = False) -> Source:
    """Return the backbone's rows of a run's training images, those held out for validation among them.

    Args:
        run: The run.
        store: The cache.
        sampled: Whether to read only the rows that `reference_of` uses.

    Raises:
        RunError: The cache lacks some of them, or the run has none.
    """
    images = sorted(
        (image for image in run.images if image.split != "test"), key=lambda image: (image.digest, image.path)
    )
    if not images:
        raise RunError(f"Expected training images in the run {run.path}, found none; fit the head again.")
    if sampled:
        images = [images[number] for number in _sample(len(images), int(run.manifest["features"]["dim"]))]
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


def _sample(n: int, width: int) -> NDArray[np.int64]:
    return evenly_spaced(n, max(1, MOST_BYTES // (4 * max(width, 1))))
