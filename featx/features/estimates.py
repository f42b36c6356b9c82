"""What extraction would take, before it begins: disk, memory, and time at the pace of its first rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from featx.features.hashing import Image
from featx.features.spaces import FeatureSpace
from featx.limits import Rate, check_disk, check_memory, time_in_words

log = logging.getLogger("featx")

SMALLER = "lower --views, use --pooling avg or another --cache"
# Fewer rows are listed without a thought; each takes this many bytes of memory while they are listed.
MANY_ROWS = 1_000_000
BYTES_A_KEY = 400
# Rows in memory on their way to the disk: a batch, the same rows held, joined and in the file's format.
COPIES = 4
# When the time that is left is estimated, and from when on it is worth a notice.
PACE_SECONDS = 30.0
LONG_SECONDS = 2 * 86400


def check_number_of_rows(space: FeatureSpace, images: Sequence[Image], views: int) -> None:
    """Check that the rows that are surely missing fit onto the disk, before millions of them are listed.

    Raises:
        ResourcesError: They do not fit.
    """
    train = len({image.digest for image in images if image.item.split == "train"})
    wanted = train * views
    if wanted < MANY_ROWS:
        return
    missing = wanted - space.plain.stored() - space.augmented.stored()
    if missing > 0:
        _check_disk(space, missing, space.network.facts().width)
        check_memory(BYTES_A_KEY * missing, f"a list of {missing:,} rows", SMALLER)


def check_rows(space: FeatureSpace, missing: int, width: int, batch_size: int) -> None:
    """Check that missing rows fit onto the disk, and batches of them into memory.

    Raises:
        ResourcesError: They do not fit.
    """
    _check_disk(space, missing, width)
    pixels = 3 * math.prod(space.spec.images.shape)
    check_memory(
        4 * batch_size * (2 * pixels + COPIES * width),
        f"a batch of {batch_size:,} images and their rows of {width:,} features",
        "lower --batch-size or --size, or use --pooling avg",
    )


def _check_disk(space: FeatureSpace, missing: int, width: int) -> None:
    bytes_a_value = 2 if space.spec.features.dtype == "float16" else 4
    what = f"storing {missing:,} rows of {width:,} features"
    check_disk(bytes_a_value * width * missing, space.store.root, what, SMALLER)


class LongWork:
    """Says once, when the pace of extraction is known, that it will take days."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._rate = Rate(total, PACE_SECONDS)

    def done(self, rows: int) -> None:
        """Count rows that are done."""
        self._left -= rows
        seconds = self._rate.step(rows)
        if seconds is not None and seconds > LONG_SECONDS:
            log.warning(
                "The %s rows that are left take about %s at this pace; if you stop here, the rows so far are kept.",
                f"{self._left:,}",
                time_in_words(seconds),
            )
