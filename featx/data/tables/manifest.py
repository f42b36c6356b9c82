"""CSV and Parquet manifests: tables that list images."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.data.folders.splits import is_unclear_split, split_of_cell
from featx.data.tables.columns import HIDDEN, TEXT_COLUMNS, notice_no_labels, with_split_and_group
from featx.data.tables.files import FRAME, PARQUET_ENDINGS, read_table, table_of_frame, text_of_cell
from featx.data.tables.multilabel import Targets, label_of_column, targets_of_cells, targets_of_columns
from featx.errors import DataError, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_CELL = 10_000  # letters of a path, label or group; paths are shorter on every system

log = logging.getLogger("featx")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a manifest; None stands for an empty cell or an absent column."""

    number: int  # in a CSV file the header is row 1 and blank lines do not count; in Parquet the first row is row 1
    path: str  # as written, never empty
    label: str | None  # in Unicode NFC, without surrounding spaces
    split: str | None  # "train", "val" or "test"
    group: str | None
    extra: dict[str, Any]  # all other named columns as plain Python values
    targets: Targets | None = None  # of several labels: 1, 0 or NaN for each of `names`; then `label` is None
    names: tuple[str, ...] = ()  # the labels, sorted; the same in each row of a table


def read_manifest(
    manifest: Path,
    *,
    labelled: bool = True,
    chosen: Mapping[str, str] | None = None,
    separator: str | None = None,
) -> list[Row]:
    """Read the rows of a manifest, in the order of the file; the images are not opened.

    A CSV file is in UTF-8, with or without a byte order mark, and separated by comma, semicolon or tab. The columns
    `path`, `label`, `split` and `group` are read as text, so that the label 01 stays 01 in a CSV file. Numbers in a
    Parquet file become text as people write them: 1 and 1.0 become "1". If `labelled`, other columns are recognised
    as splits and groups. Columns with other names are used as `checked_names` and `with_split_and_group` say;
    `chosen` has those that are chosen, see `chosen_columns`. `separator` is between the labels of a cell, see
    `targets_of_cells`.
    """
    is_parquet = manifest.suffix.lower() in PARQUET_ENDINGS
    table = read_table(manifest, labelled, chosen or {})
    return rows_of_table(manifest, table, labelled, chosen or {}, separator, first=1 if is_parquet else 2)


def read_frame(
    frame: Any, *, labelled: bool = True, chosen: Mapping[str, str] | None = None, separator: str | None = None
) -> list[Row]:
    """Read the rows of a data frame of pandas, polars or PyArrow as those of a Parquet file, see `read_manifest`.

    The first row is row 0 in messages, as in pandas' `iloc`.
    """
    table = table_of_frame(frame, labelled, chosen or {})
    return rows_of_table(FRAME, table, labelled, chosen or {}, separator, first=0)


def rows_of_table(
    manifest: Path, table: pa.Table, labelled: bool, chosen: Mapping[str, str], separator: str | None, *, first: int
) -> list[Row]:
    """Return the rows of a table; the first one has the number `first` in messages."""
    if table.num_rows == 0:
        raise DataError(f"Expected a row for each image in {manifest}, found no rows.")
    if labelled:  # where labels do not matter, splits and groups do not either
        notice_no_labels(manifest, table, chosen)
        table = with_split_and_group(manifest, table, chosen)
    marks = [name for name in table.column_names if label_of_column(name) is not None and not name.endswith(HIDDEN)]
    others = [name for name in table.column_names if name not in (*TEXT_COLUMNS, *marks)]
    cells = zip(*(_text_column(table, name) for name in TEXT_COLUMNS), strict=True)
    extras = _plain_values(manifest, table, others)
    rows = []
    for number, ((path, label, split, group), extra) in enumerate(zip(cells, extras, strict=True), start=first):
        _check_cells(manifest, number, path, label, group)
        if "split" in table.column_names:
            split = _known_split(manifest, number, split)
        rows.append(Row(number, path, label, split, group, extra))
    columns = {str(label_of_column(name)): _text_column(table, name) for name in marks}
    return _with_targets(manifest, rows, columns, separator)


def _with_targets(
    manifest: Path, rows: list[Row], columns: Mapping[str, Sequence[str | None]], separator: str | None
) -> list[Row]:
    """The rows with the targets that columns for one label each, or cells that name several labels, give them."""
    if columns:
        names, targets = targets_of_columns(str(manifest), columns, rows[0].number)
    elif several := targets_of_cells([row.label for row in rows], separator):
        names, targets = several
    else:
        return rows
    return [replace(row, label=None, targets=marks, names=names) for row, marks in zip(rows, targets, strict=True)]


def _plain_values(manifest: Path, table: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of some columns as plain Python values."""
    columns = {}
    for name in names:
        try:
            columns[name] = table[name].to_pylist()
        except (OverflowError, ValueError) as error:
            raise DataError(
                f"Column {name} of {manifest} has values that Python cannot hold ({reason_of(error)}); save it as "
                "text."
            ) from error
    # A column of which another has the meaning keeps its own name.
    columns = {name.removesuffix(HIDDEN): values for name, values in columns.items()}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)] or [
        {} for _ in range(table.num_rows)
    ]


def _text_column(table: pa.Table, name: str) -> list[str | None]:
    """A column's cells as text; None for an empty cell, and for all if the table has no such column."""
    if name not in table.column_names:
        return [None] * table.num_rows
    texts = [text_of_cell(value) for value in table[name].to_pylist()]
    return texts if name == "path" else [text and unicodedata.normalize("NFC", text).strip() for text in texts]


def _check_cells(manifest: Path, number: int, path: str | None, label: str | None, group: str | None) -> None:
    if path is None:
        raise DataError(f"Row {number} of {manifest} has no path; fill in the cell or remove the row.")
    for name, text in (("path", path), ("label", label), ("group", group)):
        if len((text or "").strip().splitlines()) > 1:
            raise DataError(f"Row {number} of {manifest} has a {name} of several lines; write it on one line.")
        if len(text or "") > LONGEST_CELL:
            raise DataError(
                f"Row {number} of {manifest} has a {name} of {len(text or '')} letters; check the column."
            )
        if "\0" in (text or ""):
            raise DataError(f"Row {number} of {manifest} has a {name} with a null character; remove it.")


def _known_split(manifest: Path, number: int, split: str | None) -> str:
    known = split_of_cell(split or "")
    if known is None:
        advice = "correct it, or remove the column"
        if split and is_unclear_split(split):
            advice = "write val if these images are for choosing among heads, test if they are for the final result"
        elif split:
            advice = "write these names, or remove the column"
        raise DataError(
            f"Expected train, val or test as split in row {number} of {manifest}, found "
            f"{split or 'an empty cell'}; {advice}."
        )
    return known
