"""The digest of every image, and which files cannot be read."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.data import HeldOutTest, Item, held_out_mask, targets_of
from featx.digests import digest_of, sha256
from featx.errors import ImageError
from featx.images import as_rgb, content_digest, read_bytes
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.store import StatCache
from featx.text import images as in_words

log = logging.getLogger("featx")

OnError = Literal["fail", "skip"]
WORKERS = min(32, (os.cpu_count() or 1) + 2)
TOGETHER = 16  # images a task: one that is not read takes less time than a task of its own


@dataclass(frozen=True)
class Failure:
    """An image that was left out, and why."""

    path: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return `path, reason`."""
        return asdict(self)


@dataclass(frozen=True)
class Image:
    """An image of the data and the digest of its bytes.

    Attributes:
        item: Its path, label, split, group and further columns.
        digest: That of the file's bytes (see `content_digest`), or of an array's (see `digest_of_array`).
    """

    item: Item
    digest: str


def set_aside(images: Sequence[Image], test: HeldOutTest, names: Sequence[str] = ()) -> list[Image]:
    """Return images in their order, a share of those for training being for testing now, see `held_out_mask`.

    A notice says how many these are. `names` are the labels of images that may have several.

    Raises:
        DataError: A class cannot be divided without dividing a group.
    """
    train = [image for image in images if image.item.split == "train"]
    multilabel = any(image.item.targets is not None for image in train)
    mask = held_out_mask(
        targets_of([image.item for image in train], names)
        if multilabel
        else [image.item.label or "" for image in train],
        [image.digest for image in train],
        [image.item.group for image in train],
        test.share,
        test.seed,
        purpose="testing",
        advice="choose another share (--test), or data with a test split",
        names=names,
    )
    held = {image.item.id for image, chosen in zip(train, mask, strict=True) if chosen}
    log.info(
        "Set aside for testing: %s of %s (share %g, split seed %d); %s are for training.",
        f"{len(held):,}",
        in_words(len(train)),
        test.share,
        test.seed,
        f"{len(train) - len(held):,}",
    )
    return [
        replace(image, item=replace(image.item, split="test")) if image.item.id in held else image for image in images
    ]


def data_digest(images: Sequence[Image], names: Sequence[str] = ()) -> str:
    """Return the digest of data: SHA-256 of its images' contents, labels and splits, whatever their order.

    `names` are the labels of images that may have several; they and the targets are in the digest of such data alone.
    """
    facts = [_facts(image, names) for image in images]
    # A label that is missing cannot be compared with a text.
    return digest_of(sorted(facts, key=lambda fact: [str(part or "") for part in fact]))


def _facts(image: Image, names: Sequence[str]) -> list[Any]:
    """What an image adds to the digest of its data."""
    item = image.item
    facts: list[Any] = [image.digest, item.label, item.split]
    if item.targets is None:
        return facts
    # Unknown targets are left out, because NaN is no JSON.
    return [
        *facts,
        [[name, int(target)] for name, target in zip(names, item.targets, strict=True) if target == target],
    ]


def digest_of_array(image: NDArray[np.uint8]) -> str:
    """Return the digest of an image in memory, (height, width) or (height, width, 3); a grey one has that of its RGB.

    The hashed bytes begin as no image file does, so it is never the digest of a file.
    """
    height, width = image.shape[:2]
    return sha256(f"featx array RGB uint8 {height} {width}\n".encode() + as_rgb(image).tobytes())


def hash_images(items: Sequence[Item], on_error: OnError, stat_cache: StatCache) -> tuple[list[Image], list[Failure]]:
    """Return the digest of every image; files that the stat cache knows to be unchanged are not read.

    Files that are read are added to the stat cache, even if an error is raised.

    Raises:
        ImageError: `on_error` is `fail` and a file cannot be read or is empty.
    """
    images: list[Image] = []
    failures: list[Failure] = []
    stat_cache.load([item.alias or item.path for item in items if item.pixels is None])

    def digests(part: slice) -> list[str | ImageError]:
        return [_digest(item, stat_cache) for item in items[part]]

    parts = [slice(start, start + TOGETHER) for start in range(0, len(items), TOGETHER)]
    outcomes = chain.from_iterable(bounded_map(digests, parts, workers=WORKERS, ahead=2 * WORKERS))
    try:
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, str):
                images.append(Image(item, outcome))
            elif on_error == "fail":
                raise outcome
            else:
                failures.append(Failure(item.id, outcome.reason))
            report_progress("reading", len(images) + len(failures), len(items))
    finally:
        stat_cache.save()
    return images, failures


def _digest(item: Item, stat_cache: StatCache) -> str | ImageError:
    if item.pixels is not None:
        return digest_of_array(item.pixels)
    try:
        return stat_cache.digest(item.path, lambda: content_digest(read_bytes(item.path, item.id)), alias=item.alias)
    except ImageError as error:
        return error if item.alias is None else ImageError(error.path, error.reason)  # its cause has the path
