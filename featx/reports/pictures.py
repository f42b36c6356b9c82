"""Small pictures of a run's images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featx.data import ImageFiles
from featx.pages import thumbnails
from featx.runs import Run, RunImage


def run_thumbnails(run: Run, images: Sequence[RunImage], stage: str, cache: Path) -> list[str | None]:
    """Return a JPEG of each image as a data URI; None if its file is missing or has changed."""
    files = ImageFiles(Path(run.manifest["data"]["root"]), cache)
    return thumbnails([files.path(image.path) for image in images], [image.digest for image in images], stage)
