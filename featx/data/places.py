"""What is given as data: each kind of path, of table and of list is listed by the module that knows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from featx.archives import is_archive
from featx.data.archived.archives import archives_of, list_archives
from featx.data.choice import (
    DataChoice,
    chosen_columns,
    labels_of,
    labels_of_images,
    refuse_labels_of_folders,
    separator_of,
)
from featx.data.dataset import Item, first_few, is_unlabelled, readable
from featx.data.dicom import is_medium, list_dicomdir
from featx.data.folders.kinds import file_of_frame, is_dicomdir, is_image
from featx.data.folders.patterns import is_of_paths, matches
from featx.data.folders.search import is_folder, none_but, search_labelled, search_unlabelled
from featx.data.given import given_items, listed
from featx.data.in_memory import is_in_memory
from featx.data.listing import Listing
from featx.data.tables.files import FRAME, is_frame, is_manifest
from featx.data.tables.locating import advice, on_disk
from featx.data.tables.manifest import Row, read_frame, read_manifest
from featx.errors import DataError, UsageError
from featx.formats import kind_of_name, sentence

BY_PATH = frozenset(("labels", "group_from", "keep_group_in"))  # choices for data without columns, too


def list_place(data: Path, listing: Listing, missing: str, choice: DataChoice) -> None:
    """List the images of a folder, of a manifest or archive, or one image."""
    root = data.absolute()
    _refuse_labels(choice, str(data))
    if archives := archives_of(root, choice):
        list_archives(archives, listing, choice, split="train", root=root if is_folder(root) else root.parent)
    elif is_folder(root):
        refuse_choices(choice, "a folder", "for manifests and data frames", BY_PATH)
        labels = labels_of(choice)
        search_labelled(root, listing, "none" if labels == "auto" and is_medium(root) else labels)
    elif is_dicomdir(root):
        listing.items += list_dicomdir(root, "", "train")
    elif is_manifest(root):
        refuse_labels_of_folders(choice, "a manifest")
        rows = read_manifest(root, chosen=chosen_columns(choice), separator=separator_of(choice))
        add_rows(listing, root, root.parent, rows, "train", missing)
    elif is_image(root.name, str(root)) or not root.suffix:  # one that is none says so when it is decoded
        refuse_choices(choice, "an image", "for manifests and data frames", BY_PATH)
        refuse_labels_of_folders(choice, "an image")
        file = file_of_frame(root) or root
        listing.items.append(Item(readable(root.relative_to(file.parent).as_posix()), root, None, "train"))
    elif (kind := kind_of_name(root.name)) is not None:
        raise DataError(f"{data} {sentence(kind.name, kind.convert)}.")
    else:
        raise DataError(
            f"Expected a folder or a manifest (.csv, .tsv, .parquet, .pq), an archive or an image, found the file "
            f"{data}; give the folder with the images, or save the table in one of these formats."
        )


def list_in_memory(data: Any, listing: Listing, missing: str, choice: DataChoice) -> None:
    """List the images of a data frame, or of a list or array, each with its labels and group."""
    if is_frame(data):
        _refuse_labels(choice, "a data frame")
        rows = read_frame(data, chosen=chosen_columns(choice), separator=separator_of(choice))
        add_rows(listing, FRAME, Path().absolute(), rows, "train", missing)
        return
    data = data if isinstance(data, Set) else listed(data)
    if not is_in_memory(data) and choice.get("groups") is None and labels_of_images(choice) is None:
        paths = listed(data)
        if isinstance(paths, Sequence) and is_of_paths(paths):
            refuse_labels_of_folders(choice, "a pattern or several paths")
            for path in paths:
                list_path(Path(path), listing, missing, choice, split="train")
            listing.items = each_once(listing.items)
            return
    if {**chosen_columns(choice), "label": choice.get("label_column")} != {"label": None}:
        raise UsageError("Expected names of columns with a manifest or data frame, received a list of images.")
    listing.extend(*given_items(data, choice))


def list_path(path: Path, listing: Listing, missing: str, choice: DataChoice, *, split: str) -> None:
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
        add_rows(listing, manifest, manifest.parent, rows, split, missing)
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
        list_path(path, listing, missing, choice, split=split)
    else:
        listing.others.append(readable(path.as_posix()))


def add_rows(
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


def each_once(items: Iterable[Item]) -> list[Item]:
    """Return the items, each path once, with its label if one of two has it."""
    by_path: dict[Path, Item] = {}
    by_id: dict[str, Item] = {}
    for item in items:
        if is_unlabelled(by_path.setdefault(item.path, item)) and not is_unlabelled(item):
            by_path[item.path] = item
    for item in by_path.values():
        if by_id.setdefault(item.id, item) is not item:
            raise DataError(f"{item.id} stands for both {by_id[item.id].path} and {item.path}; give one of them.")
    return list(by_path.values())


def _refuse_labels(choice: DataChoice, place: str) -> None:
    """Refuse labels and groups that are given in the order of images; and texts for labels that mean nothing."""
    labels_of(choice)
    for name, values in (("labels", labels_of_images(choice)), ("groups", choice.get("groups"))):
        if values is not None:
            raise UsageError(f"Expected {name} with a list or array of images alone, received them with {place}.")


def refuse_choices(choice: DataChoice, kind: str, where: str, allowed: Set[str] = frozenset()) -> None:
    """Refuse names of columns, and labels, for data that has no columns."""
    for name, value in choice.items():
        if value is not None and name not in {"test", "split_seed", *allowed}:
            received = f", received {value!r}" if isinstance(value, str) else ""
            option = name if name in ("labels", "groups") else f"--{name.replace('_', '-')}"
            raise UsageError(f"Expected no {option} with {kind}{received}; leave it out, because it is {where}.")
