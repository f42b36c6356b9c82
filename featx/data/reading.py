"""From a folder or a manifest to a dataset. No image is opened here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from featx.data.dataset import SPLITS, Dataset, Item, first_few, readable
from featx.data.folders import Listing, is_folder, search_labelled, search_unlabelled
from featx.data.locating import advice, on_disk
from featx.data.manifest import Row, read_manifest
from featx.data.survey import survey
from featx.data.tables import is_manifest
from featx.errors import DataError

log = logging.getLogger("featx")


def read_data(data: Path, *, missing: Literal["fail", "keep"] = "fail") -> Dataset:
    """List the images of a labelled dataset; notices say what it holds, and what in it looks odd.

    Args:
        data: One of these: a folder with `train/<class>/*` and optionally `val/` and `test/`; a folder with
            `<class>/*`, all for training; a manifest (CSV or Parquet), whose relative paths start at its own folder,
            all for training if it has no column `split`.
        missing: What to do if a manifest lists files that do not exist: "fail", or "keep" them in the dataset.

    Raises:
        DataError: The data do not exist, cannot be read or have another layout.
    """
    listing = Listing()
    root = data.absolute()
    if is_folder(root):
        search_labelled(root, listing)
    elif is_manifest(root):
        listing.items += _listed(root, "train", missing, labelled=True)
        root = root.parent
    else:
        raise DataError(
            f"Expected a folder or a manifest (.csv, .tsv, .parquet, .pq), found the file {data}; "
            "give the folder with the images or save the table in one of these formats."
        )
    dataset = _dataset(root, listing)
    survey(dataset, folders=root == data.absolute())
    return dataset


def read_paths(paths: Sequence[Path], *, missing: Literal["fail", "keep"] = "fail") -> Dataset:
    """List the images of files, folders and manifests; labels are not needed.

    An image is in split "test" and has no label unless a manifest says otherwise. Its id begins with the path as
    given. An image that is listed twice is taken once, with its label if one of the two has it.

    Args:
        paths: Files with any ending, folders that are searched at any depth, and manifests with or without labels.
        missing: As in `read_data`.

    Returns:
        A dataset whose root is the working folder.

    Raises:
        DataError: A path does not exist, a folder has no image, a manifest cannot be read, or two images have the
            same id.
    """
    listing = Listing()
    for path in paths:
        if is_folder(path):
            search_unlabelled(path, listing)
        elif is_manifest(path):
            listing.items += _listed(path.absolute(), "test", missing, labelled=False)
        else:
            listing.items.append(Item(readable(path.as_posix()), path.absolute(), None, "test"))
    # Labelled items come last, so that they replace the same images without a label.
    listing.items.sort(key=lambda item: (item.label or "", item.id))
    listing.items = list({item.path: item for item in listing.items}.values())
    by_id: dict[str, Item] = {}
    for item in listing.items:
        if by_id.setdefault(item.id, item) is not item:
            raise DataError(f"{item.id} stands for both {by_id[item.id].path} and {item.path}; give one of them.")
    return _dataset(Path().absolute(), listing)


def _dataset(root: Path, listing: Listing) -> Dataset:
    """The dataset of a listing, in order; notices say which files were left out."""
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
    items = sorted(listing.items, key=lambda item: (SPLITS.index(item.split), item.id))
    classes = sorted({item.label for item in items if item.label is not None})
    return Dataset(root, tuple(items), tuple(classes))


def _listed(manifest: Path, split: str, missing: str, *, labelled: bool) -> list[Item]:
    """The images of a manifest, each once; `split` is for manifests without a column `split`."""
    folder = manifest.parent
    rows: dict[Path, Row] = {}
    absent = []
    for row in read_manifest(manifest, labelled=labelled):
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
