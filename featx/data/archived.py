"""Images in archives: the items of ZIP files, tar shards and Parquet tables."""

from __future__ import annotations

from pathlib import Path

from featx.data.choice import DataChoice
from featx.data.folders import Listing


def archives_of(path: Path, choice: DataChoice) -> list[Path]:
    """Return the archives that a path stands for: the file itself, or those of a folder that holds nothing else.

    A Parquet file without images is none: it is a manifest.
    """
    return []


def list_archives(archives: list[Path], listing: Listing, choice: DataChoice, *, split: str) -> None:
    """Add the images of archives to a listing; `split` is for those whose names and rows say none."""
    raise NotImplementedError
