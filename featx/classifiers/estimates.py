"""What a comparison would take: how many folds fit into memory at once, and whether their number can be done."""

from __future__ import annotations

import logging

from featx.classifiers.nested_cv import Rows
from featx.limits import check_memory
from featx.machine import available_memory, usable_cpus

log = logging.getLogger("featx")

# Bytes of a fold for each value of its rows, measured: copies in single and double precision. Where there are more
# columns than rows, kernel PCA takes more for each pair of rows.
BYTES_A_VALUE = 16
BYTES_A_PAIR = 32


def fold_bytes(rows: Rows) -> int:
    """Estimate the peak memory, in bytes, of the work on one fold of (n, d) rows, apart from the rows themselves."""
    shapes = [X.shape for X in rows.values()]
    return sum(BYTES_A_VALUE * n * d + (BYTES_A_PAIR * n * n if d > n else 0) for n, d in shapes)


def affordable_jobs(rows: Rows, jobs: int | None, folds: int) -> int:
    """Return how many folds are worked on at once: as many as are wanted, or fewer with a notice.

    Raises:
        ResourcesError: Not even one fits into memory.
    """
    n, d = rows[False].shape
    one = fold_bytes(rows)
    check_memory(one, f"a fold of {n:,} images with {d:,} features", "compare fewer images or pooled features")
    wanted = min(jobs or usable_cpus(), folds)
    allowed = max(1, available_memory() // max(one, 1))
    if allowed < wanted:
        log.info("%d folds at a time instead of %d, because free memory allows no more.", allowed, wanted)
    return min(wanted, allowed)


def check_repeats(n: int, folds: int, repeats: int) -> None:
    """Check that the numbers of the rows in all folds fit into memory.

    Raises:
        ResourcesError: They do not.
    """
    check_memory(8 * n * folds * repeats, f"{repeats:,} repeats of {folds} folds of {n:,} images", "lower --repeats")
