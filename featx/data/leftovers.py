"""Folders that hold no data: those of systems and programs, and those that featx wrote."""

from __future__ import annotations

import re
from collections.abc import Set

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
    return any(marks <= names for marks in OWN_FILES) or any(map(OWN_MAP.fullmatch, names))
