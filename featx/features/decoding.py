"""From content to pixels: decoded, resized images and their views, checked against their digest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.digests import digest_of
from featx.errors import DataError, ImageError
from featx.features.hashing import WORKERS, Image, OnError
from featx.features.spaces import FeatureSpace
from featx.images import (
    DECODE_RULE,
    ChannelStatistics,
    SampleDepth,
    as_rgb,
    content_digest,
    decode,
    read_bytes,
    resize,
    view,
)
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.recipes import DepthPart, FeatureSpec, ImagesPart
from featx.store import StatCache, Store, load_document, save_document

STATISTICS = "statistics"


class LostError(ImageError):
    """The bytes that were hashed are gone, so it is not known whether they can be decoded."""


class Work(NamedTuple):
    """The views of one image that are to be computed."""

    image: Image
    views: tuple[int, ...]


def pixels(image: Image, part: ImagesPart, store: Store) -> NDArray[np.uint8]:
    """Return an image at the network's input size, (height, width, 3) RGB.

    If the file no longer has the bytes of its digest, the cache's stat cache forgets it.

    Args:
        image: A file, or an image in memory.
        part: The size, and how images are brought to it.
        store: The cache.

    Raises:
        ImageError: The image cannot be read or decoded, or is no longer the file that was hashed.
    """
    small = partial(resize, size=part.shape, method=part.resize, fit=part.fit, resize_to=part.resize_to)
    if image.item.pixels is not None:
        return small(as_rgb(image.item.pixels))
    # Large pixels are let go before another thread gets their share of memory.
    return decode(content_of(image, store), image.item.id, finish=small, window=part.window, depth=sample_depth(part))


def sample_depth(part: ImagesPart) -> SampleDepth | None:
    """Return the depth that a data set's images decided; None where each image decides for itself."""
    if not isinstance(part.depth, DepthPart):
        return None
    low, high = part.depth.low, part.depth.high
    return SampleDepth(part.depth.white, None if low is None or high is None else (low, high))


def _pixels_or_error(image: Image, part: ImagesPart, store: Store) -> NDArray[np.uint8] | ImageError:
    try:
        return pixels(image, part, store)
    except ImageError as error:
        return error


def content_of(image: Image, store: Store) -> bytes:
    """Return an image's bytes, which must still be those of its digest."""
    item = image.item
    try:
        data = read_bytes(item.path, item.id)
    except ImageError as error:
        # The system's error has the path, which may name a patient.
        raise LostError(item.id, error.reason) from (error if item.alias is None else None)
    if content_digest(data) != image.digest:
        StatCache(store.root).forget(item.alias or item.path)
        raise LostError(item.id, "changed while it was being read; run the command again")
    return data


def decoded_views(work: Work, space: FeatureSpace) -> list[NDArray[np.uint8]] | ImageError:
    """Return views as (height, width, 3) RGB, or what is wrong with the image."""
    plain = _pixels_or_error(work.image, space.spec.images, space.store)
    if isinstance(plain, ImageError):
        return plain
    return [view(plain, space.views, work.image.digest, k) for k in work.views]


def with_statistics(spec: FeatureSpec, train: Sequence[Image], store: Store, on_error: OnError) -> FeatureSpec:
    """Return the spec with the channel statistics of the training images filled in where it needs them.

    They are computed once for a set of images and kept in the store, so that a warm start decodes nothing.
    """
    if spec.preprocess.mode != "featurewise" or spec.preprocess.mean is not None:
        return spec
    unique = {image.digest: image for image in train}
    key = digest_of({"decode": DECODE_RULE, **spec.images.key(), "digests": sorted(unique)})
    document = load_document(store.root, STATISTICS, key)
    if document is None or not {"mean", "std"} <= document.keys():
        document, complete = _computed_statistics(list(unique.values()), spec.images, store, on_error)
        if complete:
            save_document(store.root, STATISTICS, key, document)
    fitted = spec.preprocess.model_copy(update={"mean": tuple(document["mean"]), "std": tuple(document["std"])})
    return spec.model_copy(update={"preprocess": fitted})


def _computed_statistics(
    images: Sequence[Image], part: ImagesPart, store: Store, on_error: OnError
) -> tuple[dict[str, list[float]], bool]:
    """Return the statistics, and whether they will always be those of these images' bytes."""
    statistics = ChannelStatistics()
    failures: list[ImageError] = []
    decode_one = partial(_pixels_or_error, part=part, store=store)
    results = bounded_map(decode_one, images, workers=WORKERS, ahead=2 * WORKERS)
    for done, outcome in enumerate(results, 1):
        if not isinstance(outcome, ImageError):
            statistics.add(outcome)
        elif on_error == "fail":
            raise outcome
        else:
            failures.append(outcome)
        report_progress("channel statistics", done, len(images))
    if failures and len(failures) == len(images):
        first = failures[0]
        raise DataError(
            f"None of the {len(images)} training images could be used; the first: {first.path} {first.reason}."
        )
    mean, std = statistics.result()
    complete = not any(isinstance(failure, LostError) for failure in failures)
    return {"mean": list(mean), "std": list(std)}, complete
