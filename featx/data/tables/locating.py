"""The file that a manifest means by a path, and what it may have meant where there is none."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from featx.archives import has_member
from featx.data.folders.kinds import IMAGE_ENDINGS, file_of_frame

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.I)
_FILE_URL = re.compile(r"file://(?:localhost)?(/.*)", re.I)
MOST_FOLDERS = 50  # beside the manifest, that are looked into for a missing image
MOST_PARTS = 20


def on_disk(folder: Path, written: str) -> tuple[str, Path] | None:
    """Return the path as text and the file that a manifest in a folder means by a cell; None if it does not exist.

    The text is the cell's, without spaces around it and with slashes for backslashes where only so there is a file.
    """
    for text, spelling in _spellings(written):
        path = folder / spelling
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            if not has_member(path) and file_of_frame(path) is None:
                continue
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                continue  # else the file may be there: opening it will say what is wrong
        return text, path
    return None


def advice(folder: Path, missing: str) -> str:
    """Return what to do about a path in a manifest in a folder that leads to no file; "" if that is not clear."""
    if _URL.match(missing) and not missing.casefold().startswith("file:"):
        return "featx reads files of this machine only, so download the images and "
    likely = _likely(folder, missing)
    return "" if likely is None else f"{missing[:200]} may be {likely}, so "


def _spellings(written: str) -> Iterator[tuple[str, str]]:
    """Yield what a cell may mean, the most literal first: the text that stays the image's name, and the path."""
    yield written, written
    # Unicode can spell the same accented name in two ways, and archives made on a Mac use the decomposed one.
    for form in ("NFC", "NFD"):
        if (spelling := unicodedata.normalize(form, written)) != written:
            yield written, spelling
    plain = written.strip()
    if plain != written:
        yield plain, plain
    if plain.startswith("~"):
        home = os.path.expanduser(plain)  # noqa: PTH111 - Path.expanduser raises an error for an unknown user
        yield home, home
    if match := _FILE_URL.match(plain):
        path = unquote(match[1])
        yield path, path
    if "\\" in plain:
        slashes = plain.replace("\\", "/")
        yield slashes, slashes


def _likely(folder: Path, missing: str) -> str | None:
    """Return the path, from the manifest's folder, of an image that a path with another start or ending may mean."""
    parts = [part for part in PureWindowsPath(missing.strip()).parts if not part.endswith((":", "\\", "/"))]
    if not parts or len(parts) > MOST_PARTS:
        return None
    bases = [folder, Path(), *folder.parents[:2], *_sub_folders(folder)]
    for start in range(len(parts)):
        for base in bases:
            path = base.joinpath(*parts[start:])
            for ending in ("", *IMAGE_ENDINGS, *map(str.upper, IMAGE_ENDINGS)):
                image = path.with_name(path.name + ending)
                if _is_file(image):
                    return os.path.relpath(image, folder).replace(os.sep, "/")
    return None


def _sub_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, and then those in them, as in images_001/images."""
    near = _folders_in(folder)
    return [*near, *(deeper for each in near for deeper in _folders_in(each))][:MOST_FOLDERS]


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")[:MOST_FOLDERS]
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
