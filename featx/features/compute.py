"""Rows are computed: images decoded in threads, the network run in batches, results written on the way."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError
from featx.features.decoding import Work, decoded_views
from featx.features.estimates import LongWork, check_rows
from featx.features.hashing import WORKERS, OnError
from featx.features.spaces import FeatureSpace
from featx.networks import Network
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.store import RowKey

# A killed run loses at most the rows of this long, and of the batches at hand.
FLUSH_SECONDS = 20.0
# Views of an image that take more memory than this are not made at the same time.
VIEW_BYTES = 2**26
Pixels = tuple[RowKey, NDArray[np.uint8]]
Batch = tuple[list[RowKey], NDArray[np.float32] | NDArray[np.uint8]]


@dataclass
class Decoding:
    """Images that failed: the reason for each by digest, and the error that ended the decoding."""

    failures: dict[str, str] = field(default_factory=dict)
    error: ImageError | None = None


def compute(work: Sequence[Work], space: FeatureSpace, network: Network, on_error: OnError) -> dict[str, str]:
    """Compute rows and store them; return the reason for each image, by digest, that could not be decoded.

    Decoding runs in threads, a few batches ahead of the network, and batches are made in another thread, so that the
    network does not wait. If `on_error` is `fail`, the rows of the images before the first failure are stored.

    Raises:
        ResourcesError: The rows do not fit onto the disk, or a batch not into memory.
    """
    decoding = Decoding()
    total = sum(len(item.views) for item in work)
    check_rows(space, total, network.width, network.batch_size)
    long_work = LongWork(total)
    done = 0
    report_progress("extracting", done, total)
    running: deque[list[RowKey]] = deque()

    def pixels(batches: Iterator[Batch]) -> Iterator[NDArray[np.float32] | NDArray[np.uint8]]:
        for keys, images in batches:
            running.append(keys)
            yield images

    with ExitStack() as stack:
        writers = [
            stack.enter_context(rows.writer(dtype=space.spec.features.dtype, flush_seconds=FLUSH_SECONDS))
            for rows in (space.plain, space.augmented)
        ]
        decoded = _decoded(work, space, network.batch_size, decoding, on_error)
        for rows in network.stream(pixels(_batches(decoded, space, network))):
            keys = running.popleft()
            augmented = np.array([view > 0 for _, view in keys])
            for writer, chosen in zip(writers, (~augmented, augmented), strict=True):
                if chosen.any():
                    writer.add([key for key, take in zip(keys, chosen, strict=True) if take], rows[chosen])
            done += len(keys)
            report_progress("extracting", done, total)
            long_work.done(len(keys))
    if decoding.error is not None:
        raise decoding.error
    return decoding.failures


def _decoded(
    work: Sequence[Work], space: FeatureSpace, batch_size: int, decoding: Decoding, on_error: OnError
) -> Iterator[Pixels]:
    """Yield views in order, until an image fails and none may; that failure is recorded in `decoding`.

    It is not raised here, since the network is still working on the batches before it.
    """
    at_once = max(1, VIEW_BYTES // (3 * math.prod(space.spec.images.shape)))
    work = [part for item in work for part in _parts(item, at_once)]
    most = max(len(item.views) for item in work)
    ahead = max(2, max(WORKERS, 2 * batch_size) // most)
    results = bounded_map(lambda item: decoded_views(item, space), work, workers=WORKERS, ahead=ahead)
    for item, result in zip(work, results, strict=True):
        if not isinstance(result, ImageError):
            yield from (((item.image.digest, k), image) for k, image in zip(item.views, result, strict=True))
        elif on_error == "fail":
            decoding.error = result
            return
        else:
            decoding.failures[item.image.digest] = result.reason


def _parts(work: Work, most: int) -> Iterator[Work]:
    """Yield the views of an image, at most so many at a time; the image is decoded for each part."""
    return (Work(work.image, work.views[start : start + most]) for start in range(0, len(work.views), most))


def _batches(pixels: Iterator[Pixels], space: FeatureSpace, network: Network) -> Iterator[Batch]:
    """Yield batches of preprocessed images, or of pixels for a network that preprocesses them itself."""

    def batch(views: list[Pixels]) -> Batch:
        images = np.stack([image for _, image in views])
        return [key for key, _ in views], images if network.takes_pixels else space.preprocessing(images)

    return bounded_map(batch, iter(lambda: list(islice(pixels, network.batch_size)), []), workers=1, ahead=1)
