"""How many threads the libraries compute with, as they are loaded now."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from featx.machine import usable_cpus

INTRA_OP = "TF_NUM_INTRAOP_THREADS"


class Threads(NamedTuple):
    """How many threads a library computes with.

    Attributes:
        library: Such as `openblas`, `openmp`, `tensorflow` or `numba`.
        threads: At most.
    """

    library: str
    threads: int


def threads_in_effect() -> tuple[Threads, ...]:
    """Return the numbers of those libraries that this process has loaded, each once."""
    return tuple(dict.fromkeys([*_native(), *_tensorflow(), *_numba()]))


def _native() -> Iterator[Threads]:
    """Tell of the libraries of linear algebra and of OpenMP, of which several may be loaded."""
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        yield Threads(
            str(pool["internal_api"] if pool["user_api"] == "blas" else pool["user_api"]), pool["num_threads"]
        )


def _tensorflow() -> Iterator[Threads]:
    library = sys.modules.get("tensorflow")
    threading = getattr(getattr(library, "config", None), "threading", None)
    if threading is None:  # not loaded, or not wholly
        return
    asked = os.environ.get(INTRA_OP, "")
    # 0 leaves it to TensorFlow, which reads the variable, and without one takes all processors that it may use.
    chosen = threading.get_intra_op_parallelism_threads() or (int(asked) if asked.isdigit() else 0)
    yield Threads("tensorflow", chosen or _bound_cpus())


def _numba() -> Iterator[Threads]:
    # Not numba.get_num_threads, which starts them.
    count = getattr(getattr(sys.modules.get("numba"), "config", None), "NUMBA_NUM_THREADS", None)
    if count is not None:
        yield Threads("numba", count)


def _bound_cpus() -> int:
    """Return the processors that this process may use; TensorFlow knows nothing of a share of their time."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else usable_cpus()
