"""Folders of images: which files are images, and their classes and splits. No image is opened here."""

from __future__ import annotations

import logging
import stat
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from featx.archives import has_member, member_names
from featx.data.dataset import first_few, readable
from featx.data.folders.kinds import ENDINGS_TEXT, file_of_frame, is_image
from featx.data.folders.layouts import DEEPEST, check_class_folders, splits_of_folders
from featx.data.folders.leftovers import is_own, own_files
from featx.data.folders.scanning import Entry, reading, scan
from featx.data.folders.splits import split_beside_train, split_of_folder
from featx.data.listing import Listing
from featx.data.tables.files import is_manifest
from featx.errors import DataError
from featx.formats import by_kind

log = logging.getLogger("featx")


def search_labelled(root: Path, listing: Listing, labels: Literal["auto", "folder", "none"] = "auto") -> None:
    """Find the images of a folder that has split folders or, if not, class folders or images without labels.

    With `auto`, folders are classes unless more images are beside them than in them: in the folder itself, or in that
    for training. With `folder` they always are, and with `none` never.
    """
    folders, files = listing.children(str(root), "", top=True)
    names = [folder.name for folder in folders]
    if labels == "none":
        _search_all(root, names, {} if not _has_train(names) else splits_of_folders(root, names), listing)
        return
    splits = splits_of_folders(root, names)
    if labels == "auto" and _is_without_classes(root, names, splits, listing):
        _search_all(root, names, splits, listing)
        return
    if splits:
        _search_splits(root, names, splits, listing)
        listing.add_outside_classes(files, "")
    else:
        check_class_folders(root, names)
        _search_classes(str(root), "", "train", listing)
    if not any(item.split == "train" for item in listing.items):
        raise DataError(f"Expected images for training in {root}, found {none_but(listing.others)}")


def _has_train(names: Iterable[str]) -> bool:
    return any(split_of_folder(name) == "train" for name in names)


def _is_without_classes(root: Path, names: Sequence[str], splits: Mapping[str, str], listing: Listing) -> bool:
    """Tell whether most images are in a folder itself, or in that for training, and not in folders of it."""
    train = next((name for name, split in splits.items() if split == "train"), None)
    folder = Listing()
    folders, files = folder.children(str(root / train if train else root), "", top=True)
    beside = len(_images(files))
    if not beside or is_own({entry.name for entry in files}):
        return False
    others = [name for name in names if splits and name not in splits]
    if any(_images(scan(str(root / name))[1]) for name in others):
        return False  # a class may be called train, and masks may be beside it
    within = 0
    for entry in folders:
        for path, name in folder.files(entry.path, ""):
            within += is_image(name, path)
            if within >= beside:
                return False
    listing.unlabelled_because = "more images are beside its folders than in them" if within else ""
    return True


def _search_all(root: Path, names: Sequence[str], splits: Mapping[str, str], listing: Listing) -> None:
    """Find the images at any depth of a folder and of its folders for splits, without labels."""
    if not splits:
        listing.add(listing.files(str(root), "", top=True), None, "train")
    elif ignored := [readable(name) for name in names if name not in splits]:
        log.info("Folders beside train/ were ignored (%d): %s", len(ignored), first_few(ignored))
    for name, split in splits.items():
        if not listing.add(listing.files(str(root / name), f"{readable(name)}/"), None, split):
            log.warning("The folder %s/ holds no image and was left out", readable(name))
    if splits:
        listing.add_outside_classes(listing.children(str(root), "", top=True)[1], "")
    if not listing.items:
        raise DataError(f"Expected images in {root}, found {none_but(listing.others)}")


def search_unlabelled(folder: Path, listing: Listing, split: str = "test", *, needed: bool = True) -> None:
    """Find the images at any depth of a folder, for one split; their ids begin with the folder as given.

    There must be some, unless they are not `needed`; then the folder is also left out if featx wrote it.
    """
    prefix = "" if folder == Path() else f"{readable(folder.as_posix()).rstrip('/')}/"
    files = sorted(listing.files(str(folder.absolute()), prefix, top=needed), key=lambda file: file[1])
    if not listing.add(files, None, split) and needed:
        raise DataError(f"Expected images in the folder {folder}, found {none_but(listing.others)}")


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; raises DataError if there is nothing, or it may not be read."""
    with reading(path):
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except NotADirectoryError:
            if has_member(path) or file_of_frame(path) is not None:
                return False
            if member_names(path) is None:
                raise
            return True  # a folder in an archive


def none_but(others: Iterable[str]) -> str:
    """The end of a sentence that says that there is no image, and which other files there are."""
    others = list(dict.fromkeys(others))
    beside = f" among {len(others)} file{'s' * (len(others) != 1)} ({first_few(others)})" if others else ""
    for kind, _ in by_kind(others):
        return f"none{beside}; featx does not read {kind.name}, so convert {kind.convert}."
    return f"none{beside}; {ENDINGS_TEXT}"


def _search_splits(root: Path, names: Sequence[str], splits: Mapping[str, str], listing: Listing) -> None:
    """Find the images of split folders; `splits` has the split of those of the folders that are one."""
    if ignored := [readable(name) for name in names if name not in splits]:
        log.info("Folders beside train/ were ignored (%d): %s", len(ignored), first_few(ignored))
    for name, split in splits.items():
        folder, prefix = str(root / name), f"{readable(name)}/"
        classes, files = listing.children(folder, prefix)
        # Archives often have a folder twice: training_set/training_set/<class>/.
        while (
            len(classes) == 1
            and prefix.count("/") <= DEEPEST
            and split_beside_train(classes[0].name) == split
            and not _images(files)
        ):
            listing.add_outside_classes(files, prefix)
            folder, prefix = classes[0].path, f"{prefix}{readable(classes[0].name)}/"
            classes, files = listing.children(folder, prefix)
        if classes or split == "train":
            _search_classes(folder, prefix, split, listing)
        elif images := _images(files):
            log.warning(
                "Images in %s were left out (%d), because they are in no class folder; move them into %s<class>/ "
                "folders to score them, give them to featx predict, or use all without labels (--labels none).",
                prefix,
                len(images),
                prefix,
            )
        else:
            log.warning("The folder %s holds no image and was left out", prefix)


def _search_classes(folder: str, prefix: str, split: str, listing: Listing) -> None:
    classes, files = listing.children(folder, prefix, top=True)
    if not classes:
        raise _no_classes(folder, files, split if prefix else "")
    listing.add_outside_classes(files, prefix)
    for entry in classes:
        name = readable(entry.name)
        path = prefix + name
        label = unicodedata.normalize("NFC", name)
        if not listing.add(listing.files(entry.path, f"{path}/"), label, split) and path not in listing.own:
            listing.empty.append(path)


def _no_classes(folder: str, files: Sequence[Entry], split: str) -> DataError:
    """The error for a folder without class folders; `split` is the one that it is for, "" if it has none."""
    if own := own_files({file.name for file in files}):
        return DataError(
            f"Expected images in {folder}, found what featx wrote ({first_few(own)}); give the folder or manifest of "
            "the data, or move these files out of it."
        )
    expected, images = f"Expected a folder for each class in {folder}, found", _images(files)
    if not images and by_kind(names := [readable(file.name) for file in files]):
        return DataError(f"Expected images in {folder}, found {none_but(names)}")
    if not images:
        return DataError(f"{expected} none, and no images; give a folder with images, or list them in a manifest.")
    tables: list[str] = []
    with suppress(OSError):  # the folder above may not be readable
        places = (Path(folder), Path(folder).parent)
        tables = sorted(path.name for place in places for path in place.iterdir() if is_manifest(path))
    table = f" (such as {first_few(tables)}, with columns path and label)" if tables else ""
    other = f"; if {split} is a class here, rename its folder" if split else ""
    return DataError(
        f"{expected} {len(images)} image{'s' * (len(images) != 1)} without one; move them into <class>/ folders, "
        f"list them in a manifest{table}, or use them without labels (--labels none){other}."
    )


def _images(files: Iterable[Entry]) -> list[str]:
    return [file.name for file in files if is_image(file.name, file.path)]
