"""The table in a CSV or Parquet file, whatever its columns are. Sizes are bounded before anything is unpacked."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.data.dataset import first_few
from featx.data.tables.columns import TEXT_COLUMNS, check_number, checked_names, known_columns, may_be_group
from featx.errors import DataError, reason_of
from featx.files import open_file, read_file

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

log = logging.getLogger("featx")

CSV_ENDINGS = (".csv", ".tsv")
PARQUET_ENDINGS = (".parquet", ".pq")
MAX_BYTES = 512 * 2**20  # of what a Parquet file holds when it is unpacked
MAX_CELLS = 50_000_000
FRAME = Path("the data frame")  # in messages instead of a manifest's name
MAX_LINE = 8 * 2**20  # bytes of a line of a CSV file


def is_manifest(path: Path) -> bool:
    """Tell whether a file is a manifest, by its ending: .csv, .tsv, .parquet or .pq, in any case."""
    return path.suffix.lower() in CSV_ENDINGS + PARQUET_ENDINGS


def read_table(manifest: Path, labelled: bool, chosen: Mapping[str, str]) -> pa.Table:
    """Return the named columns of a manifest, those of `TEXT_COLUMNS` in a CSV file as text.

    `chosen` has the columns that mean what their names do not say, see `chosen_columns`.
    """
    import pyarrow as pa

    is_parquet = manifest.suffix.lower() in PARQUET_ENDINGS
    try:
        table = _read_parquet(manifest, labelled, chosen) if is_parquet else _read_csv(manifest, labelled, chosen)
        table.validate(full=True)  # Parquet's texts need not be UTF-8
        return _without_nanoseconds(table)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        kind = "Parquet" if is_parquet else "CSV"
        raise DataError(
            f"The manifest {manifest} is not valid {kind} ({reason_of(error)}); save it again."
        ) from error
    except (OSError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or reason_of(error)
        raise DataError(f"The manifest {manifest} cannot be read ({reason}); check the file.") from error


def is_frame(data: object) -> bool:
    """Tell whether something is a data frame or table of pandas, polars or PyArrow."""
    return (hasattr(data, "__arrow_c_stream__") or hasattr(data, "iloc")) and hasattr(data, "columns")


def table_of_frame(frame: Any, labelled: bool, chosen: Mapping[str, str]) -> pa.Table:
    """Return the named columns of a data frame, see `read_table`, without its index.

    Columns that Arrow cannot hold, and those of lists or records, are left out, which a notice says.
    """
    import pyarrow as pa

    names = [str(name) for name in getattr(frame, "column_names", frame.columns)]
    checked = checked_names(FRAME, names, labelled, chosen)
    get = partial(_pandas_column, frame) if hasattr(frame, "iloc") else _arrow_table(frame).column
    columns, left_out = {}, []
    for number, name in enumerate(checked):
        try:
            column = _plain_column(get(number))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            column = None
        if column is None and name in TEXT_COLUMNS:
            raise DataError(
                f"Expected text or numbers in column {names[number]} of {FRAME}, used as {name}, received other "
                f"values; convert it to text, or choose another --{name}-column. Pass images in memory as a list or "
                "array, with labels."
            )
        if column is None:
            left_out.append(names[number])
        elif name:
            columns[name] = column
    if left_out:
        log.info("Columns of other values than text and numbers were left out of %s: %s", FRAME, first_few(left_out))
    return _without_nanoseconds(pa.table(columns))


def _plain_column(column: Any) -> Any:
    """Return a column of texts, numbers or times for a table; None for one of lists, bytes or other objects."""
    import pyarrow as pa

    kind = _plain_type(column.type)
    if pa.types.is_nested(kind) or "binary" in str(kind) or isinstance(kind, pa.BaseExtensionType):
        return None
    kind = pa.string() if "string" in str(kind) else kind
    if pa.types.is_dictionary(column.type):  # not every kind of text can be decoded before it is plain text
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        decoded = [pa.DictionaryArray.from_arrays(one.indices, one.dictionary.cast(kind)) for one in chunks]
        return pa.chunked_array([one.dictionary_decode() for one in decoded], kind)
    return column.cast(kind)


def _arrow_table(frame: Any) -> pa.Table:
    import pyarrow as pa

    try:
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a data frame of text and numbers, but it cannot be read ({reason_of(error)}); leave out "
            "columns of other objects."
        ) from error


def _pandas_column(frame: Any, number: int) -> pa.Array:
    """Return a column of a pandas frame; of objects, paths and different types of cells become text."""
    import pyarrow as pa

    column = frame.iloc[:, number]
    if hasattr(column.dtype, "categories") and column.dtype.categories.dtype == object:
        column = column.astype(object)
    if column.dtype != object:
        return pa.array(column, from_pandas=True)
    cells = [None if is_na else cell for cell, is_na in zip(column.tolist(), column.isna(), strict=True)]
    kinds = {type(cell) for cell in cells if cell is not None}
    if len(kinds) > 1 or any(issubclass(kind, os.PathLike) for kind in kinds):
        if not all(issubclass(kind, (str, os.PathLike, int, float, np.generic)) for kind in kinds):
            raise TypeError("cells of other types than text and numbers")
        cells = [None if cell is None else text_of_cell(cell) for cell in cells]
    return pa.array(cells)


def text_of_cell(value: Any) -> str | None:
    """Return a cell as text; None if it is empty, NaN or missing. The number 1.0 is "1"."""
    if isinstance(value, np.generic):
        value = value.item()
    # Integers with missing values are often written to Parquet as floats: 1.0 means 1, and NaN a missing value.
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' own, which need not be loaded
        return None
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    return text if text.strip() else None


def _read_parquet(manifest: Path, labelled: bool, chosen: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    with open_file(manifest) as opened, parquet.ParquetFile(opened) as file:
        names = checked_names(manifest, file.schema_arrow.names, labelled, chosen)
        _check_metadata(manifest, file.metadata)
        columns = _flat_columns(manifest, list(zip(names, file.schema_arrow, strict=True)))
    # A value that is there a million times takes little room until every row has its own copy, so texts are read
    # as numbers into a list of the different values first.
    texts = [field.name for field in columns.values() if _is_text(field.type)]
    schema = pa.schema([field.with_type(_plain_type(field.type)) for field in columns.values()])
    batches, total = [], 0
    with open_file(manifest) as opened, parquet.ParquetFile(opened, read_dictionary=texts) as file:
        for batch in file.iter_batches(batch_size=4096, columns=schema.names):
            total += sum(map(bytes_unpacked, batch.columns))
            if total > MAX_BYTES:
                raise _too_large(manifest, f"more than {MAX_BYTES // 2**20} MiB when it is unpacked")
            batches.append(batch.cast(schema))
    return pa.Table.from_batches(batches, schema).rename_columns(list(columns))


def _flat_columns(manifest: Path, fields: Sequence[tuple[str, pa.Field]]) -> dict[str, pa.Field]:
    """Return the fields of a Parquet file by the name of the column, without those that are lists or records.

    Damaged ones make PyArrow end the whole process.
    """
    import pyarrow as pa

    for name, field in fields:
        if name in TEXT_COLUMNS and (pa.types.is_nested(field.type) or "binary" in str(field.type)):
            raise DataError(
                f"Expected text or numbers in column {name} of {manifest}, found {field.type}; save it as text."
            )
    nested = [name for name, field in fields if name and pa.types.is_nested(field.type)]
    if nested:
        log.info("Columns of lists or records in %s were left out: %s", manifest.name, first_few(nested))
    return {name: field for name, field in fields if name and name not in nested}


def _check_metadata(manifest: Path, metadata: parquet.FileMetaData) -> None:
    """Refuse a file that says itself that it unpacks to more than a manifest needs."""
    cells = metadata.num_rows * metadata.num_columns
    if cells > MAX_CELLS:
        raise _too_large(manifest, f"{cells} cells in {metadata.num_rows} rows")
    if sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)) > MAX_BYTES:
        raise _too_large(manifest, f"more than {MAX_BYTES // 2**20} MiB when it is unpacked")


def _too_large(manifest: Path, found: str) -> DataError:
    return DataError(
        f"Expected a manifest of at most {MAX_BYTES // 2**20} MiB and {MAX_CELLS // 1_000_000} million cells, found "
        f"{found} in {manifest}; keep a row for each image, and the columns path, label, split and group."
    )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def bytes_unpacked(column: pa.Array) -> int:
    """Return the bytes of a column once each row has its own copy of its text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, which may be numbers into a list of the different ones."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _read_csv(manifest: Path, labelled: bool, chosen: Mapping[str, str]) -> pa.Table:
    """The named columns of a CSV file with a header, those of `TEXT_COLUMNS` as text."""
    header, body = _header_and_body(manifest)
    check_number(manifest, max(map(header.count, ",;\t")) + 1)
    delimiter = _delimiter(header)
    names = checked_names(manifest, _header_names(header, delimiter), labelled, chosen)
    _check_quotes(manifest, body, delimiter)
    return _parsed(manifest, body, delimiter, names)


def _header_and_body(manifest: Path) -> tuple[str, str]:
    raw = read_file(manifest)
    longest = max(map(len, raw.splitlines()), default=0)
    if longest > MAX_LINE:
        raise _too_large(manifest, f"a line of {longest // 2**20} MiB")
    try:
        text = raw.decode("utf-8-sig").lstrip("\r\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"Expected UTF-8 text in {manifest}, found other bytes in line {line}; save it as CSV in UTF-8."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"Expected UTF-8 text in {manifest}, found a null character in line {line}; save it as CSV in UTF-8."
        )
    stream = io.StringIO(text, newline="")  # lines may end in \n, \r\n or \r
    header, body = stream.readline(), stream.read()
    if not body.strip():
        found = "no rows" if header.strip() else "an empty file"
        raise DataError(f"Expected a header and a row for each image in {manifest}, found {found}.")
    return header, body


def _delimiter(header: str) -> str:
    """The separator that gives the most known columns in the header, then the most columns."""
    return max(",;\t", key=lambda one: (known_columns(_header_names(header, one)), header.count(one)))


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
        if "field larger" in str(error) and '"' not in body:
            raise DataError(
                f"Row {number + 1} of {manifest} has a cell of more than {csv.field_size_limit()} letters; "
                "shorten it or remove its column."
            ) from error
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

    text = {name: pa.string() for name in names if name in TEXT_COLUMNS or may_be_group(name)}
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
    return _without_quotes(table)


def _without_quotes(table: pa.Table) -> pa.Table:
    """The table without the quotes around cells of `TEXT_COLUMNS` that follow a space, where Arrow keeps them."""
    import pyarrow.compute as pc

    for name in set(TEXT_COLUMNS).intersection(table.column_names):
        cells = pc.replace_substring_regex(table[name], r'^\s+"(.*)"\s*$', r"\1")
        table = table.set_column(table.column_names.index(name), name, cells)
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
