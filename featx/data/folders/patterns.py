"""Patterns of paths, such as `photos/*.jpg`, and which paths of a list are more than one image."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from featx.archives import is_archive
from featx.data.folders.kinds import IMAGE_ENDINGS
from featx.data.tables.files import is_manifest
from featx.errors import DataError


def matches(path: Path) -> list[Path] | None:
    """Return the paths that a pattern matches, sorted, without hidden ones; None if it is no pattern.

    `*`, `?` and `[abc]` stand for parts of a name, and `**` for folders at any depth.

    Raises:
        DataError: Nothing matches.
    """
    text = os.fspath(path)
    if not glob.has_magic(text) or os.path.lexists(path):
        return None
    there = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - Path.glob takes no pattern with an absolute path
    if not there:
        raise DataError(f"Expected files that match {text}, found none; {_advice(text)}.")
    return [Path(name) for name in there]


def _advice(text: str) -> str:
    """What may be wrong with a pattern that nothing matches."""
    if "{" in text:
        return "give one pattern for each of the names in {}, because braces mean nothing in patterns"
    if text.startswith("~"):
        return "write the whole path, because ~ is no folder in patterns"
    either = glob.glob(_in_any_case(text), recursive=True)  # noqa: PTH207
    return f"write it in upper and lower case as in {min(either)}" if either else "check the pattern"


def _in_any_case(pattern: str) -> str:
    """The pattern with each letter in any case; those in brackets stay as they are."""

    def either(part: re.Match[str]) -> str:
        return part[0] if part[0].startswith("[") else f"[{part[0].lower()}{part[0].upper()}]"

    return re.sub(r"\[[^\]]*\]|[^\W\d_]", either, pattern)


def is_of_paths(data: Sequence[object]) -> bool:
    """Tell whether one path of a list is a pattern, a folder or a table, and so may stand for several images."""
    return all(isinstance(each, (str, os.PathLike)) for each in data) and any(map(_may_be_several, map(str, data)))


def _may_be_several(text: str) -> bool:
    if glob.has_magic(text):
        return not os.path.lexists(text)
    if text.lower().endswith(IMAGE_ENDINGS):
        return False  # most often, and then the disk need not be asked
    path = Path(text)
    return is_manifest(path) or is_archive(path) or path.is_dir()
