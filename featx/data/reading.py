"""From a folder, a manifest, a data frame or images in memory to a dataset. No image is opened here."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack

from featx.archives import is_archive
from featx.arguments import checks_arguments
from featx.data.archived import archives_of, list_archives
from featx.data.choice import (
    DataChoice,
    HeldOutTest,
    chosen_columns,
    held_out_test,
    labels_of,
    labels_of_images,
    separator_of,
)
from featx.data.dataset import SPLITS, Dataset, Item, first_few, is_unlabelled, readable
from featx.data.dicom import is_medium, list_dicomdir, with_dicom
from featx.data.folders import Listing, is_folder, none_but, search_labelled, search_unlabelled
from featx.data.given import given_items, listed
from featx.data.grouping import with_groups
from featx.data.in_memory import is_in_memory, items_in_memory
from featx.data.kinds import is_dicomdir, is_image, is_row
from featx.data.locating import advice, on_disk
from featx.data.manifest import Row, read_frame, read_manifest
from featx.data.multilabel import aligned
from featx.data.patterns import is_of_paths, matches
from featx.data.survey import survey
from featx.data.tables import FRAME, is_frame, is_manifest
from featx.errors import DataError, UsageError, naming_arguments
from featx.files import several
from featx.formats import by_kind, kind_of_name, sentence

log = logging.getLogger("featx")

BY_PATH = frozenset(("labels", "group_from", "keep_group_in"))  # choices for data without columns, too


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
        _refuse_choices(choice, "a Dataset", "chosen when it was read")
        return with_held_out_test(data, held_out)
    listing = Listing()
    is_of_folders = False
    if isinstance(data, (str, os.PathLike)):
        data = data if matches(Path(data)) is None else [data]
    if isinstance(data, (str, os.PathLike)):
        root = Path(data).absolute()
        is_of_folders = is_folder(root)
        _list_place(Path(data), listing, missing, choice)
        root = root if is_of_folders else root.parent
    else:
        root = Path().absolute()
        _in_memory(data, listing, missing, choice)
    others = (listing.others, listing.loose, listing.empty)
    by_folder = labels_of(choice) == "auto" and _is_of_folders(data)
    outside = listing.outside if by_folder and all(item.split == "train" for item in listing.items) else []
    listing.items = with_dicom(
        listing.items, root, cache, choice, by_folder=by_folder, outside=outside, others=others
    )
    if outside and all(item.label is None for item in listing.items):
        listing.loose.clear()
    if isinstance(data, (str, os.PathLike)):
        listing.items.sort(key=lambda item: (SPLITS.index(item.split), item.id))
    listing.items = with_groups(listing.items, choice)
    dataset = _dataset(root, listing)
    survey(dataset, folders=is_of_folders, because=listing.unlabelled_because)
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
    """List the images of a folder, of a manifest or archive, or one image."""
    root = data.absolute()
    _refuse_labels(choice, str(data))
    if archives := archives_of(root, choice):
        list_archives(archives, listing, choice, split="train", root=root if is_folder(root) else root.parent)
    elif is_folder(root):
        _refuse_choices(choice, "a folder", "for manifests and data frames", BY_PATH)
        labels = labels_of(choice)
        search_labelled(root, listing, "none" if labels == "auto" and is_medium(root) else labels)
    elif is_dicomdir(root):
        listing.items += list_dicomdir(root, "", "train")
    elif is_manifest(root):
        _refuse_folder_labels(choice, "a manifest")
        rows = read_manifest(root, chosen=chosen_columns(choice), separator=separator_of(choice))
        _add_rows(listing, root, root.parent, rows, "train", missing)
    elif is_image(root.name, str(root)) or not root.suffix:  # one that is none says so when it is decoded
        _refuse_choices(choice, "an image", "for manifests and data frames", BY_PATH)
        _refuse_folder_labels(choice, "an image")
        listing.items.append(Item(readable(root.name), root, None, "train"))
    elif (kind := kind_of_name(root.name)) is not None:
        raise DataError(f"{data} {sentence(kind.name, kind.convert)}.")
    else:
        raise DataError(
            f"Expected a folder or a manifest (.csv, .tsv, .parquet, .pq), an archive or an image, found the file "
            f"{data}; give the folder with the images, or save the table in one of these formats."
        )


def _refuse_labels(choice: DataChoice, place: str) -> None:
    """Refuse labels and groups that are given in the order of images; and texts for labels that mean nothing."""
    labels_of(choice)
    for name, values in (("labels", labels_of_images(choice)), ("groups", choice.get("groups"))):
        if values is not None:
            raise UsageError(f"Expected {name} with a list or array of images alone, received them with {place}.")


def _refuse_folder_labels(choice: DataChoice, kind: str) -> None:
    if labels_of(choice) == "folder":
        raise UsageError(f"Expected --labels folder with a folder, received {kind}; leave it out.")


def _refuse_choices(choice: DataChoice, kind: str, where: str, allowed: Set[str] = frozenset()) -> None:
    """Refuse names of columns, and labels, for data that has no columns."""
    for name, value in choice.items():
        if value is not None and name not in {"test", "split_seed", *allowed}:
            received = f", received {value!r}" if isinstance(value, str) else ""
            option = name if name in ("labels", "groups") else f"--{name.replace('_', '-')}"
            raise UsageError(f"Expected no {option} with {kind}{received}; leave it out, because it is {where}.")


def _in_memory(data: Any, listing: Listing, missing: str, choice: DataChoice) -> None:
    """List the images of a data frame, or of a list or array, each with its labels and group."""
    if is_frame(data):
        _refuse_labels(choice, "a data frame")
        rows = read_frame(data, chosen=chosen_columns(choice), separator=separator_of(choice))
        _add_rows(listing, FRAME, Path().absolute(), rows, "train", missing)
        return
    data = data if isinstance(data, Set) else listed(data)
    if not is_in_memory(data) and choice.get("groups") is None and labels_of_images(choice) is None:
        paths = listed(data)
        if isinstance(paths, Sequence) and is_of_paths(paths):
            _refuse_folder_labels(choice, "a pattern or several paths")
            for path in paths:
                _list_path(Path(path), listing, missing, choice, split="train")
            listing.items = _each_once(listing.items)
            return
    if {**chosen_columns(choice), "label": choice.get("label_column")} != {"label": None}:
        raise UsageError("Expected names of columns with a manifest or data frame, received a list of images.")
    listing.extend(*given_items(data, choice))


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
        _add_rows(listing, FRAME, Path().absolute(), read_frame(paths, labelled=False), "test", missing)
    elif is_in_memory(paths):
        listing.items += items_in_memory(paths, "test")
    else:
        for path in several(paths, "paths of images, folders or manifests"):
            _list_path(Path(path), listing, missing, choice, split="test")
    if image_column is not None and not any(is_row(item.path) for item in listing.items):
        raise UsageError(
            f"Expected a Parquet or Arrow file with images for --image-column {image_column}, received none; leave "
            "it out."
        )
    others = (listing.others, listing.loose, listing.empty)
    listing.items = with_dicom(_each_once(listing.items), Path().absolute(), Path(cache), others=others)
    return _dataset(Path().absolute(), listing)


def _each_once(items: Iterable[Item]) -> list[Item]:
    """The items, each path once, with its label if one of two has it."""
    by_path: dict[Path, Item] = {}
    by_id: dict[str, Item] = {}
    for item in items:
        if is_unlabelled(by_path.setdefault(item.path, item)) and not is_unlabelled(item):
            by_path[item.path] = item
    for item in by_path.values():
        if by_id.setdefault(item.id, item) is not item:
            raise DataError(f"{item.id} stands for both {by_id[item.id].path} and {item.path}; give one of them.")
    return list(by_path.values())


def _list_path(path: Path, listing: Listing, missing: str, choice: DataChoice, *, split: str) -> None:
    """List the images of a file, a folder, a manifest or a pattern, which need no labels."""
    if several_paths := matches(path):
        for each in several_paths:
            _list_match(each, listing, missing, choice, split=split)
        if not listing.items:
            raise DataError(f"Expected images that match {path}, found {none_but(listing.others)}")
    elif archives := archives_of(path, choice):
        list_archives(archives, listing, choice, split=split)
    elif is_folder(path):
        search_unlabelled(path, listing, split)
    elif is_dicomdir(path):
        prefix = "" if path.parent == Path() else f"{readable(path.parent.as_posix()).rstrip('/')}/"
        listing.items += list_dicomdir(path, prefix, split)
    elif is_manifest(path):
        manifest = path.absolute()
        chosen, separator = chosen_columns(choice), separator_of(choice)
        rows = read_manifest(manifest, labelled=False, chosen=chosen, separator=separator)
        _add_rows(listing, manifest, manifest.parent, rows, split, missing)
    else:
        listing.items.append(Item(readable(path.as_posix()), path.absolute(), None, split))


def _list_match(path: Path, listing: Listing, missing: str, choice: DataChoice, *, split: str) -> None:
    """List the images of a path that a pattern matches; one without images is left out."""
    if any(readable(folder.as_posix()) in listing.own for folder in path.parents):
        return  # `**` matches what is in a folder, too
    if path.is_dir():
        search_unlabelled(path, listing, split, needed=False)
    elif not path.exists() and is_image(path.name, str(path)):  # a link to nothing, which is said when it is read
        listing.items.append(Item(readable(path.as_posix()), path.absolute(), None, split))
    elif is_manifest(path) or is_archive(path) or is_image(path.name, str(path)):
        _list_path(path, listing, missing, choice, split=split)
    else:
        listing.others.append(readable(path.as_posix()))


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
    for kind, names in by_kind(dict.fromkeys(listing.others)):
        log.info(
            "featx does not read %s (%d: %s); convert %s.", kind.name, len(names), first_few(names), kind.convert
        )
    classes = sorted({*listing.label_names, *(item.label for item in listing.items if item.label is not None)})
    items = aligned(listing.items, listing.label_names, classes) if listing.label_names else listing.items
    return Dataset(root, tuple(items), tuple(classes))


def _add_rows(
    listing: Listing, manifest: Path | str, folder: Path, table: Sequence[Row], split: str, missing: str
) -> None:
    """Add the images of a table's rows, each once; `split` is for tables without a column `split`."""
    rows: dict[Path, Row] = {}
    absent = []
    for row in table:
        there = on_disk(folder, row.path)
        if there is None:
            absent.append(row.path)
        name, path = there or (row.path, folder / row.path)
        row = row if name == row.path else replace(row, path=name)
        first = rows.setdefault(path, row)
        same = (row.label, row.targets, row.split, row.group)
        if (first.label, first.targets, first.split, first.group) != same:
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
    items = [
        Item(row.path, path, row.label, row.split or split, row.group, row.extra, targets=row.targets)
        for path, row in rows.items()
    ]
    listing.extend(items, table[0].names)
