"""The table in a CSV or Parquet file, whatever its columns are. Sizes are bounded before anything is unpacked."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.data.columns import TEXT_COLUMNS, check_number, checked_names, known_columns
from featx.errors import DataError, reason_of
from featx.files import open_file, read_file

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

CSV_ENDINGS = (".csv", ".tsv")
PARQUET_ENDINGS = (".parquet", ".pq")
MAX_BYTES = 512 * 2**20  # of what a Parquet file holds when it is unpacked
MAX_CELLS = 50_000_000
MAX_LINE = 8 * 2**20  # bytes of a line of a CSV file


def is_manifest(path: Path) -> bool:
    """Tell whether a file is a manifest, by its ending: .csv, .tsv, .parquet or .pq, in any case."""
    return path.suffix.lower() in CSV_ENDINGS + PARQUET_ENDINGS


def read_table(manifest: Path, labelled: bool) -> pa.Table:
    """Return the named columns of a manifest, those of `TEXT_COLUMNS` in a CSV file as text."""
    import pyarrow as pa

    is_parquet = manifest.suffix.lower() in PARQUET_ENDINGS
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
    import pyarrow as pa
    from pyarrow import parquet

    with open_file(manifest) as opened, parquet.ParquetFile(opened) as file:
        kinds = {field.name: field.type for field in file.schema_arrow}
        names = checked_names(manifest, file.schema_arrow.names, labelled)
        _check_metadata(manifest, file.metadata, nested=any(map(pa.types.is_nested, kinds.values())))
    # A value that is there a million times takes little room until every row has its own copy, so texts are read
    # as numbers into a list of the different values first.
    texts = [name for name, kind in kinds.items() if _is_text(kind)]
    batches, total = [], 0
    with open_file(manifest) as opened, parquet.ParquetFile(opened, read_dictionary=texts) as file:
        for batch in file.iter_batches(batch_size=4096):
            total += sum(map(_bytes_unpacked, batch.columns))
            if total > MAX_BYTES:
                raise _too_large(manifest, f"more than {MAX_BYTES // 2**20} MiB when it is unpacked")
            batches.append(_without_dictionaries(batch))
        table = pa.Table.from_batches(batches, _without_dictionaries(file.schema_arrow.empty_table()).schema)
    return table.rename_columns(names).select([name for name in names if name])


def _check_metadata(manifest: Path, metadata: parquet.FileMetaData, *, nested: bool) -> None:
    """Refuse a file that says itself that it unpacks to more than a manifest needs."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    cells = metadata.num_rows * metadata.num_columns
    if nested:
        # Only here, because PyArrow ends the whole process where damaged bytes follow a column's description.
        values = (group.column(number).num_values for group in groups for number in range(group.num_columns))
        cells = max(cells, sum(values))
    if cells > MAX_CELLS:
        raise _too_large(manifest, f"{cells} cells in {metadata.num_rows} rows")
    if sum(group.total_byte_size for group in groups) > MAX_BYTES:
        raise _too_large(manifest, f"more than {MAX_BYTES // 2**20} MiB when it is unpacked")


def _too_large(manifest: Path, found: str) -> DataError:
    return DataError(
        f"Expected a manifest of at most {MAX_BYTES // 2**20} MiB and {MAX_CELLS // 1_000_000} million cells, found "
        f"{found} in {manifest}; keep a row for each image, and the columns path, label, split and group."
    )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _bytes_unpacked(column: pa.Array) -> int:
    """The bytes of a column once each row has its own copy of its text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)


def _without_dictionaries(table: Any) -> Any:
    """A table or batch whose dictionaries of texts are texts; other dictionaries, such as of numbers, too."""
    import pyarrow as pa

    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _read_csv(manifest: Path, labelled: bool) -> pa.Table:
    """The named columns of a CSV file with a header, those of `TEXT_COLUMNS` as text."""
    header, body = _header_and_body(manifest)
    check_number(manifest, max(map(header.count, ",;\t")) + 1)
    delimiter = _delimiter(header)
    names = checked_names(manifest, _header_names(header, delimiter), labelled)
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
