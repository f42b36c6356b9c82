"""From files and digests to an atlas of thumbnails."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError
from featx.images import decode, read_bytes
from featx.pipeline.hashing import sha256
from featx.pipeline.progress import Progress, silent
from featx.streaming import bounded_map
from featx.thumbnails import LIMIT, Atlas, assembled, cell_side, letterboxed

log = logging.getLogger("featx")

WORKERS = min(8, os.cpu_count() or 1)  # each holds one image at full size


def atlas_of(files: Sequence[Path], digests: Sequence[str], *, progress: Progress = silent) -> Atlas | None:
    """Return the thumbnails of images, each of the bytes that its features are of.

    An image that is gone, cannot be decoded or has other bytes by now gets a blank cell, and one notice says how
    many they are. Decoded images are held a few at a time.

    Args:
        files: (n,) where the images lay when their features were computed.
        digests: (n,) SHA-256 of the bytes that they had.
        progress: Told how far the work is.

    Returns:
        None where there are no images, or more than `featx.thumbnails.LIMIT`, which a notice says.
    """
    side = cell_side(len(files))
    if side is None:
        if files:
            log.info(
                "Thumbnails are left out: a map shows those of at most %s images, and here are %s.",
                f"{LIMIT:,}",
                f"{len(files):,}",
            )
        return None

    def thumbnail(task: tuple[Path, str]) -> NDArray[np.uint8] | None:
        return _thumbnail(*task, side)

    def cells() -> Iterator[NDArray[np.uint8] | None]:
        tasks = zip(files, digests, strict=True)
        for done, cell in enumerate(bounded_map(thumbnail, tasks, workers=WORKERS, ahead=2 * WORKERS), 1):
            yield cell
            progress("thumbnails", done, len(files))

    atlas = assembled(cells(), len(files), side)
    missing = atlas.found.count(False)
    if missing:
        log.info(
            "%s of %s images have no thumbnail: their files are gone, or have changed since their features were "
            "computed.",
            f"{missing:,}",
            f"{len(files):,}",
        )
    return atlas


def _thumbnail(path: Path, digest: str, side: int) -> NDArray[np.uint8] | None:
    try:
        data = read_bytes(path, str(path))
        if sha256(data) != digest:
            return None
        return letterboxed(decode(data, str(path), at_least=2 * side), side)
    except ImageError:
        return None
