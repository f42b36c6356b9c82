"""Images on disk: a folder or a manifest becomes the sorted items of a data set; no image is opened here."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from featx.data.dataset import SPLITS, Dataset, Item, first_few
from featx.data.folders import Found, is_folder, readable, search_labelled, search_unlabelled
from featx.data.manifest import Row, is_manifest, read_manifest
from featx.errors import DataError

_log = logging.getLogger("featx")


def read_data(data: Path, *, missing: Literal["fail", "keep"] = "fail") -> Dataset:
    """Reads which images a labelled data set has.

    Args:
        data: A folder with `train/<class>/*` and optionally `val/` and `test/`; or a folder with
            `<class>/*`, all of it for training; or a manifest (see `featx.manifest.read_manifest`), for
            training where it has no column `split`, with relative paths that start at its folder.
        missing: Whether files that a manifest lists and the disk lacks end the reading or stay in the data
            set, for whoever opens them to deal with.

    Raises:
        DataError: The data do not exist, cannot be read or are laid out in another way.
    """
    found = Found()
    root = data.absolute()
    if is_folder(root):
        search_labelled(root, found)
    elif is_manifest(root):
        found.items += _listed(root, "train", missing, labelled=True)
        root = root.parent
    else:
        raise DataError(
            f"Expected a folder or a manifest (.csv, .tsv, .parquet, .pq), found the file {data}; "
            "give the folder with the images or save the table in one of these formats."
        )
    return _dataset(root, found)


def read_paths(paths: Sequence[Path], *, missing: Literal["fail", "keep"] = "fail") -> Dataset:
    """Reads which images are meant by files, folders and manifests; labels are not needed.

    An image is in split "test" and has no label unless a manifest says otherwise. Its id begins with the
    path given. An image met twice is taken once, with its label if one of the two has it.

    Args:
        paths: Files of any ending, folders searched at any depth, and manifests with or without labels.
        missing: As in `read_data`.

    Raises:
        DataError: A path does not exist, a folder holds no image, a manifest cannot be read, or one name
            stands for two images.
    """
    found = Found()
    for path in paths:
        if is_folder(path):
            search_unlabelled(path, found)
        elif is_manifest(path):
            found.items += _listed(path.absolute(), "test", missing, labelled=False)
        else:
            found.items.append(Item(readable(path.as_posix()), path.absolute(), None, "test"))
    # Labelled items come last, so that they win over the same images met without a label.
    found.items.sort(key=lambda item: (item.label or "", item.id))
    found.items = list({item.path: item for item in found.items}.values())
    by_id: dict[str, Item] = {}
    for item in found.items:
        if by_id.setdefault(item.id, item) is not item:
            raise DataError(f"{item.id} stands for both {by_id[item.id].path} and {item.path}; give one of them.")
    return _dataset(Path().absolute(), found)


def _dataset(root: Path, found: Found) -> Dataset:
    """Brings what was found into its order and tells what was left out."""
    others, loose = found.others, found.loose
    if len(others) == 1:
        _log.info("1 file is not an image by its ending and was left out: %s", others[0])
    elif others:
        text = "%d files are not images by their ending and were left out: %s"
        _log.info(text, len(others), first_few(others))
    if loose:
        _log.warning("Images outside of class folders were left out (%d): %s", len(loose), first_few(loose))
    items = sorted(found.items, key=lambda item: (SPLITS.index(item.split), item.id))
    classes = sorted({item.label for item in items if item.label is not None})
    return Dataset(root, tuple(items), tuple(classes), tuple(sorted(others)))


def _listed(manifest: Path, split: str, missing: str, *, labelled: bool) -> list[Item]:
    """The images of a manifest, each once; `split` is for manifests without such a column."""
    folder = manifest.parent
    rows: dict[Path, Row] = {}
    absent = []
    for row in read_manifest(manifest, labelled=labelled):
        path = _on_disk(folder, row.path)
        if path is None:
            path = folder / row.path
            absent.append(row.path)
        first = rows.setdefault(path, row)
        if (first.label, first.split, first.group) != (row.label, row.split, row.group):
            raise DataError(
                f"Rows {first.number} and {row.number} of {manifest} both list {row.path}, with different "
                "labels, splits or groups; keep the right one."
            )
    if absent and missing == "fail":
        raise DataError(
            f"Expected all images that {manifest} lists, found {len(absent)} missing ({first_few(absent)}); "
            f"correct the paths, where relative ones start at {folder}, or remove the rows."
        )
    return [Item(row.path, path, row.label, row.split or split, row.group, row.extra) for path, row in rows.items()]


def _on_disk(folder: Path, written: str) -> Path | None:
    """The file for a path as written, None if there is none.

    The same accented name can be spelled in two ways in Unicode: a Mac's archives use the decomposed one.
    """
    for spelling in dict.fromkeys((written, *(unicodedata.normalize(form, written) for form in ("NFC", "NFD")))):
        path = folder / spelling
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue
        except OSError:  # the file may be there: opening it will say what is wrong
            pass
        return path
    return None
