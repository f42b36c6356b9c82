"""Drawings, and small pictures of images, inside a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featx.images import as_rgb, decode_unchanged, picture_uri
from featx.pages.blocks import Block, Figure, Note
from featx.parallel import bounded_map
from featx.plots import draw_svg
from featx.progress import report_progress

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Pixels, for the longer side; on the page they are 136 to 190 CSS pixels wide.
SIDE = 176


def thumbnails(
    files: Sequence[Path],
    digests: Sequence[str],
    stage: str,
    pixels: Sequence[NDArray[np.uint8] | None] | None = None,
) -> list[str | None]:
    """Return a JPEG of each image as a data URI; None if its file is missing or has changed.

    Args:
        files: (n,) where the images are.
        digests: (n,) SHA-256 of their bytes when their features were computed.
        stage: What the progress is called.
        pixels: (n,) the pixels of images in memory, and None for files.
    """

    def draw(number: int) -> str | None:
        held = None if pixels is None else pixels[number]
        if held is not None:
            return picture_uri(as_rgb(held), SIDE)
        decoded = decode_unchanged(files[number], digests[number], at_least=2 * SIDE)
        return None if decoded is None else picture_uri(decoded, SIDE)

    uris: list[str | None] = []
    for uri in bounded_map(draw, range(len(files)), workers=2, ahead=4):
        uris.append(uri)
        report_progress(stage, len(uris), len(files))
    return uris


def drawing(draw: Callable[[], Axes], prefix: str, alt: str, caption: str, *, print_only: bool = False) -> Block:
    """Return a drawing, or a note where it cannot be drawn."""
    svg = draw_svg(draw, prefix)
    return Note("This picture could not be drawn.") if svg is None else Figure(svg, alt, caption, print_only)


def missing_note(uris: Sequence[str | None], kind: str) -> list[Note]:
    """Return a note on the images that have no thumbnail, if there are any."""
    text = (
        f"Not shown: {uris.count(None)} of {len(uris)} {kind} images, because their files were moved, deleted or "
        "changed after their features were computed."
    )
    return [] if all(uris) else [Note(text)]
