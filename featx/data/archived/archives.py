"""Images in archives: the items of ZIP files, tar shards, and Parquet and Arrow tables."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from featx.archives import Archive, is_archive, is_image_table, open_archive
from featx.data.archived.image_rows import ImageRows, holds_images, image_rows, together
from featx.data.archived.shards import sample_rows
from featx.data.choice import (
    NONE,
    DataChoice,
    chosen_columns,
    labels_of,
    refuse_labels_of_folders,
    separator_of,
)
from featx.data.dataset import Item, first_few, readable
from featx.data.folders.kinds import is_image
from featx.data.folders.layouts import DEEPEST
from featx.data.folders.leftovers import is_own, is_system_folder
from featx.data.folders.scanning import reading, scan
from featx.data.folders.search import search_labelled
from featx.data.folders.splits import split_beside_train, split_mentioned, split_of_folder
from featx.data.listing import Listing
from featx.data.tables.columns import checked_names
from featx.data.tables.files import CSV_ENDINGS
from featx.data.tables.manifest import rows_of_table
from featx.errors import DataError, UsageError
from featx.files import is_file

log = logging.getLogger("featx")

# Whole archives that are compressed, whose members can only be read one after another, and what makes them others.
_PACKED = {
    **dict.fromkeys((".tar.gz", ".tgz"), "gunzip"),
    **dict.fromkeys((".tar.bz2", ".tbz2", ".tbz"), "bunzip2"),
    **dict.fromkeys((".tar.xz", ".txz"), "unxz"),
    **dict.fromkeys((".tar.zst", ".tzst"), "unzstd"),
}
_FOREIGN = {".7z": "7z x", ".rar": "unrar x"}
_NUMBER = re.compile(r"[-_. ]?\{?\d+(\.\.\d+\})?([-_ ]of[-_ ]\d+)?$")  # at the end of a shard's name


def archives_of(path: Path, choice: DataChoice) -> list[Path]:
    """Return the archives that a path stands for: the file itself, or those of a folder that holds nothing else.

    A Parquet file without images is none: it is a manifest. An archive beside images is none, either.

    Raises:
        DataError: The file is an archive of a kind that cannot be read, or a folder or a table in it cannot be read.
    """
    if is_file(path):
        _refuse_packed(path)
        return [path] if _holds_images(path, choice) else []
    if not path.is_dir():
        return []
    archives: list[Path] = []
    tables: list[str] = []
    pending = [(str(path), True)]
    while pending:
        folder, is_top = pending.pop()
        folders, files = scan(folder)
        if not is_top and is_own({entry.name for entry in (*folders, *files)}):
            continue
        if any(is_image(entry.name, entry.path) for entry in files):
            return []
        archives += [Path(entry.path) for entry in files if is_archive(Path(entry.path))]
        tables += [entry.name for entry in files if Path(entry.path).suffix.lower() in CSV_ENDINGS]
        inner = [entry for entry in folders if not is_system_folder(entry.name) and not Path(entry.path).is_symlink()]
        pending += [(entry.path, False) for entry in inner]
    for table in filter(is_image_table, archives):
        _opened(table)  # a damaged one is no manifest here, and must not be missed
    archives = sorted(archive for archive in archives if _holds_images(archive, choice))
    if archives and tables:
        text = "Tables beside archives were left out (%d): %s; give a table itself if it lists the images."
        log.warning(text, len(tables), first_few([readable(name) for name in tables]))
    return archives


def list_archives(
    archives: list[Path], listing: Listing, choice: DataChoice, *, split: str, root: Path | None = None
) -> None:
    """Add the images of archives to a listing; `split` is for those whose names and rows say none.

    The ids of images begin with the archive's path from `root`, or else as it is given. They have no labels that a
    manifest would not give them if `split` is "test".

    Raises:
        DataError: An archive cannot be read, or has no images.
        UsageError: Columns are chosen for archives without any.
    """
    names = [readable((path if root is None else path.relative_to(root)).as_posix()) for path in archives]
    splits = _splits(names, split) if len(archives) > 1 and split == "train" else dict.fromkeys(names, split)
    tables: dict[str, ImageRows] = {}
    for path, name in zip(archives, names, strict=True):
        if name not in splits:
            continue
        path = path.absolute()
        if is_image_table(path):
            rows: ImageRows | None = image_rows(path, choice.get("image_column"), choice.get("label_separator"))
        else:
            separator = choice.get("label_separator")
            rows = sample_rows(_opened(path), separator) if path.suffix.lower() == ".tar" else None
        if rows is None:
            _refuse_columns(path, choice)
            _list_folder(path, name, listing, splits[name], labels_of(choice) if split == "train" else None)
        else:
            refuse_labels_of_folders(choice, f"{path}, a table of images")
            tables[name] = rows
    if tables:
        place = archives[0] if len(archives) == 1 else archives[0].parent
        items, label_names = _items(place, tables, splits, choice, labelled=split == "train")
        listing.extend(items, label_names)


def _holds_images(path: Path, choice: DataChoice) -> bool:
    if not is_image_table(path):
        return is_archive(path)
    column = choice.get("image_column")
    # Whoever chooses a column of paths has a manifest.
    return choice.get("path_column") is None and holds_images(path, column)


def _opened(path: Path) -> Archive:
    """An open archive; notices say what of it cannot be read."""
    with reading(path):
        archive = open_archive(path)
    for reason, members in archive.left_out.items():
        shown = first_few([readable(name) for name in members])
        log.warning("In %s there are %s (%d): %s", path.name, reason, len(members), shown)
    return archive


def _refuse_packed(path: Path) -> None:
    name = path.name.lower()
    for ending, tool in _PACKED.items():
        if name.endswith(ending):
            raise DataError(
                f"Expected an archive whose members can be read in any order, found {path}, which is compressed as a "
                f"whole; run {tool} on it and give the .tar file."
            )
    for ending, tool in _FOREIGN.items():
        if name.endswith(ending):
            raise DataError(
                f"Expected a ZIP, tar, Parquet or Arrow file, found {path}; unpack it with {tool} and give the "
                "folder."
            )


def _refuse_columns(path: Path, choice: DataChoice) -> None:
    columns = {f"--{name}-column": column for name, column in chosen_columns(choice).items() if column != NONE}
    if (column := choice.get("image_column")) is not None:
        columns["--image-column"] = column
    for option, column in columns.items():
        raise UsageError(
            f"Expected no {option} with the folders of {path}, received {column!r}; leave it out, because it is for "
            "tables and for shards with .json members."
        )


def _splits(names: Sequence[str], split: str) -> dict[str, str]:
    """The split of each archive by its name, or else by the folders that it is in; without what is of no split.

    All are for `split` if none says a split.
    """
    said = _said(names, split_of_folder)
    mentioned = _said(names, split_mentioned)
    if "train" in said.values():
        said = _said(names, split_beside_train)
    elif "train" in mentioned.values():
        said = mentioned
    if not said:
        if mentioned:
            text = "Archives with the name of a split (%d) are for training, because none is named train: %s"
            log.warning(text, len(mentioned), first_few(list(mentioned)))
        return dict.fromkeys(names, split)
    if "train" not in said.values():
        raise DataError(
            f"Expected archives for training beside {first_few(list(said))}, found none; name them train-0000, "
            "train-0001 and so on, or give one archive."
        )
    if others := [name for name in names if name not in said]:
        log.warning("Archives beside those for training were left out (%d): %s", len(others), first_few(others))
    return said


def _said(names: Sequence[str], split_of: Callable[[str], str | None]) -> dict[str, str]:
    """The splits that a rule finds in the names of archives."""
    return {name: part for name in names if (part := _split_of(name, split_of))}


def _split_of(name: str, split_of: Callable[[str], str | None]) -> str | None:
    *folders, file = name.split("/")
    stem = _NUMBER.sub("", file.rpartition(".")[0])
    parts = [stem, *reversed(folders)]
    return next((split for part in parts if (split := split_of(part))), None)


def _list_folder(
    path: Path, name: str, listing: Listing, split: str, labels: Literal["auto", "folder", "none"] | None
) -> None:
    """Add the images of an archive that is like a folder; no label is looked for if `labels` is None."""
    archive = _opened(path)
    if not len(archive):
        raise DataError(f"Expected images in {path}, found an empty archive.")
    inner = Listing()
    root, prefix = _root(path, name)
    if inner_archives := [member for member in archive if is_archive(Path(member))]:
        text = "Archives in %s are not read (%d: %s); unpack it to read them."
        log.warning(text, path.name, len(inner_archives), first_few([readable(each) for each in inner_archives]))
    if labels is not None:
        search_labelled(root, inner, labels)
    elif not inner.add(sorted(inner.files(str(root), "", top=True), key=lambda file: file[1]), None, split):
        raise DataError(f"Expected images in {path}, found none among {len(archive)} members.")
    listing.extend(
        [
            Item(prefix + item.id, item.path, item.label, item.split if split == "train" else split)
            for item in inner.items
        ]
    )
    listing.outside += [replace(item, id=prefix + item.id) for item in inner.outside]
    for other, mine in ((inner.others, listing.others), (inner.loose, listing.loose), (inner.empty, listing.empty)):
        mine += [prefix + each for each in other]
    listing.skipped.update(dict.fromkeys(prefix + each for each in inner.skipped))
    listing.own.update(dict.fromkeys(prefix + each for each in inner.own))
    listing.unlabelled_because = listing.unlabelled_because or inner.unlabelled_because


def _root(path: Path, name: str) -> tuple[Path, str]:
    """The folder in an archive that has the data, as people pack a folder with the folder itself, and its id."""
    root, prefix = str(path), f"{name}/"
    for _ in range(DEEPEST):
        folders, files = scan(root)
        folders = [folder for folder in folders if not is_system_folder(folder.name)]
        if len(folders) != 1 or split_of_folder(folders[0].name):
            break
        below, _ = scan(folders[0].path)
        if not below or any(is_image(file.name, file.path) for file in files):
            break
        root, prefix = folders[0].path, f"{prefix}{readable(folders[0].name)}/"
    return Path(root), prefix


def _items(
    place: Path, tables: dict[str, ImageRows], splits: dict[str, str], choice: DataChoice, *, labelled: bool
) -> tuple[list[Item], tuple[str, ...]]:
    """The images of tables, and what their targets are of; columns mean what those of a manifest do."""
    chosen = chosen_columns(choice) if labelled else {}
    names = list(tables)
    table = together(place, [rows.table for rows in tables.values()], names.__getitem__)
    columns = checked_names(place, table.column_names, labelled, chosen)
    table = table.rename_columns(columns).select([name for name in columns if name])
    listed = rows_of_table(place, table, labelled, chosen, separator_of(choice), first=0)
    origins = [(name, path) for name, rows in tables.items() for path in rows.paths]
    items = []
    for row, (name, path) in zip(listed, origins, strict=True):
        prefix = name.rpartition("/")[0]
        full = f"{prefix}/{row.path}" if prefix and not Path(row.path).is_absolute() else row.path
        split = row.split or splits[name]
        items.append(Item(full, path, row.label, split, row.group, row.extra, targets=row.targets))
    return items, listed[0].names
