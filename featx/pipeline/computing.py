"""The computing of rows: decode in threads, run the network in batches, write as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from featx.canonical import digest_of
from featx.engines import KerasNetwork
from featx.errors import ImageError
from featx.pipeline.decoding import Work, decoded_views
from featx.pipeline.hashing import WORKERS, OnError
from featx.pipeline.progress import Progress
from featx.pipeline.spaces import SpacePair, describe_backbone, preprocessing_of, view_spec_of
from featx.recipe import FeatureSpec
from featx.store import RowKey, Store
from featx.streaming import bounded_map
from featx.weights import Weights

NETWORKS = "networks"
# A killed run loses at most the rows of this long.
FLUSH_SECONDS = 20.0
Pixels = tuple[RowKey, NDArray[np.uint8]]


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network once it has been built: features a row, and parameters."""

    width: int
    parameters: int


def network_facts(spec: FeatureSpec, weights: Weights, store: Store) -> NetworkFacts:
    """Return a network's facts from the store, or by building it."""
    document = store.load_document(NETWORKS, _network_key(spec, weights))
    if document is not None:
        return NetworkFacts(**document)
    return _facts(KerasNetwork(spec.backbone, spec.images.size, weights))


def compute(
    work: Sequence[Work],
    spec: FeatureSpec,
    weights: Weights,
    store: Store,
    spaces: SpacePair,
    batch_size: int,
    on_error: OnError,
    progress: Progress,
) -> dict[str, str]:
    """Compute rows and store them.

    Decoding runs in threads, at most two batches ahead of the network, so memory does not grow with the
    number of images.

    Returns:
        The reason for each image, by digest, that could not be decoded.

    Raises:
        ImageError: `on_error` is `fail` and an image cannot be decoded; rows computed so far are stored.
    """
    if not work:
        return {}
    network = KerasNetwork(spec.backbone, spec.images.size, weights, batch_size)
    store.save_document(NETWORKS, _network_key(spec, weights), asdict(_facts(network)))
    preprocess = preprocessing_of(spec)
    failures: dict[str, str] = {}
    total = sum(len(item.views) for item in work)
    done = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(space.writer(dtype=spec.features.dtype, flush_seconds=FLUSH_SECONDS))
            for space in (spaces.plain, spaces.augmented)
        ]
        for batch in _batches(_decoded(work, spec, store, batch_size, failures, on_error), batch_size):
            rows = network.rows(preprocess(np.stack([image for _, image in batch])))
            keys = [key for key, _ in batch]
            augmented = np.array([view > 0 for _, view in keys])
            for writer, chosen in zip(writers, (~augmented, augmented), strict=True):
                if chosen.any():
                    writer.add([key for key, take in zip(keys, chosen, strict=True) if take], rows[chosen])
            done += len(batch)
            progress("extracting", done, total)
    return failures


def _decoded(
    work: Sequence[Work],
    spec: FeatureSpec,
    store: Store,
    batch_size: int,
    failures: dict[str, str],
    on_error: OnError,
) -> Iterator[Pixels]:
    views = view_spec_of(spec)
    most = max(len(item.views) for item in work)
    ahead = max(2, 2 * batch_size // most)
    results = bounded_map(
        lambda item: decoded_views(item, spec.images, views, store), work, workers=WORKERS, ahead=ahead
    )
    for item, outcome in zip(work, results, strict=True):
        if not isinstance(outcome, ImageError):
            yield from (((item.image.digest, k), image) for k, image in zip(item.views, outcome, strict=True))
        elif on_error == "fail":
            raise outcome
        else:
            failures[item.image.digest] = outcome.reason


def _batches(pixels: Iterator[Pixels], size: int) -> Iterator[list[Pixels]]:
    while batch := list(islice(pixels, size)):
        yield batch


def _facts(network: KerasNetwork) -> NetworkFacts:
    return NetworkFacts(network.width, network.parameters)


def _network_key(spec: FeatureSpec, weights: Weights) -> str:
    return digest_of({**describe_backbone(spec.backbone, weights), "size": spec.images.size})
