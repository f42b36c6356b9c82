"""Small copies of images and the facts of their files: made once, kept in the cache by content."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError, StoreError
from featx.features import sample_depth
from featx.images import DECODE_RULE, as_rgb, content_digest, decode, read_bytes
from featx.machine import usable_cpus
from featx.parallel import bounded_map
from featx.previews.facts import FILE_FACTS, FORMATS, file_facts, format_of, size_of_jpeg
from featx.progress import report_progress
from featx.recipes import FeatureSpec
from featx.store import Space, Store

log = logging.getLogger("featx")

SIDE = 32
"""Height and width of a preview in pixels."""

FACTS = ("width", "height", *FILE_FACTS)
"""The names of the facts."""

MEMORY = "memory"
# Part of the rows' key: raised by hand whenever previews or facts of the same file become others.
RULE = 2
MOST_WORKERS = 8  # each holds one image at full size
AT_LEAST = 4 * SIDE  # a JPEG is decoded at a half, a quarter, … of its size, but not below this
# What moves only the network's input: previews have their own size.
_INPUT = {"size", "width", "resize", "fit", "resize_to"}
ROWS_AT_ONCE = 4096  # read from the cache
_NONE = -1.0  # stands in a row for a fact that does not exist, because rows are finite


@dataclass(frozen=True)
class Previews:
    """Small copies of n images and the facts of their files.

    Attributes:
        pixels: (n, 32, 32, 3) RGB, 0 to 255: the whole upright image averaged into a square, whatever its aspect
            ratio; zeros where there is none.
        facts: The facts by name, (n,) each: `width` and `height` of the upright image in pixels, and those of
            `file_facts`; NaN where a fact does not exist.
        formats: The format of each file, such as `JPEG`; `memory` for an image in memory, "" where it is not known.
        there: (n,) False where there is no preview: it is not in the cache, and the file is gone, has changed, or
            cannot be decoded.
    """

    pixels: NDArray[np.uint8]
    facts: Mapping[str, NDArray[np.float32]]
    formats: tuple[str, ...]
    there: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.formats)

    def take(self, index: NDArray[np.int64]) -> Previews:
        """Return the previews of these numbers, in their order."""
        facts = {name: values[index] for name, values in self.facts.items()}
        return Previews(self.pixels[index], facts, tuple(self.formats[i] for i in index), self.there[index])


class _Task(NamedTuple):
    path: Path
    digest: str
    pixels: NDArray[np.uint8] | None


def previews_of(
    files: Sequence[Path],
    digests: Sequence[str],
    spec: FeatureSpec,
    store: Store,
    pixels: Sequence[NDArray[np.uint8] | None] = (),
) -> Previews:
    """Return previews of images; those that the cache lacks are made and kept there.

    Args:
        files: (n,) where the images are, or where they were when their features were computed.
        digests: (n,) those of the bytes that they had (see `featx.images.content_digest`).
        spec: How the images are decoded.
        store: The cache.
        pixels: (n,) the pixels of images in memory, grey or RGB, and None for files; empty if all are files.
    """
    in_memory = pixels or (None,) * len(files)
    images = spec.images.key()
    description = {"decode": DECODE_RULE, **{name: images[name] for name in sorted(images.keys() - _INPUT)}}
    space = store.space({"kind": "previews", "images": description, "side": SIDE, "rule": RULE})
    missing = {digest for digest, _ in space.missing([(digest, 0) for digest in digests])}
    tasks = {task.digest: task for task in map(_Task, files, digests, in_memory) if task.digest in missing}
    # Where the cache cannot be written, previews are of use all the same.
    unsaved = _fill(space, list(tasks.values()), spec) if tasks else {}
    gone = {digest for digest, _ in space.missing([(digest, 0) for digest in digests])}
    kept = [number for number, digest in enumerate(digests) if digest not in gone]

    def parts() -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        for start in range(0, len(kept), ROWS_AT_ONCE):
            part = kept[start : start + ROWS_AT_ONCE]
            yield part, space.rows([(digests[number], 0) for number in part])[:]
        for number, digest in enumerate(digests):
            if digest in unsaved:
                yield [number], unsaved[digest][np.newaxis]

    return _gathered(parts(), ["" if own is None else MEMORY for own in in_memory])


def _gathered(parts: Iterable[tuple[list[int], NDArray[np.float32]]], formats: list[str]) -> Previews:
    """Return previews of rows, some numbers of images at a time; `formats` is what is known of those before."""
    n = len(formats)
    pixels, there = np.zeros((n, SIDE, SIDE, 3), np.uint8), np.zeros(n, bool)
    facts = np.full((len(FACTS), n), np.nan, np.float32)
    for numbers, rows in parts:
        there[numbers] = True
        pixels[numbers] = _unpacked(rows[:, -SIDE * SIDE :])
        values = rows[:, 1 : 1 + len(FACTS)].T
        facts[:, numbers] = np.where(values == _NONE, np.float32(np.nan), values)
        for number, code in zip(numbers, rows[:, 0], strict=True):
            formats[number] = formats[number] or FORMATS[int(code)]
    return Previews(pixels, dict(zip(FACTS, facts, strict=True)), tuple(formats), there)


def _fill(space: Space, tasks: Sequence[_Task], spec: FeatureSpec) -> dict[str, NDArray[np.float32]]:
    """Make and store previews; images without one are left out. Return those that could not be stored, by digest."""
    try:
        with space.writer() as writer:
            for task, made in _made(tasks, spec):
                writer.add([(task.digest, 0)], made[np.newaxis])
    except StoreError as error:
        log.debug("Previews are not kept: %s", error)
        gone = {digest for digest, _ in space.missing([(task.digest, 0) for task in tasks])}
        return {task.digest: made for task, made in _made([task for task in tasks if task.digest in gone], spec)}
    return {}


def _made(tasks: Sequence[_Task], spec: FeatureSpec) -> Iterator[tuple[_Task, NDArray[np.float32]]]:
    """Yield the rows of previews in the order of the tasks, without images that have none."""

    def row(task: _Task) -> NDArray[np.float32] | None:
        try:
            return _row(task, spec)
        except ImageError:
            return None

    workers = min(MOST_WORKERS, usable_cpus())
    rows = bounded_map(row, tasks, workers=workers, ahead=2 * workers)
    for done, (task, made) in enumerate(zip(tasks, rows, strict=True), 1):
        if made is not None:
            yield task, made
        report_progress("previews", done, len(tasks))


def _row(task: _Task, spec: FeatureSpec) -> NDArray[np.float32] | None:
    """Return a row: the format's number, the facts, the packed pixels; None if the file has changed."""
    if task.pixels is not None:  # a grey array has the digest of its RGB, so nothing is said of its channels
        height, width = task.pixels.shape[:2]
        facts: dict[str, float] = {"width": width, "height": height}
        return _joined(0, facts, small(as_rgb(task.pixels)))
    data = read_bytes(task.path, str(task.path))
    if content_digest(data) != task.digest:
        return None
    kind = format_of(data)
    shape: list[tuple[int, ...]] = []

    def finish(decoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shape.append(decoded.shape)
        return small(decoded)

    at_least = AT_LEAST if kind == "JPEG" else None
    preview = decode(
        data,
        str(task.path),
        at_least=at_least,
        window=spec.images.window,
        depth=sample_depth(spec.images),
        finish=finish,
    )
    height, width = shape[0][:2]
    stored = size_of_jpeg(data) if kind == "JPEG" else (0, 0)
    if all(stored):
        # The image may have been decoded at a part of its size, and turned upright.
        turned = (width - height) * (stored[0] - stored[1]) < 0
        width, height = stored[::-1] if turned else stored
    facts = {"width": width, "height": height, **file_facts(data)}
    return _joined(FORMATS.index(kind), facts, preview)


def small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an RGB image, (height, width, 3), averaged into a square of `SIDE` pixels."""
    return np.array(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX))


def _joined(code: int, facts: Mapping[str, float], preview: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = [facts.get(name, _NONE) for name in FACTS]
    return np.concatenate([np.array([code, *values], np.float32), _packed(preview)])


def _packed(preview: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return one number of 24 bits for each pixel, which float32 holds exactly."""
    wide = preview.reshape(-1, 3).astype(np.int32)
    packed: NDArray[np.float32] = (wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]).astype(np.float32)
    return packed


def _unpacked(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (n, 32, 32, 3) pixels of rows that `_packed` made."""
    wide = rows.astype(np.int32)
    pixels = np.empty((len(rows), SIDE * SIDE, 3), np.uint8)
    for channel, bits in enumerate((16, 8, 0)):
        pixels[:, :, channel] = wide >> bits & 255
    return pixels.reshape(len(rows), SIDE, SIDE, 3)
