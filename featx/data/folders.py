"""Folders of images: which files are images, and their classes and splits. No image is opened here."""

from __future__ import annotations

import logging
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from featx.data.dataset import Item, first_few
from featx.data.manifest import SPLIT_NAMES
from featx.errors import DataError

log = logging.getLogger("featx")

# A file in a folder is taken for an image by its ending, in any case.
IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif")
ENDINGS_TEXT = f"the endings of images are {', '.join(IMAGE_ENDINGS)}."


@dataclass
class Listing:
    """The files that a search has met so far."""

    items: list[Item] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # ids of files that do not have an image's ending
    loose: list[str] = field(default_factory=list)  # ids of images outside of class folders

    def add(self, files: Iterable[tuple[str, str]], label: str | None, split: str) -> bool:
        """Add files, given as pairs of path and id, and tell whether an image was among them."""
        before = len(self.items)
        for path, name in files:
            if _is_image(name):
                self.items.append(Item(name, Path(path), label, split))
            else:
                self.others.append(name)
        return len(self.items) > before

    def add_outside_classes(self, files: Iterable[os.DirEntry[str]], prefix: str) -> None:
        """Add the names of files in a folder that should have only class folders."""
        for file in files:
            name = prefix + readable(file.name)
            (self.loose if _is_image(name) else self.others).append(name)


def search_labelled(root: Path, listing: Listing) -> None:
    """Find the images of a folder that has split folders or, if not, class folders."""
    folders, files = _children(str(root))
    splits = {folder.name: SPLIT_NAMES.get(folder.name.casefold()) for folder in folders}
    if any(splits.values()):
        _search_splits(root, splits, listing)
        listing.add_outside_classes(files, "")
    else:
        _check_not_above(root, folders)
        _search_classes(str(root), "", "train", listing)
    if not any(item.split == "train" for item in listing.items):
        raise DataError(f"Expected images for training in {root}, found none; {ENDINGS_TEXT}")


def search_unlabelled(folder: Path, listing: Listing) -> None:
    """Find the images at any depth of a folder, for split "test"; their ids begin with the folder as given."""
    prefix = "" if folder == Path() else f"{readable(folder.as_posix()).rstrip('/')}/"
    if not listing.add(_files(str(folder.absolute()), prefix), None, "test"):
        raise DataError(f"Expected images in the folder {folder}, found none; {ENDINGS_TEXT}")


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; raises DataError if there is nothing, or it may not be read."""
    with _reading(path):
        return stat.S_ISDIR(path.stat().st_mode)


def readable(name: str) -> str:
    """Return a file name so that it can be printed and stored even if its bytes are not valid UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def _search_splits(root: Path, splits: Mapping[str, str | None], listing: Listing) -> None:
    """Find the images of split folders; `splits` has the split of each folder, None for other folders."""
    if "train" not in splits.values():
        other = first_few([name for name, split in splits.items() if split])
        raise DataError(f"Expected train/ beside {other}/ in {root}, found none; add train/<class>/ folders.")
    ignored = [readable(name) for name, split in splits.items() if split is None]
    if ignored:
        log.info("Folders beside train/ were ignored (%d): %s", len(ignored), first_few(ignored))
    for name, split in splits.items():
        if split:
            _search_classes(str(root / name), f"{name}/", split, listing)


def _check_not_above(root: Path, folders: Iterable[os.DirEntry[str]]) -> None:
    """Refuse the parent of a data folder, whose folders are not classes."""
    for folder in folders:
        if all(os.access(f"{folder.path}/{split}", os.F_OK) for split in ("train", "test")):
            raise DataError(
                f"Expected train/ or class folders in {root}, found train/ and test/ one level down in "
                f"{readable(folder.name)}/; give that folder."
            )


def _search_classes(folder: str, prefix: str, split: str, listing: Listing) -> None:
    classes, files = _children(folder)
    if not classes:
        images = sum(_is_image(file.name) for file in files)
        raise DataError(
            f"Expected a folder for each class in {folder}, found "
            + (f"{images} images without one; move them into" if images else "none; put the images into")
            + " <class>/ folders or list them in a manifest."
        )
    listing.add_outside_classes(files, prefix)
    for entry in classes:
        name = readable(entry.name)
        if not listing.add(_files(entry.path, f"{prefix}{name}/"), unicodedata.normalize("NFC", name), split):
            log.warning("The class folder %s holds no image and was left out", prefix + name)


def _files(folder: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield path and id of each visible file at any depth; links are followed, but not in a circle."""
    pending: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(folder, prefix, frozenset())]
    while pending:
        folder, prefix, above = pending.pop()
        here = _identity(folder)
        if here in above:
            continue
        folders, files = _children(folder)
        pending += [(entry.path, f"{prefix}{readable(entry.name)}/", above | {here}) for entry in folders]
        yield from ((entry.path, prefix + readable(entry.name)) for entry in files)


def _identity(folder: str) -> tuple[int, int]:
    with _reading(folder):
        status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _children(folder: str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """The folders, sorted by name, and the files in a folder, without hidden ones."""
    folders: list[os.DirEntry[str]] = []
    files: list[os.DirEntry[str]] = []
    with _reading(folder), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name != "__MACOSX":
                (folders if _leads_to_folder(entry) else files).append(entry)
    return sorted(folders, key=lambda entry: entry.name), files


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: it will fail with its name when it is opened as a file
        return False


@contextmanager
def _reading(path: Path | str) -> Iterator[None]:
    """Raise a DataError if a file or folder cannot be read."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"Expected a folder or file at {path}, found nothing; check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
