"""Folders that hold no data: those of systems and programs, and those that featx wrote or may write to."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Set
from pathlib import Path
from typing import Any

from featx.archives import is_archive
from featx.data.tables.files import is_manifest
from featx.errors import UsageError

# Folders that systems and programs keep for themselves, in lower case; hidden ones are skipped in any case.
SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "@sharesnap"),
        *("$recycle.bin", "recycler", "system volume information", "lost+found", "~snapshot"),
        *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder", "__pycache__"),
    )
)
CHKDSK_FOLDER = re.compile(r"found\.\d{3}")
# Files of which all are in a folder that featx wrote: a run, clusters, a comparison, a sweep, a cache.
OWN_FILES = (
    {"manifest.json", "recipe.toml"},
    {"head.keras", "recipe.toml"},
    {"clusters.csv", "per_image.csv"},
    {"comparison.csv", "folds.csv"},
    {"sweep.csv", "summary.csv"},
    {"features", "stat-cache"},
    {"features", "salt"},
)
OWN_MAP = re.compile(r"(tsne|tsne2020|umap|pca)-(penultimate|backbone)-.+\.(npz|csv)")


def is_system_folder(name: str) -> bool:
    """Tell whether a folder's name is one that a NAS, an operating system or a program uses for itself."""
    return name.casefold() in SYSTEM_FOLDERS or CHKDSK_FOLDER.fullmatch(name.casefold()) is not None


def is_own(names: Set[str]) -> bool:
    """Tell by the names in a folder whether featx wrote it."""
    return bool(own_files(names))


def own_files(names: Set[str]) -> list[str]:
    """Return the names that tell that featx wrote a folder, sorted; none if it did not."""
    marks = set[str]().union(*(each for each in OWN_FILES if each <= names))
    return sorted(marks | set(filter(OWN_MAP.fullmatch, names)))


def refuse_folder_of_images(out: str | Path, data: Any) -> None:
    """Refuse to write into a folder that is data, or into that of images which are data.

    Its files would be among the images the next time that the folder is read.

    Args:
        out: The folder to write to.
        data: See `read_data`; manifests and images in memory allow any folder.

    Raises:
        UsageError: The folder holds the images.
    """
    for each in data if isinstance(data, (list, tuple)) else [data]:
        if not isinstance(each, (str, os.PathLike)) or is_manifest(Path(each)) or is_archive(Path(each)):
            continue
        folder = Path(each) if Path(each).is_dir() else Path(each).parent
        while glob.has_magic(folder.name) and not folder.is_dir():  # as in photos/**/*.jpg
            folder = folder.parent
        if folder.resolve() == Path(out).resolve():
            raise UsageError(
                f"Expected a folder apart from the images for the files, received {out}, which holds them; choose "
                "another with --out."
            )
