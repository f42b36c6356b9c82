"""From a folder, a manifest, a data frame or images in memory to a dataset. No image is opened here."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np

from featx.arguments import checks_arguments
from featx.data.archived import archives_of, list_archives
from featx.data.choice import DataChoice, HeldOutTest, chosen_columns, held_out_test
from featx.data.dataset import SPLITS, Dataset, Item, first_few, readable
from featx.data.dicom import list_dicomdir, with_dicom
from featx.data.folders import Listing, is_folder, search_labelled, search_unlabelled
from featx.data.grouping import with_groups
from featx.data.in_memory import is_in_memory, items_in_memory
from featx.data.kinds import is_dicomdir
from featx.data.locating import advice, on_disk
from featx.data.manifest import Row, read_frame, read_manifest
from featx.data.survey import survey
from featx.data.tables import FRAME, is_frame, is_manifest, text_of_cell
from featx.errors import DataError, UsageError, naming_arguments
from featx.files import several

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

    Args:
        data: One of these: a folder with `train/<class>/*` and optionally `val/` and `test/`; a folder with
            `<class>/*`, all for training; a manifest (CSV or Parquet), whose relative paths start at its own folder,
            all for training if it has no column `split`; a data frame (pandas, polars or PyArrow) with the columns of
            a manifest, whose relative paths start at the working folder; a list of paths, a uint8 array of shape
            (n, height, width) or (n, height, width, 3), or a list of such images, with `labels` where they matter; a
            `Dataset`, which is returned as it is.
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
        _refuse_choices(choice, "a Dataset", "chosen when it was read")
        return with_held_out_test(data, held_out)
    listing = Listing()
    is_of_folders = False
    if isinstance(data, (str, os.PathLike)):
        root = Path(data).absolute()
        is_of_folders = is_folder(root)
        _list_place(Path(data), listing, missing, choice)
        root = root if is_of_folders else root.parent
    else:
        root = Path().absolute()
        listing.items += _in_memory(data, root, missing, choice)
    others = (listing.others, listing.loose, listing.empty)
    by_folder = choice.get("labels") in (None, "auto") and _is_of_folders(data)
    listing.items = with_dicom(listing.items, root, cache, choice, by_folder=by_folder, others=others)
    if isinstance(data, (str, os.PathLike)):
        listing.items.sort(key=lambda item: (SPLITS.index(item.split), item.id))
    listing.items = with_groups(listing.items, choice)
    dataset = _dataset(root, listing)
    if dataset.classes:
        survey(dataset, folders=is_of_folders)
    return with_held_out_test(dataset, held_out)


def _is_of_folders(data: Any) -> bool:
    """Whether labels of data can only be the names of folders."""
    return isinstance(data, (str, os.PathLike)) and not is_manifest(Path(data))


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


def _list_place(data: Path, listing: Listing, missing: str, choice: DataChoice) -> None:
    """List the images of a folder or of a manifest."""
    root = data.absolute()
    _refuse_labels(choice, str(data))
    if archives := archives_of(root, choice):
        list_archives(archives, listing, choice, split="train")
    elif is_folder(root):
        _refuse_choices(choice, "a folder", "for manifests and data frames")
        search_labelled(root, listing)
    elif is_dicomdir(root):
        listing.items += list_dicomdir(root, "", "train")
    elif is_manifest(root):
        rows = read_manifest(root, chosen=chosen_columns(choice))
        listing.items += _of_rows(root, root.parent, rows, "train", missing)
    else:
        raise DataError(
            f"Expected a folder or a manifest (.csv, .tsv, .parquet, .pq), found the file {data}; "
            "give the folder with the images or save the table in one of these formats."
        )


def _refuse_labels(choice: DataChoice, place: str) -> None:
    for name in ("labels", "groups"):
        if choice.get(name) is not None:
            raise UsageError(f"Expected {name} with a list or array of images alone, received them with {place}.")


def _refuse_choices(choice: DataChoice, kind: str, where: str) -> None:
    """Refuse names of columns, and labels, for data that has no columns."""
    for name, value in choice.items():
        if value is not None and name not in ("test", "split_seed"):
            received = f", received {value!r}" if isinstance(value, str) else ""
            option = name if name in ("labels", "groups") else f"--{name.replace('_', '-')}"
            raise UsageError(f"Expected no {option} with {kind}{received}; leave it out, because it is {where}.")


def _in_memory(data: Any, folder: Path, missing: str, choice: DataChoice) -> list[Item]:
    """The images of a data frame, or of a list or array, each with its label and group."""
    if is_frame(data):
        _refuse_labels(choice, "a data frame")
        return _of_rows(FRAME, folder, read_frame(data, chosen=chosen_columns(choice)), "train", missing)
    if chosen_columns(choice):
        raise UsageError("Expected names of columns with a manifest or data frame, received a list of images.")
    items = items_in_memory(_listed(data), "train")
    labels = _cells("labels", choice.get("labels"), data, len(items))
    groups = _cells("groups", choice.get("groups"), data, len(items))
    given = [
        replace(item, label=label, group=group) for item, label, group in zip(items, labels, groups, strict=True)
    ]
    by_id: dict[str, Item] = {}
    for item in given:
        if by_id.setdefault(item.id, item) != item:
            raise DataError(f"Expected one label and one group for {item.id}, received it twice with others.")
    return list(by_id.values())


def _listed(data: Any) -> Any:
    """Return a list instead of a generator, a set or the like; a set, which has no order, is sorted."""
    if isinstance(data, Set):
        return sorted(data, key=str)
    return list(data) if isinstance(data, Iterator) else data


def _cells(name: str, values: Any, data: Any, n: int) -> list[str | None]:
    """Return a text for each of the n images of data, or None."""
    if values is None:
        return [None] * n
    if isinstance(values, (str, Mapping, Set)) or not isinstance(values, Iterable) or isinstance(data, Set):
        kind = type(data if isinstance(data, Set) else values).__name__
        raise UsageError(
            f"Expected {name} and images as lists or arrays in the same order, received a value of type {kind}."
        )
    # The elements of tensors and of Arrow's columns are no plain values, but those of their arrays are.
    array = np.asarray(values if hasattr(values, "__array__") else list(values), object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or any(isinstance(value, (np.ndarray, list, tuple)) for value in array):
        raise DataError(
            f"Expected {name} of shape ({n},), one for each image, received the shape {array.shape}; where each row "
            f"marks its class, pass {name}.argmax(axis=1)."
        )
    if len(array) != n:
        raise DataError(f"Expected {n} {name}, one for each image, received {len(array)}.")
    texts = map(text_of_cell, array.tolist())
    return [None if text is None else unicodedata.normalize("NFC", text).strip() for text in texts]


def read_paths(paths: Any, *, missing: Literal["fail", "keep"] = "fail", cache: str | Path = "cache") -> Dataset:
    """List the images of files, folders and manifests, or images in memory; labels are not needed.

    An image is in split "test" and has no label unless a manifest says otherwise. Its id begins with the path as
    given. An image that is listed twice is taken once, with its label if one of the two has it.

    Args:
        paths: One path, or several: files with any ending, folders that are searched at any depth, and manifests with
            or without labels. Or a data frame with a column `path`, images in memory, see `read_data`, or a
            `Dataset`, of which nothing is set aside.
        missing: As in `read_data`.
        cache: As in `read_data`.

    Returns:
        A dataset whose root is the working folder.

    Raises:
        DataError: A path does not exist, a folder has no image, a manifest cannot be read, or two images have the
            same id.
    """
    if isinstance(paths, Dataset):
        return replace(paths, test=None)
    listing = Listing()
    paths = _listed(paths)
    if is_frame(paths):
        listing.items += _of_rows(FRAME, Path().absolute(), read_frame(paths, labelled=False), "test", missing)
    elif is_in_memory(paths):
        listing.items += items_in_memory(paths, "test")
    else:
        for path in several(paths, "paths of images, folders or manifests"):
            _list_path(Path(path), listing, missing)
    by_path: dict[Path, Item] = {}
    by_id: dict[str, Item] = {}
    for item in listing.items:
        if by_path.setdefault(item.path, item).label is None and item.label is not None:
            by_path[item.path] = item
    for item in by_path.values():
        if by_id.setdefault(item.id, item) is not item:
            raise DataError(f"{item.id} stands for both {by_id[item.id].path} and {item.path}; give one of them.")
    listing.items = with_dicom(
        list(by_path.values()), Path().absolute(), Path(cache), others=(listing.others, listing.loose, listing.empty)
    )
    return _dataset(Path().absolute(), listing)


def _list_path(path: Path, listing: Listing, missing: str) -> None:
    """List the images of a file, a folder or a manifest, which need no labels."""
    if archives := archives_of(path, {}):
        list_archives(archives, listing, {}, split="test")
    elif is_folder(path):
        search_unlabelled(path, listing)
    elif is_dicomdir(path):
        prefix = "" if path.parent == Path() else f"{readable(path.parent.as_posix()).rstrip('/')}/"
        listing.items += list_dicomdir(path, prefix, "test")
    elif is_manifest(path):
        manifest = path.absolute()
        rows = read_manifest(manifest, labelled=False)
        listing.items += _of_rows(manifest, manifest.parent, rows, "test", missing)
    else:
        listing.items.append(Item(readable(path.as_posix()), path.absolute(), None, "test"))


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
        if names:
            log.log(level, "%s (%d): %s", text, len(names), first_few(names))
    classes = sorted({item.label for item in listing.items if item.label is not None})
    return Dataset(root, tuple(listing.items), tuple(classes))


def _of_rows(manifest: Path | str, folder: Path, listed: Sequence[Row], split: str, missing: str) -> list[Item]:
    """The images of a table's rows, each once; `split` is for tables without a column `split`."""
    rows: dict[Path, Row] = {}
    absent = []
    for row in listed:
        there = on_disk(folder, row.path)
        if there is None:
            absent.append(row.path)
        name, path = there or (row.path, folder / row.path)
        row = row if name == row.path else replace(row, path=name)
        first = rows.setdefault(path, row)
        if (first.label, first.split, first.group) != (row.label, row.split, row.group):
            raise DataError(
                f"Rows {first.number} and {row.number} of {manifest} both list {row.path}, with different "
                "labels, splits or groups; keep the right one."
            )
    if absent and missing == "fail":
        raise DataError(
            f"Expected all images that {manifest} lists, found {len(absent)} missing ({first_few(absent)}); "
            f"{advice(folder, absent[0])}correct the paths, where relative ones start at {folder}, or remove the "
            "rows."
        )
    return [Item(row.path, path, row.label, row.split or split, row.group, row.extra) for path, row in rows.items()]
