"""Manifests in CSV: finding the separator, and refusing what a lenient reader would misread."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import DataError
from featx.manifest_columns import TEXT_COLUMNS, checked_names

if TYPE_CHECKING:
    import pyarrow as pa


def read_csv(manifest: Path, labelled: bool) -> pa.Table:
    """Reads a CSV file with a header, in UTF-8 with or without a byte order mark.

    Args:
        manifest: The file, separated by comma, semicolon or tab.
        labelled: Whether a column `label` is needed.

    Returns:
        The named columns, the known ones as text.

    Raises:
        DataError: The file is no such table.
        OSError: It cannot be opened.
        csv.Error: Its header cannot be read.
        pyarrow.ArrowInvalid: Its rows cannot be read.
    """
    header, body = _header_and_body(manifest)
    delimiter = _delimiter(header)
    names = checked_names(manifest, _header_names(header, delimiter), labelled)
    _check_quotes(manifest, body, delimiter)
    return _parsed(manifest, body, delimiter, names)


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


def _check_quotes(manifest: Path, body: str, delimiter: str) -> None:
    """Refuses a quote that is not closed at the end of its cell: Arrow would take the rows after it for text.

    Such a quote ends at the end of the file or at the next cell's opening quote, where no separator follows.
    Python's strict reader fails on both.
    """
    number = 1  # of the header; blank lines do not count
    try:
        for cells in csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True):
            number += bool(cells)
    except csv.Error as error:
        raise DataError(
            f"Row {number + 1} of {manifest} has a cell whose end cannot be told ({error}); close its quotes, and "
            "write a quote within quotes twice."
        ) from error


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
    """The separator under which the header names the most known columns, then the most columns."""
    known = set(TEXT_COLUMNS)
    return max(",;\t", key=lambda one: (len(known.intersection(_header_names(header, one))), header.count(one)))


def _header_names(header: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([header.strip("\r\n")], delimiter=delimiter))]
