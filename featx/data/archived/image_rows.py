"""The rows of tables that hold the bytes of images, with the names of classes that the library `datasets` writes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.archives import FILE, IMAGE_NAMES, ImageTable, open_archive
from featx.data.choice import NONE
from featx.data.dataset import first_few
from featx.data.tables.columns import OTHER_NAMES
from featx.data.tables.files import MAX_BYTES, MAX_CELLS, bytes_unpacked, is_manifest
from featx.errors import DataError, reason_of
from featx.files import is_file
from featx.text import LABEL_SEPARATOR

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("featx")

FORMER_PATH = "image_path"  # the column of the files that the images had


@dataclass(frozen=True)
class ImageRows:
    """Images that a table lists.

    Attributes:
        table: Their columns without the images; `path` has what the ids of the images end in.
        paths: (n,) where the bytes of each image are.
    """

    table: pa.Table
    paths: list[Path]


def holds_images(path: Path, image_column: str | None) -> bool:
    """Tell whether a table holds the bytes of images, and is no manifest; `image_column` is the one that is chosen.

    A column of bytes beside a column of paths may be anything, unless it is named like images.

    Raises:
        DataError: Its rows hold lists of images.
    """
    with suppress(OSError):  # whoever reads it says what is wrong
        table = open_archive(path)
        if not isinstance(table, ImageTable):
            return False
        names = {name.strip().lower().replace("_", "").replace(" ", "") for name in table.schema.names}
        has_paths = not names.isdisjoint(("path", *OTHER_NAMES["path"][0]))
        lists = [] if has_paths or table.image_columns else table.image_lists
        if lists and image_column is None:
            raise DataError(
                f"Expected one image in each row of {path}, found lists of images in column {first_few(lists)}; save "
                "a row for each image."
            )
        column = table.image_column
        is_plain = column is not None and (table.is_record(column) or column.lower() in IMAGE_NAMES)
        return bool(table.image_columns) and (is_plain or not has_paths or image_column in table.image_columns)
    return not is_manifest(path)


def image_rows(path: Path, image_column: str | None, separator: str | None = None) -> ImageRows:
    """Return the rows of a table with images; `separator` stands between the labels of a row that has a list of them.

    Raises:
        DataError: It cannot be read, has no such column, several of which none is chosen, or more than fits.
    """
    import pyarrow as pa

    try:
        table = open_archive(path)
        if not isinstance(table, ImageTable):
            raise DataError(f"Expected a table with images, found {path}; give a Parquet or Arrow file.")
        column = _column(path, table, image_column)
        plain = _plain_columns(path, table, column, LABEL_SEPARATOR if separator in (None, NONE) else separator)
        files = _files(table, column)
        beside = _beside(path.parent, table, column, files)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"The table {path} cannot be read ({reason_of(error)}); save it again.") from error
    names = [table.row_name(row, column) for row in range(table.rows)]
    paths = [path / name for name in names]
    places = [f"{path.name}/{name}" for name in names]
    for row, file in beside.items():
        paths[row], places[row] = path.parent / file, file
    return ImageRows(_with_paths(plain, places, files), paths)


def _column(path: Path, table: ImageTable, chosen: str | None) -> str:
    """The column of the images."""
    if chosen is not None and chosen not in table.image_columns:
        raise DataError(
            f"Expected the column {chosen} of bytes in {path}, found {first_few(table.image_columns) or 'none'}; "
            "choose another --image-column."
        )
    column = chosen or table.image_column
    if column is None:
        raise DataError(
            f"Expected one column of images in {path}, found {first_few(table.image_columns)}; choose with "
            "--image-column."
        )
    return column


def _plain_columns(path: Path, table: ImageTable, column: str, separator: str) -> pa.Table:
    """The columns of texts, numbers and times; classes have their names, lists of labels are one text."""
    import pyarrow as pa

    classes = _class_names(table.schema)
    fields = [field for field in table.schema if field.name and field.name not in table.image_columns]
    lists = [field.name for field in fields if _is_list_of_labels(field.type, classes.get(field.name))]
    kept = [field.name for field in fields if field.name in lists or not _is_other(field.type)]
    left_out = [name for name in table.schema.names if name not in (*kept, column)]
    if left_out:
        log.info("Columns of lists, records or bytes in %s were left out: %s", path.name, first_few(left_out))
    if table.rows * len(kept) > MAX_CELLS:
        raise DataError(
            f"Expected at most {MAX_CELLS:,} cells beside the images of {path}, found more; drop columns."
        )
    if not kept:
        return pa.table({})
    batches, size = [], 0
    for batch in table.batches(kept):
        batches.append(batch)
        size += sum(map(bytes_unpacked, batch.columns))
        if size > MAX_BYTES:
            raise DataError(
                f"Expected at most {MAX_BYTES // 2**20} MiB beside images, found more in {path}; drop columns."
            )
    plain = pa.Table.from_batches(batches) if batches else table.schema.empty_table().select(kept)
    plain.validate(full=True)  # Parquet's texts need not be UTF-8
    columns = {name: plain[name] for name in kept}
    for name in kept:
        names = classes.get(name)
        if name in lists:
            columns[name] = _joined(columns[name].to_pylist(), names, separator)
        elif names is not None:
            columns[name] = pa.array(_named(columns[name].to_pylist(), names), pa.string())
        else:
            columns[name] = _plain(columns[name])
    return pa.table(_with_label(columns, classes))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of plain texts instead of categories, or of the texts of polars, which PyArrow can do less with."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string_view(kind):
        return pa.chunked_array([pa.array(column.to_pylist(), pa.string())])
    return column if kind == column.type else column.cast(kind)


def _with_label(columns: dict[str, Any], classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The columns, of which the only one of classes is `label` if none is named like that."""
    known = {"label", *OTHER_NAMES["label"][0]}
    typed = [name for name in columns if name in classes]
    if len(typed) != 1 or any(name.lower().replace("_", "") in known for name in columns):
        return columns
    log.info("Column %s has the classes; choose another with --label-column.", typed[0])
    return {"label" if name == typed[0] else name: cells for name, cells in columns.items()}


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of classes that numbers in a column stand for, from what the library `datasets` adds to a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        items = list(features.items())
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    names = {}
    for column, feature in items:
        inner = feature[0] if isinstance(feature, list) and len(feature) == 1 else feature
        inner = inner.get("feature", inner) if isinstance(inner, dict) else {}
        listed = inner.get("names") if isinstance(inner, dict) else None
        if isinstance(listed, list) and listed and all(isinstance(name, str) for name in listed):
            names[str(column)] = listed
    return names


def _named(numbers: Sequence[Any], names: Sequence[str]) -> list[str | None]:
    """The names of classes; those without a number, or with -1, have none, and other numbers stay as they are."""
    lookup: dict[Any, str | None] = {None: None, -1: None, **dict(enumerate(names))}
    return [lookup[number] if number in lookup else str(number) for number in numbers]


def _joined(cells: Sequence[Any], names: Sequence[str] | None, separator: str) -> pa.Array:
    import pyarrow as pa

    lists = [cell and [part for part in (_named(cell, names) if names else cell) if part] for cell in cells]
    return pa.array([None if parts is None else separator.join(parts) for parts in lists], pa.string())


def _is_list_of_labels(kind: pa.DataType, names: Sequence[str] | None) -> bool:
    import pyarrow as pa

    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    inner = kind.value_type
    return bool(pa.types.is_string(inner) or (names is not None and pa.types.is_integer(inner)))


def _is_other(kind: pa.DataType) -> bool:
    """Whether a column is neither of text nor of numbers or times."""
    import pyarrow as pa

    return bool(pa.types.is_nested(kind) or "binary" in str(kind) or isinstance(kind, pa.BaseExtensionType))


def _files(table: ImageTable, column: str) -> list[str | None] | None:
    """The names of the files that the images had, if any has one."""
    if not table.has_files(column):
        return None
    files: list[str | None] = []
    for batch in table.batches([f"{column}.{FILE}"]):
        files += [None if record is None else record[FILE] for record in batch.column(0).to_pylist()]
    return files if any(files) else None


def _beside(folder: Path, table: ImageTable, column: str, files: Sequence[str | None] | None) -> dict[int, str]:
    """The files, by the row, whose bytes are not in the table, but in a file at the place that it names."""
    there = {row: file for row, file in enumerate(files or ()) if file and is_file(folder / file)}
    # Only where such files are, all images are read to see which have no bytes.
    empty = (row for row, is_empty in enumerate(table.is_empty(column)) if is_empty) if there else ()
    return {row: there[row] for row in empty if row in there}


def _with_paths(plain: pa.Table, places: Sequence[str], files: Sequence[str | None] | None) -> pa.Table:
    """The columns with the places of the images as `path`; a column of this name becomes `FORMER_PATH`."""
    import pyarrow as pa

    columns = {name: plain[name] for name in plain.column_names}
    for name in [name for name in columns if name.strip().lower() == "path"]:
        columns.setdefault(FORMER_PATH, columns[name])
        del columns[name]
    if files is not None:
        columns.setdefault(FORMER_PATH, pa.array(files, pa.string()))
    return pa.table({"path": pa.array(places, pa.string()), **columns})


def together(place: Path, tables: Sequence[pa.Table], name: Callable[[int], str]) -> pa.Table:
    """Return tables one below the other; a column that one does not have is empty there.

    Raises:
        DataError: A column has other values in one than in another; `name` says which table that is.
    """
    import pyarrow as pa

    whole = tables[0]
    for number, table in enumerate(tables[1:], 1):
        try:
            whole = pa.concat_tables([whole, table], promote_options="permissive")
        except pa.ArrowException as error:
            raise DataError(
                f"Expected the same kinds of columns in all tables of {place}, but {name(number)} differs "
                f"({reason_of(error)}); give the tables one by one."
            ) from error
    return whole
