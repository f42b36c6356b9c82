"""Drawings, and small pictures of a run's images, inside the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featx.data import ImageFiles
from featx.images import decode_unchanged, picture_uri
from featx.parallel import bounded_map
from featx.plots import draw_svg
from featx.progress import report_progress
from featx.reports.blocks import Block, Figure, Note
from featx.runs import Run, RunImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Pixels, for the longer side; on the page they are 136 to 190 CSS pixels wide.
SIDE = 176


def thumbnails(run: Run, images: Sequence[RunImage], stage: str, cache: Path) -> list[str | None]:
    """Return a JPEG of each image as a data URI; None if its file is missing or has changed."""
    files = ImageFiles(Path(run.manifest["data"]["root"]), cache)

    def draw(image: RunImage) -> str | None:
        return _thumbnail(files.path(image.path), image.digest)

    uris: list[str | None] = []
    for uri in bounded_map(draw, images, workers=2, ahead=4):
        uris.append(uri)
        report_progress(stage, len(uris), len(images))
    return uris


def drawing(draw: Callable[[], Axes], prefix: str, alt: str, caption: str, *, print_only: bool = False) -> Block:
    """Return a drawing, or a note where it cannot be drawn."""
    svg = draw_svg(draw, prefix)
    return Note("This picture could not be drawn.") if svg is None else Figure(svg, alt, caption, print_only)


def missing_note(uris: Sequence[str | None], kind: str) -> list[Note]:
    """Return a note on the images that have no thumbnail, if there are any."""
    text = (
        f"Not shown: {uris.count(None)} of {len(uris)} {kind} images, because their files were moved, deleted or "
        "changed after training."
    )
    return [] if all(uris) else [Note(text)]


def _thumbnail(path: Path, digest: str) -> str | None:
    pixels = decode_unchanged(path, digest, at_least=2 * SIDE)
    return None if pixels is None else picture_uri(pixels, SIDE)
