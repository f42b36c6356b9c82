"""The computing of rows: decode in threads, run the network in batches, write as it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError
from featx.features.decoding import Work, decoded_views
from featx.features.hashing import WORKERS, OnError
from featx.features.spaces import SpacePair, preprocessing_of, view_spec_of
from featx.networks import Network
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.recipes import FeatureSpec
from featx.store import RowKey, Store

# A killed run loses at most the rows of this long, and of the batches at hand.
FLUSH_SECONDS = 20.0
Pixels = tuple[RowKey, NDArray[np.uint8]]
Batch = tuple[list[RowKey], NDArray[np.float32]]


@dataclass
class Outcome:
    """What became of the images.

    Attributes:
        failures: The reason for each image, by digest, that could not be decoded.
        error: The failure that decoding stopped at; None if it went through.
    """

    failures: dict[str, str] = field(default_factory=dict)
    error: ImageError | None = None


def compute(
    work: Sequence[Work], spec: FeatureSpec, network: Network, store: Store, spaces: SpacePair, on_error: OnError
) -> dict[str, str]:
    """Compute rows and store them.

    Decoding runs in threads, a few batches ahead of the network, and batches are made in another, so that the
    network does not wait; memory does not grow with the number of images.

    Returns:
        The reason for each image, by digest, that could not be decoded.

    Raises:
        ImageError: `on_error` is `fail` and an image cannot be decoded; rows of those before it are stored.
    """
    outcome = Outcome()
    total = sum(len(item.views) for item in work)
    done = 0
    running: deque[list[RowKey]] = deque()

    def pixels(batches: Iterator[Batch]) -> Iterator[NDArray[np.float32]]:
        for keys, images in batches:
            running.append(keys)
            yield images

    with ExitStack() as stack:
        writers = [
            stack.enter_context(space.writer(dtype=spec.features.dtype, flush_seconds=FLUSH_SECONDS))
            for space in (spaces.plain, spaces.augmented)
        ]
        decoded = _decoded(work, spec, store, network.batch_size, outcome, on_error)
        for rows in network.stream(pixels(_batches(decoded, spec, network.batch_size))):
            keys = running.popleft()
            augmented = np.array([view > 0 for _, view in keys])
            for writer, chosen in zip(writers, (~augmented, augmented), strict=True):
                if chosen.any():
                    writer.add([key for key, take in zip(keys, chosen, strict=True) if take], rows[chosen])
            done += len(keys)
            report_progress("extracting", done, total)
    if outcome.error is not None:
        raise outcome.error
    return outcome.failures


def _decoded(
    work: Sequence[Work], spec: FeatureSpec, store: Store, batch_size: int, outcome: Outcome, on_error: OnError
) -> Iterator[Pixels]:
    """Yield views in order, until an image fails that must not; that one is left in the outcome.

    It is not raised here, since the network still has the batches before it at hand.
    """
    views = view_spec_of(spec)
    most = max(len(item.views) for item in work)
    ahead = max(2, max(WORKERS, 2 * batch_size) // most)
    results = bounded_map(
        lambda item: decoded_views(item, spec.images, views, store), work, workers=WORKERS, ahead=ahead
    )
    for item, result in zip(work, results, strict=True):
        if not isinstance(result, ImageError):
            yield from (((item.image.digest, k), image) for k, image in zip(item.views, result, strict=True))
        elif on_error == "fail":
            outcome.error = result
            return
        else:
            outcome.failures[item.image.digest] = result.reason


def _batches(pixels: Iterator[Pixels], spec: FeatureSpec, size: int) -> Iterator[Batch]:
    preprocess = preprocessing_of(spec)

    def made(views: list[Pixels]) -> Batch:
        return [key for key, _ in views], preprocess(np.stack([image for _, image in views]))

    return bounded_map(made, iter(lambda: list(islice(pixels, size)), []), workers=1, ahead=1)
