"""How the fitting engine `fused` is compiled.

Importing this module imports Numba. The machine code is kept beside the package's own bytecode; where that cannot
be written, in Numba's folder for the user; and where that cannot be written either, nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])

# Parts of the work that may run side by side; their number decides in what order sums are taken.
CHUNKS = 16
# Weights of a layer for which waking other threads takes longer than they save.
SMALL = 250_000


def compiled(*, parallel: bool = False) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function when it is first called."""
    # Without its own error model Numba checks each division, which keeps it from using vector instructions.
    # `reassoc` lets a dot product be summed in vector lanes: another order than left to right, yet always the same.
    fastmath = {"contract", "nsz", "reassoc"}

    def decorate(function: Function) -> Function:
        kernel = numba.njit(parallel=parallel, fastmath=fastmath, error_model="numpy", nogil=True)(function)
        # Where there is no folder to keep machine code in, it is compiled anew in each process.
        with suppress(RuntimeError):
            kernel.enable_caching()
        return cast(Function, kernel)

    return decorate
