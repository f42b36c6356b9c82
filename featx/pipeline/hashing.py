"""From files to content: the digest of every image, and which images cannot be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from featx.dataset import Item
from featx.errors import ImageError
from featx.images import read_bytes
from featx.pipeline.progress import Progress
from featx.streaming import bounded_map

OnError = Literal["fail", "skip"]
WORKERS = min(32, (os.cpu_count() or 1) + 2)


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
    """An image of the data whose bytes are known.

    Attributes:
        item: What the data says of it.
        digest: SHA-256 of the file's bytes.
    """

    item: Item
    digest: str


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hash_images(items: Sequence[Item], on_error: OnError, progress: Progress) -> tuple[list[Image], list[Failure]]:
    """Read every file once and return its digest.

    Raises:
        ImageError: `on_error` is `fail` and a file cannot be read or is empty.
    """
    images: list[Image] = []
    failures: list[Failure] = []
    for item, outcome in zip(items, bounded_map(_digest, items, workers=WORKERS, ahead=4 * WORKERS), strict=True):
        if isinstance(outcome, str):
            images.append(Image(item, outcome))
        elif on_error == "fail":
            raise outcome
        else:
            failures.append(Failure(item.id, outcome.reason))
        progress("reading", len(images) + len(failures), len(items))
    return images, failures


def _digest(item: Item) -> str | ImageError:
    try:
        return sha256(read_bytes(item.path, item.id))
    except ImageError as error:
        return error
