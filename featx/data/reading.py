"""From a folder, a manifest, a data frame or images in memory to a dataset. No image is opened here."""

from __future__ import annotations

import logging
import os
import posixpath
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack

from featx.arguments import checks_arguments
from featx.data.choice import DataChoice, HeldOutTest, held_out_test, labels_of
from featx.data.dataset import SPLITS, Dataset, first_few
from featx.data.dicom import with_dicom
from featx.data.folders.kinds import file_of_frame, is_row
from featx.data.folders.patterns import matches
from featx.data.folders.search import is_folder
from featx.data.given import listed
from featx.data.grouping import with_groups
from featx.data.in_memory import is_in_memory, items_in_memory
from featx.data.listing import Listing
from featx.data.places import add_rows, each_once, list_in_memory, list_path, list_place, refuse_choices
from featx.data.survey import survey
from featx.data.tables.files import FRAME, is_frame, is_manifest
from featx.data.tables.manifest import read_frame
from featx.data.tables.multilabel import aligned
from featx.errors import UsageError, naming_arguments
from featx.files import several
from featx.formats import by_kind

log = logging.getLogger("featx")


@checks_arguments
def read_data(
    data: Any,
    *,
    missing: Literal["fail", "keep"] = "fail",
    cache: str | Path = "cache",
    **choice: Unpack[DataChoice],
) -> Dataset:
    """List the images of data; notices say what it holds, and what in it looks odd. No image is opened.

    Images need no labels, and may have several: see `labels`, `label_columns` and `label_separator` in `DataChoice`.

    Args:
        data: One of these: a folder with `train/<class>/*` and optionally `val/` and `test/`; a folder with
            `<class>/*`, all for training; a folder with images alone; a manifest (CSV or Parquet), whose relative
            paths start at its own folder, all for training if it has no column `split`; a data frame (pandas, polars
            or PyArrow) with the columns of a manifest, whose relative paths start at the working folder; an image, a
            pattern such as `photos/*.jpg`, or a list of paths, patterns and folders, which have no labels; a list of
            images, or a uint8 array of shape (n, height, width) or (n, height, width, 3), or a list of such images,
            with `labels` where they matter; a `Dataset`, which is returned as it is.
        missing: What to do if a manifest lists files that do not exist: "fail", or "keep" them in the dataset.
        cache: Folder of the cache, which keeps the salt of the names that stand for the patients of DICOM files.
        choice: See `DataChoice`.

    Raises:
        DataError: The data do not exist, cannot be read or have another layout.
        UsageError: An argument is not for this kind of data, or a share is out of range.
        TypeError: There is no argument of that name.
    """
    with naming_arguments():
        return _read(data, missing, Path(cache), choice)


def _read(data: Any, missing: str, cache: Path, choice: DataChoice) -> Dataset:
    """Do what `read_data` does."""
    held_out = held_out_test(choice)
    if isinstance(data, Dataset):
        refuse_choices(choice, "a Dataset", "chosen when it was read")
        return with_held_out_test(data, held_out)
    if isinstance(data, (str, os.PathLike)) and matches(Path(data)) is not None:
        data = [data]
    place = Path(data) if isinstance(data, (str, os.PathLike)) else None
    has_folders = place is not None and is_folder(place.absolute())
    root = (Path() if place is None else place if has_folders else (file_of_frame(place) or place).parent).absolute()
    listing = Listing()
    if place is None:
        list_in_memory(data, listing, missing, choice)
    else:
        list_place(place, listing, missing, choice)
    by_folder = labels_of(choice) == "auto" and place is not None and not is_manifest(place)
    _use_headers(listing, root, cache, choice, by_folder=by_folder)
    if place is not None:
        listing.items.sort(key=lambda item: (SPLITS.index(item.split), item.id))
    listing.items = with_groups(listing.items, choice, cache)
    dataset = _dataset(root, listing)
    if place is None:
        dataset = replace(dataset, title=_common_folder(dataset))
    survey(dataset, folders=has_folders, because=listing.unlabelled_because)
    return with_held_out_test(dataset, held_out)


def _use_headers(
    listing: Listing, root: Path, cache: Path, choice: DataChoice | None = None, *, by_folder: bool = False
) -> None:
    """Give the images of a listing what the headers of DICOM files say; `by_folder`: folders may be patients."""
    others = (listing.others, listing.loose, listing.empty)
    outside = listing.outside if by_folder and all(item.split == "train" for item in listing.items) else []
    listing.items = with_dicom(
        listing.items, root, cache, choice, by_folder=by_folder, outside=outside, others=others
    )
    if outside and all(item.label is None for item in listing.items):
        listing.loose.clear()


def read_paths(
    paths: Any,
    *,
    missing: Literal["fail", "keep"] = "fail",
    cache: str | Path = "cache",
    image_column: str | None = None,
) -> Dataset:
    """List the images of files, folders and manifests, or images in memory; labels are not needed.

    An image is in split "test" and has no label unless a manifest says otherwise. Its id begins with the path as
    given. An image that is listed twice is taken once, with its label if one of the two has it.

    Args:
        paths: One path, or several: files with any ending, folders that are searched at any depth, and manifests with
            or without labels. Or a data frame with a column `path`, images in memory, see `read_data`, or a
            `Dataset`, of which nothing is set aside.
        missing: As in `read_data`.
        cache: As in `read_data`.
        image_column: The column of a table of images that has them, see `DataChoice`.

    Returns:
        A dataset whose root is the working folder.

    Raises:
        DataError: A path does not exist, a folder has no image, a manifest cannot be read, or two images have the
            same id.
        UsageError: A column is chosen, and no path is a table of images.
    """
    if isinstance(paths, Dataset):
        return replace(paths, test=None)
    listing = Listing()
    paths = listed(paths)
    choice: DataChoice = {"image_column": image_column}
    if is_frame(paths):
        add_rows(listing, FRAME, Path().absolute(), read_frame(paths, labelled=False), "test", missing)
    elif is_in_memory(paths):
        listing.items += items_in_memory(paths, "test")
    else:
        for path in several(paths, "paths of images, folders or manifests"):
            list_path(Path(path), listing, missing, choice, split="test")
    if image_column is not None and not any(is_row(item.path) for item in listing.items):
        raise UsageError(
            f"Expected a Parquet or Arrow file with images for --image-column {image_column}, received none; leave "
            "it out."
        )
    listing.items = each_once(listing.items)
    _use_headers(listing, Path().absolute(), Path(cache))
    return _dataset(Path().absolute(), listing)


def with_held_out_test(dataset: Dataset, test: HeldOutTest | None) -> Dataset:
    """Return a dataset of which a share is set aside for testing once its contents are read; None changes nothing.

    Raises:
        UsageError: It has images for testing already.
    """
    if test is None:
        return dataset
    there = len(dataset.split("test"))
    if there:
        raise UsageError(
            f"Expected data without a test split for a share of {test.share} for testing, but {there} images of "
            f"{dataset.place} are for testing already; leave out --test, or ignore the split of a manifest "
            "(--split-column none)."
        )
    return replace(dataset, test=test)


def _common_folder(dataset: Dataset) -> str | None:
    """Return the name of the folder that all images of a list are in, as their ids say; None if there is none."""
    folders = {item.id.rpartition("/")[0] for item in dataset.items}
    absolute = {folder.startswith("/") for folder in folders}
    return posixpath.basename(posixpath.commonpath(folders)) or None if len(absolute) == 1 else None


def _dataset(root: Path, listing: Listing) -> Dataset:
    """The dataset of a listing, in its order; notices say which files were left out."""
    notices = (
        (logging.INFO, "Files without the ending of an image were left out", listing.others),
        (logging.WARNING, "Images outside of class folders were left out", listing.loose),
        (logging.WARNING, "Class folders without an image were left out", listing.empty),
        (logging.INFO, "Folders of the system were skipped", list(listing.skipped)),
        (logging.WARNING, "Folders that featx wrote were skipped", list(listing.own)),
    )
    for level, text, names in notices:
        if names := list(dict.fromkeys(names)):
            log.log(level, "%s (%d): %s", text, len(names), first_few(names))
    tables = [name for name in dict.fromkeys(listing.others) if "/" not in name and is_manifest(Path(name))]
    if tables:
        log.info("If %s lists the images and their labels, give it instead of the folder.", " or ".join(tables[:3]))
    for kind, names in by_kind(dict.fromkeys(listing.others)):
        log.info(
            "featx does not read %s (%d: %s); convert %s.", kind.name, len(names), first_few(names), kind.convert
        )
    classes = sorted({*listing.label_names, *(item.label for item in listing.items if item.label is not None)})
    items = aligned(listing.items, listing.label_names, classes) if listing.label_names else listing.items
    return Dataset(root, tuple(items), tuple(classes))
