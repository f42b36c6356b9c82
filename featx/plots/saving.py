"""Pictures that may fail: what they show is written elsewhere already, so a failure costs a notice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import StoreError, reason_of
from featx.files import write_file
from featx.plots.figure import inline_svg, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger("featx")

# What Matplotlib, its fonts, the memory and the disk may raise.
FAILURES = (ArithmeticError, ImportError, LookupError, MemoryError, OSError, RuntimeError, StoreError, ValueError)


def draw_files(paths: Sequence[Path], draw: Callable[[], Axes], dpi: int = 150) -> list[Path]:
    """Draw a picture and write it to files; what fails is left out with a notice.

    Earlier pictures of these names are removed first, so that none stands beside results that it does not show.

    Args:
        paths: The files; their endings give the formats.
        draw: Returns any Axes of the figure.
        dpi: Dots per inch, for formats of pixels.

    Returns:
        The files that were written.
    """
    remove_files(paths)
    written: list[Path] = []
    try:
        axes = draw()
        for path in paths:
            written.append(write_file(path, partial(save, axes, dpi=dpi)))
    except FAILURES as error:
        missing = [path for path in paths if path not in written]
        log.warning(
            "%s could not be drawn (%s); everything else is written, so run the same command again to draw %s when "
            "the cause is removed.",
            " and ".join(map(str, missing)),
            reason_of(error).rstrip("."),
            "it" if len(missing) == 1 else "them",
        )
    return written


def draw_svg(draw: Callable[[], Axes], prefix: str) -> str | None:
    """Draw an element `<svg>` as `inline_svg` returns it; None, with a notice, if that fails."""
    try:
        return inline_svg(draw(), prefix)
    except FAILURES as error:
        log.warning("The picture %s of the page could not be drawn (%s).", prefix, reason_of(error).rstrip("."))
        return None


def remove_files(paths: Sequence[Path]) -> None:
    """Remove earlier pictures, as far as they can be removed."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
