"""The depth of samples of more than 8 bits: decided once for a data set, by its training images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from featx.dicom import split_frame
from featx.errors import ImageError, StoreError
from featx.features.decoding import content_of
from featx.features.hashing import WORKERS, Image
from featx.files import open_file
from featx.images import (
    DECODE_RULE,
    DEPTH_HEAD,
    SampleRange,
    may_be_deep,
    read_bytes,
    sample_range,
    white_of,
)
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.recipes import DepthPart, FeatureSpec
from featx.store import Store
from featx.text import images as in_words

log = logging.getLogger("featx")

# The share of training images of a lower depth than the deepest from which there is a warning: a few are only dark.
LEAST_SHALLOW = 0.1
# The first number of a stored range: what the samples are.
_SHALLOW, _INTEGERS, _FLOATS = 0, 1, 2


def with_depth(spec: FeatureSpec, images: Sequence[Image], store: Store) -> tuple[FeatureSpec, SampleRanges | None]:
    """Return the spec with the depth that the training images decide, where it leaves that to them.

    One line says what is white; warnings name images of other depths, and images with values beyond it. Images of 8
    bits change nothing.

    Args:
        spec: How features are made.
        images: All images of the data.
        store: The cache.

    Returns:
        The spec, and the ranges of the samples, to be saved once features are there; None where each image decides.
    """
    depth = spec.images.depth
    if depth == "image":
        return spec, None
    kept = SampleRanges(images, store)
    ranges = kept.by_digest
    if depth == "data":
        deep = [(image, ranges[image.digest]) for image in images if image.item.split == "train"]
        own = [(image, one) for image, one in deep if one is not None]
        chosen = depth_of([one for _, one in own])
        if chosen is not None:
            _describe(chosen, own)
        depth = chosen or "image"
        spec = spec.model_copy(update={"images": spec.images.model_copy(update={"depth": depth})})
    if isinstance(depth, DepthPart):
        _warn_of_values_beyond(depth, images, ranges)
    return spec, kept


def depth_of(ranges: Sequence[SampleRange]) -> DepthPart | None:
    """Return the depth that holds the samples of all images; None where there are none of more than 8 bits.

    Integers: the largest value of the smallest common bit depth that holds all of them. Floats: 0 to 1, or 0 to 255,
    whichever holds all of them, else their own range. Wider integers: their own range.

    Args:
        ranges: Those of the training images that have more than 8 bits.
    """
    integers = [one for one in ranges if not one.linear]
    white = white_of(int(max(one.high for one in integers))) if integers else None
    linear = [one for one in ranges if one.linear]
    low, high = (min(one.low for one in linear), max(one.high for one in linear)) if linear else (0.0, 0.0)
    if linear and low >= 0 and high <= 255 and all(one.floats for one in linear):
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    has_range = low < high
    if white is None and not has_range:
        return None
    return DepthPart(white=white, low=float(low) if has_range else None, high=float(high) if has_range else None)


class SampleRanges:
    """The ranges of images' samples by digest: those that the cache has, and those that it lacks.

    Attributes:
        by_digest: None for images of 8 bits, and for those that cannot be read.
    """

    def __init__(self, images: Sequence[Image], store: Store) -> None:
        self.by_digest: dict[str, SampleRange | None] = {image.digest: None for image in images}
        self._space = store.space({"kind": "sample ranges", "decode": DECODE_RULE})
        unique = {image.digest: image for image in images if image.item.pixels is None}
        missing = [digest for digest, _ in self._space.missing([(digest, 0) for digest in unique])]
        stored = sorted(unique.keys() - set(missing))
        if stored:
            rows = self._space.rows([(digest, 0) for digest in stored]).to_array().tolist()
            self.by_digest |= {digest: _range_of_row(row) for digest, row in zip(stored, rows, strict=True)}
        self._new: list[str] = []
        ranges = bounded_map(
            lambda digest: _range(unique[digest], store), missing, workers=WORKERS, ahead=2 * WORKERS
        )
        for done, (digest, one) in enumerate(zip(missing, ranges, strict=True), 1):
            if not isinstance(one, ImageError):
                # As the cache will have it, so that the depth is the same the next time.
                self.by_digest[digest] = _range_of_row(_row_of(one).tolist())
                self._new.append(digest)
            report_progress("bit depths", done, len(missing))

    def save(self) -> None:
        """Add what the cache lacks to it; a cache that cannot be written stays as it is."""
        new, self._new = self._new, []
        if not new:
            return
        with suppress(StoreError):
            self._space.refresh()  # another process may have added some while this one was at work
            keys = self._space.missing([(digest, 0) for digest in new])
            if keys:
                rows = np.stack([_row_of(self.by_digest[digest]) for digest, _ in keys])
                with self._space.writer() as writer:
                    writer.add(keys, rows)


def _range(image: Image, store: Store) -> SampleRange | ImageError | None:
    if split_frame(image.item.path) is not None:  # DICOM says its depth
        return None
    try:
        return sample_range(content_of(image, store), image.item.id) if may_be_deep(_head(image)) else None
    except ImageError as error:
        return error


def _head(image: Image) -> bytes:
    """Return the first bytes of an image."""
    try:
        with open_file(image.item.path) as file:
            return file.read(DEPTH_HEAD)
    except OSError:  # most often a member of an archive
        return read_bytes(image.item.path, image.item.id)[:DEPTH_HEAD]


def _row_of(one: SampleRange | None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if one is None:
        return np.array([_SHALLOW, 0, 0], np.float32)
    largest = float(np.finfo(np.float32).max)
    low, high = np.clip([one.low, one.high], -largest, largest)
    return np.array([_FLOATS if one.floats else _INTEGERS, low, high], np.float32)


def _range_of_row(row: Sequence[float]) -> SampleRange | None:
    kind, low, high = row
    return None if kind == _SHALLOW else SampleRange(kind == _FLOATS, low, high)


def _describe(depth: DepthPart, own: Sequence[tuple[Image, SampleRange]]) -> None:
    """Say what is white in the training images, and warn where they are of several depths."""
    integers = [(image, one) for image, one in own if not one.linear]
    linear = [(image, one) for image, one in own if one.linear]
    if depth.white is not None:
        bits = depth.white.bit_length()
        log.info(
            "White is %d (%d bits) in %s of more than 8 bits.",
            depth.white,
            bits,
            in_words(len(integers), "training"),
        )
        shallow = sum(white_of(int(one.high)) < depth.white for _, one in integers)
        if shallow >= LEAST_SHALLOW * len(integers):
            _warn_of_depths(integers, depth.white)
    if depth.high is not None:
        log.info("Black is %g and white %g in %s.", depth.low, depth.high, _kind_in_words(linear))
        small = [image for image, one in linear if one.floats and one.low >= 0 and one.high <= 1]
        if small and depth.high > 1:
            log.warning(
                "%d of %s have no value above 1, such as %s, and become almost black; if they are meant as 0 to 1, "
                'scale them as the others are, or let each image decide (depth = "image" in [images] of a recipe).',
                len(small),
                _kind_in_words(linear),
                small[0].item.id,
            )
    if integers and linear:
        log.warning(
            "%s of more than 8 bits are integers, such as %s, and %s are floats or wider integers, such as %s; check "
            "that they look alike.",
            in_words(len(integers), "training"),
            integers[0][0].item.id,
            f"{len(linear):,}",
            linear[0][0].item.id,
        )


def _kind_in_words(linear: Sequence[tuple[Image, SampleRange]]) -> str:
    kind = "floats" if all(one.floats for _, one in linear) else "floats or wide integers"
    return f"{in_words(len(linear), 'training')} of {kind}"


def _warn_of_depths(integers: Sequence[tuple[Image, SampleRange]], white: int) -> None:
    """Warn that many images are far darker than the deepest ones."""
    bits = [white_of(int(one.high)).bit_length() for _, one in integers]
    counts = Counter(bits)
    first = {depth: image.item.id for depth, (image, _) in reversed(list(zip(bits, integers, strict=True)))}
    listed = ", ".join(f"{depth} bits {counts[depth]:,} (such as {first[depth]})" for depth in sorted(counts))
    log.warning(
        "Training images of several depths: %s. White is %d for all of them, which makes the others dark; if the "
        "deepest ones are exceptions, leave them out, set white in [images.depth] of a recipe, or let each image "
        'decide (depth = "image" in [images]).',
        listed,
        white,
    )


def _warn_of_values_beyond(depth: DepthPart, images: Sequence[Image], ranges: dict[str, SampleRange | None]) -> None:
    """Warn of images with values beyond black and white, which are clipped."""

    def beyond(one: SampleRange) -> bool:
        if one.linear:
            return depth.high is not None and (one.high > depth.high or one.low < (depth.low or 0.0))
        return depth.white is not None and one.high > depth.white

    clipped = [image for image in images if (one := ranges[image.digest]) is not None and beyond(one)]
    if clipped:
        first = clipped[0]
        one = ranges[first.digest]
        log.warning(
            "%s have values beyond what is black and white in the training images (white is %g), such as %s; such "
            "values are clipped.",
            in_words(len(clipped)),
            depth.high if one is not None and one.linear else depth.white,
            first.item.id,
        )
