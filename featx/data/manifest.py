"""CSV and Parquet manifests: tables that list images."""

from __future__ import annotations

import csv
import difflib
import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import DataError, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_COLUMNS = ("path", "label", "split", "group")  # the columns that featx uses; all are read as text
OTHER_NAMES = {
    "path": ("file", "filename", "filepath", "image", "imagepath", "img"),
    "label": ("labels", "class", "category", "target", "diagnosis"),
}
SPLIT_NAMES = (  # what people call a split, in lower case, and what featx calls it
    dict.fromkeys(("train", "training"), "train")
    | dict.fromkeys(("val", "valid", "validation"), "val")
    | dict.fromkeys(("test", "testing"), "test")
)
CSV_ENDINGS = (".csv", ".tsv")
PARQUET_ENDINGS = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a manifest; None stands for an empty cell or an absent column."""

    number: int  # in a CSV file the header is row 1 and blank lines do not count; in Parquet the first row is row 1
    path: str  # as written, never empty
    label: str | None  # in Unicode NFC, without surrounding spaces
    split: str | None  # "train", "val" or "test"
    group: str | None
    extra: dict[str, Any]  # all other named columns as plain Python values


def is_manifest(path: Path) -> bool:
    """Tell whether a file is a manifest, by its ending: .csv, .tsv, .parquet or .pq, in any case."""
    return path.suffix.lower() in CSV_ENDINGS + PARQUET_ENDINGS


def read_manifest(manifest: Path, *, labelled: bool = True) -> list[Row]:
    """Read the rows of a manifest, in the order of the file; the images are not opened.

    A CSV file is in UTF-8, with or without a byte order mark, and separated by comma, semicolon or tab. The columns
    `path`, `label`, `split` and `group` are read as text, so that the label 01 stays 01 in a CSV file. Numbers in a
    Parquet file become text as people write them: 1 and 1.0 become "1". If `labelled`, each row must have a label.
    """
    is_parquet = manifest.suffix.lower() in PARQUET_ENDINGS
    table = _read_table(manifest, labelled, is_parquet)
    if table.num_rows == 0:
        raise DataError(f"Expected a row for each image in {manifest}, found no rows.")
    others = [name for name in table.column_names if name not in TEXT_COLUMNS]
    cells = zip(*(_text_column(manifest, table, name) for name in TEXT_COLUMNS), strict=True)
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
        table = _read_parquet(manifest, labelled) if is_parquet else _read_csv(manifest, labelled)
    except pa.ArrowInvalid as error:
        kind = "Parquet" if is_parquet else "CSV"
        raise DataError(
            f"The manifest {manifest} is not valid {kind} ({reason_of(error)}); save it again."
        ) from error
    except (OSError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or reason_of(error)
        raise DataError(f"The manifest {manifest} cannot be read ({reason}); check the file.") from error
    return _without_nanoseconds(table)


def _read_parquet(manifest: Path, labelled: bool) -> pa.Table:
    from pyarrow import parquet

    with parquet.ParquetFile(manifest) as file:
        table = file.read()
    names = _checked_names(manifest, table.column_names, labelled)
    return table.rename_columns(names).select([name for name in names if name])


def _read_csv(manifest: Path, labelled: bool) -> pa.Table:
    """The named columns of a CSV file with a header, those of `TEXT_COLUMNS` as text."""
    header, body = _header_and_body(manifest)
    delimiter = _delimiter(header)
    names = _checked_names(manifest, _header_names(header, delimiter), labelled)
    _check_quotes(manifest, body, delimiter)
    return _parsed(manifest, body, delimiter, names)


def _header_and_body(manifest: Path) -> tuple[str, str]:
    raw = manifest.read_bytes()
    try:
        text = raw.decode("utf-8-sig").lstrip("\r\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"Expected UTF-8 text in {manifest}, found other bytes in line {line}; save it as CSV in UTF-8."
        ) from error
    stream = io.StringIO(text, newline="")  # lines may end in \n, \r\n or \r
    header, body = stream.readline(), stream.read()
    if not body.strip():
        found = "no rows" if header.strip() else "an empty file"
        raise DataError(f"Expected a header and a row for each image in {manifest}, found {found}.")
    return header, body


def _delimiter(header: str) -> str:
    """The separator that gives the most known columns in the header, then the most columns."""
    known = set(TEXT_COLUMNS)
    return max(",;\t", key=lambda one: (len(known.intersection(_header_names(header, one))), header.count(one)))


def _header_names(header: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([header.strip("\r\n")], delimiter=delimiter))]


def _check_quotes(manifest: Path, body: str, delimiter: str) -> None:
    """Refuse a quote that is not closed at the end of its cell, because Arrow would read the rows after it as text.

    Such a quote ends at the end of the file, or at the opening quote of a later cell, where no separator follows.
    Python's strict reader fails on both.
    """
    number = 1  # of the header; blank lines do not count
    try:
        for cells in csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True):
            number += bool(cells)
    except csv.Error as error:
        raise DataError(
            f"Row {number + 1} of {manifest} has a quoted cell without a clear end ({error}); close its quotes, "
            "and write a quote within quotes twice."
        ) from error


def _parsed(manifest: Path, body: str, delimiter: str, names: list[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    ragged: list[Any] = []

    def set_aside(row: Any) -> str:
        ragged.append(row)
        return "skip"

    text = dict.fromkeys(TEXT_COLUMNS, pa.string())
    table = arrow_csv.read_csv(
        pa.BufferReader(body.encode()),
        arrow_csv.ReadOptions(column_names=names, use_threads=False),  # threads lose the row's number
        arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=set_aside),
        arrow_csv.ConvertOptions(column_types=text, include_columns=list(filter(None, names))),
    )
    if ragged:
        raise DataError(
            f"Row {ragged[0].number + 1} of {manifest} has {ragged[0].actual_columns} cells where the header "
            f"has {ragged[0].expected_columns}; correct it, and quote a cell that holds {delimiter!r}."
        )
    return table


def _without_nanoseconds(table: pa.Table) -> pa.Table:
    """The table with its times in microseconds, the finest unit of Python's own types."""
    import pyarrow as pa

    fields = []
    for field in table.schema:
        if field.type == pa.duration("ns"):
            field = field.with_type(pa.duration("us"))
        elif pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            field = field.with_type(pa.timestamp("us", field.type.tz))
        fields.append(field)
    return table.cast(pa.schema(fields), safe=False)


def _checked_names(manifest: Path, names: Sequence[str], labelled: bool) -> list[str]:
    """Column names without surrounding spaces; a column with an empty name is left out later."""
    names = [name.strip() for name in names]
    required = ["path", "label"] if labelled else ["path"]
    columns = [name for name in names if name]
    missing = [name for name in required if name not in columns]
    if missing:
        hints = [f"did you mean {like} for {name}?" for name in missing for like in _lookalikes(name, columns)]
        raise DataError(
            f"Expected column{'s' * labelled} {' and '.join(required)} in {manifest}, found "
            f"{', '.join(columns)}; {' '.join(hints) or 'add or rename ' + ' and '.join(missing) + '.'}"
        )
    if len(set(columns)) < len(columns):
        raise DataError(
            f"Expected each column of {manifest} once, found {', '.join(columns)}; rename those that are there twice."
        )
    return names


def _lookalikes(wanted: str, columns: Sequence[str]) -> list[str]:
    """The column that a user may have meant by a required name; at most one."""
    plain = {name.casefold().replace("_", ""): name for name in columns if name not in TEXT_COLUMNS}
    for name in (wanted, *OTHER_NAMES[wanted]):
        for close in difflib.get_close_matches(name, list(plain), n=1, cutoff=0.75):
            return [plain[close]]
    return []


def _text_column(manifest: Path, table: pa.Table, name: str) -> list[str | None]:
    """A column's cells as text; None for an empty cell, and for all if the table has no such column."""
    import pyarrow as pa

    if name not in table.column_names:
        return [None] * table.num_rows
    kind = table.schema.field(name).type
    if pa.types.is_nested(kind) or "binary" in str(kind):
        raise DataError(f"Expected text or numbers in column {name} of {manifest}, found {kind}; save it as text.")
    texts = [_text(value) for value in table[name].to_pylist()]
    return texts if name == "path" else [text and unicodedata.normalize("NFC", text).strip() for text in texts]


def _text(value: Any) -> str | None:
    """A cell as text; None if it is empty."""
    # Integers with missing values are often written to Parquet as floats: 1.0 means 1, and NaN a missing value.
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    text = "" if value is None else str(value)
    return text if text.strip() else None


def _check_cells(
    manifest: Path, number: int, path: str | None, label: str | None, group: str | None, labelled: bool
) -> None:
    if path is None:
        raise DataError(f"Row {number} of {manifest} has no path; fill in the cell or remove the row.")
    if label is None and labelled:
        raise DataError(f"Row {number} of {manifest} ({path}) has no label; fill in the cell or remove the row.")
    for name, text in (("path", path), ("label", label), ("group", group)):
        if "\n" in (text or ""):
            raise DataError(f"Row {number} of {manifest} has a {name} of several lines; write it on one line.")


def _known_split(manifest: Path, number: int, split: str | None) -> str:
    known = SPLIT_NAMES.get((split or "").casefold())
    if known is None:
        raise DataError(
            f"Expected train, val or test as split in row {number} of {manifest}, found "
            f"{split or 'an empty cell'}; correct it, or remove the column."
        )
    return known
