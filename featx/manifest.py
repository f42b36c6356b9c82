"""Manifests: a CSV or Parquet table that lists images, with their labels and whatever else is known."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import DataError
from featx.manifest_columns import TEXT_COLUMNS, checked_names, text_column
from featx.manifest_csv import read_csv

if TYPE_CHECKING:
    import pyarrow as pa

SPLIT_NAMES = (
    dict.fromkeys(("train", "training"), "train")
    | dict.fromkeys(("val", "valid", "validation"), "val")
    | dict.fromkeys(("test", "testing"), "test")
)
"""What people call a split, in lower case, and what featx calls it."""

_CSV_ENDINGS = (".csv", ".tsv")
_PARQUET_ENDINGS = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a manifest.

    Attributes:
        number: The row's number: in a CSV file the header is row 1 and blank lines do not count, in a
            Parquet file the first row is row 1.
        path: The image's path as written, never empty.
        label: The class in Unicode NFC without surrounding spaces, None if the cell is empty.
        split: "train", "val" or "test", None if the manifest has no column `split`.
        group: What ties images together, such as a patient; None if unknown.
        extra: All other named columns as plain Python values.
    """

    number: int
    path: str
    label: str | None
    split: str | None
    group: str | None
    extra: dict[str, Any]


def is_manifest(path: Path) -> bool:
    """Says whether a file is a manifest by its ending: .csv, .tsv, .parquet or .pq, in any case."""
    return path.suffix.lower() in _CSV_ENDINGS + _PARQUET_ENDINGS


def read_manifest(manifest: Path, *, labelled: bool = True) -> list[Row]:
    """Reads a manifest's rows in the order of the file; the images themselves are not looked at.

    A CSV file is UTF-8 with or without a byte order mark, separated by comma, semicolon or tab. The columns
    `path`, `label`, `split` and `group` are read as text, so that the label 01 stays 01 in a CSV file;
    numbers in a Parquet file become text as people write them (1, and 1.0 too, become "1").

    Args:
        manifest: A file for which `is_manifest` is true.
        labelled: Whether each row must have a label.

    Raises:
        DataError: The file cannot be read as such a table, lacks a column or a row, or a cell of it is
            empty or not valid.
    """
    is_parquet = manifest.suffix.lower() in _PARQUET_ENDINGS
    table = _read_table(manifest, labelled, is_parquet)
    if table.num_rows == 0:
        raise DataError(f"Expected a row for each image in {manifest}, found no rows.")
    others = [name for name in table.column_names if name not in TEXT_COLUMNS]
    cells = zip(*(text_column(manifest, table, name) for name in TEXT_COLUMNS), strict=True)
    extras = table.select(others).to_pylist()
    numbered = enumerate(zip(cells, extras, strict=True), start=1 if is_parquet else 2)
    rows = []
    for number, ((path, label, split, group), extra) in numbered:
        _check_cells(manifest, number, path, label, group, labelled)
        if "split" in table.column_names:
            split = _known_split(manifest, number, split)
        rows.append(Row(number, path, label, split, group, extra))
    return rows


def _read_table(manifest: Path, labelled: bool, is_parquet: bool) -> pa.Table:
    import pyarrow as pa

    try:
        table = _read_parquet(manifest, labelled) if is_parquet else read_csv(manifest, labelled)
    except pa.ArrowInvalid as error:
        kind = "Parquet" if is_parquet else "CSV"
        raise DataError(f"The manifest {manifest} is not valid {kind} ({_first_line(error)}).") from error
    except (OSError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or _first_line(error)
        raise DataError(f"The manifest {manifest} cannot be read ({reason}); check the file.") from error
    return _without_nanoseconds(table)


def _read_parquet(manifest: Path, labelled: bool) -> pa.Table:
    from pyarrow import parquet

    with parquet.ParquetFile(manifest) as file:
        table = file.read()
    names = checked_names(manifest, table.column_names, labelled)
    return table.rename_columns(names).select([name for name in names if name])


def _without_nanoseconds(table: pa.Table) -> pa.Table:
    """The table with its times in microseconds, which is as fine as Python's own go."""
    import pyarrow as pa

    fields = []
    for field in table.schema:
        if field.type == pa.duration("ns"):
            field = field.with_type(pa.duration("us"))
        elif pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            field = field.with_type(pa.timestamp("us", field.type.tz))
        fields.append(field)
    return table.cast(pa.schema(fields), safe=False)


def _check_cells(
    manifest: Path, number: int, path: str | None, label: str | None, group: str | None, labelled: bool
) -> None:
    if path is None:
        raise DataError(f"Row {number} of {manifest} has no path; fill in the cell or remove the row.")
    if label is None and labelled:
        raise DataError(f"Row {number} of {manifest} ({path}) has no label; fill in the cell or remove it.")
    for name, text in (("path", path), ("label", label), ("group", group)):
        if "\n" in (text or ""):
            raise DataError(f"Row {number} of {manifest} spreads its {name} over lines; put it on one.")


def _known_split(manifest: Path, number: int, split: str | None) -> str:
    known = SPLIT_NAMES.get((split or "").casefold())
    if known is None:
        raise DataError(
            f"Expected train, val or test as split in row {number} of {manifest}, found "
            f"{split or 'an empty cell'}; correct it, or remove the column."
        )
    return known


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
