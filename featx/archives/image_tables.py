"""Tables with a column of image files: which column that is, and how a row is named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from featx.archives.archive import Archive, broken

if TYPE_CHECKING:
    import pyarrow as pa

BYTES, FILE = "bytes", "path"  # the fields of a cell of the library `datasets`
# Of several columns of bytes, the one of such a name has the images; beside a column of paths, only such a one.
IMAGE_NAMES = (
    "image",
    "images",
    "img",
    "picture",
    "photo",
    "jpg",
    "jpeg",
    "png",
    "image_bytes",
    "img_bytes",
    "pixels",
)
PLAIN_ROWS = 4096  # of columns without images, that are read together
DIGITS = 6  # of a row's number at least, so that names sort as rows do


class ImageTable(Archive):
    """A table with a column of image files; a row's name is its number, with the column if it is not the usual one.

    Attributes:
        schema: The columns.
        rows: How many rows there are.
    """

    schema: pa.Schema
    rows: int

    @cached_property
    def image_columns(self) -> list[str]:
        """The columns that may hold image files: those of bytes, or of records with a field `bytes`."""
        names = self.schema.names
        fields = [field for field in self.schema if _holds_bytes(field.type)]
        return [field.name for field in fields if field.name and names.count(field.name) == 1]

    @property
    def image_lists(self) -> list[str]:
        """The columns whose cells are lists of image files, which no path stands for."""
        import pyarrow as pa

        kinds = [(field.name, field.type) for field in self.schema]
        lists = [(name, kind) for name, kind in kinds if pa.types.is_list(kind) or pa.types.is_large_list(kind)]
        return [name for name, kind in lists if _holds_bytes(kind.value_type)]

    @cached_property
    def image_column(self) -> str | None:
        """The column that holds the images if none is chosen; None if there is none, or several might."""
        columns = self.image_columns
        if len(columns) > 1:
            records = [name for name in columns if self.is_record(name)]
            named = [name for name in columns if name.lower() in IMAGE_NAMES]
            columns = next((some for some in (named, records) if len(some) == 1), [])
        return columns[0] if columns else None

    def is_record(self, column: str) -> bool:
        """Tell whether the cells of a column are records with a field `bytes`."""
        import pyarrow as pa

        return bool(pa.types.is_struct(self.schema.field(column).type))

    def has_files(self, column: str) -> bool:
        """Tell whether the cells of a column also name the files that the images had."""
        kind = self.schema.field(column).type
        return self.is_record(column) and kind.get_field_index(FILE) >= 0

    def row_name(self, row: int, column: str) -> str:
        """Return the name of a row's image: `000123`, or `left/000123` for a column that is not the usual one."""
        number = str(row).zfill(max(DIGITS, len(str(max(self.rows - 1, 0)))))
        return number if column == self.image_column else f"{column}/{number}"

    @property
    def names(self) -> Collection[str]:
        """The names of the rows."""
        return [self.row_name(row, self.image_column or "") for row in range(self.rows)]

    def __contains__(self, name: str) -> bool:
        try:
            self._place(name)
        except OSError:
            return False
        return True

    def __len__(self) -> int:
        return self.rows

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a row's image; raises OSError if that is not possible, or it exceeds the limit."""
        column, row = self._place(name)
        data = self._cell(column, row, limit)
        if data is None:
            raise broken(self.path / name, f"it is an empty cell of column {column}")
        return data

    def leaf(self, column: str) -> str:
        """Return the name of the bytes of a column, for `batches`."""
        return f"{column}.{BYTES}" if self.is_record(column) else column

    def batches(self, columns: Sequence[str], rows: int = PLAIN_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield some columns (`name`, or `name.field`) in batches of rows; raises OSError if they are damaged."""
        raise NotImplementedError

    def is_empty(self, column: str) -> Iterator[bool]:
        """Yield for each row whether its cell has no bytes; reads all images, a few at a time."""
        for batch in self.batches([self.leaf(column)], 64):
            yield from bytes_of(batch.column(0)).is_null().to_pylist()

    def _cell(self, column: str, row: int, limit: int) -> bytes | None:
        raise NotImplementedError

    def _place(self, name: str) -> tuple[str, int]:
        """The column and the row that a name stands for."""
        column, _, number = name.rpartition("/")
        if not column and self.image_column is None and self.image_columns:
            raise broken(self.path, f"it has several columns of images ({', '.join(self.image_columns)})")
        column = column or self.image_column or ""
        is_there = column in self.image_columns and number.isascii() and number.isdigit()
        if not is_there or len(number) > 18 or int(number) >= self.rows:
            raise FileNotFoundError(str(self.path / name))
        return column, int(number)


def checked_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema; raises UnicodeDecodeError if the name of a column is no text."""
    for field in schema:
        str(field)  # with the names of the fields in it
    _ = schema.names
    return schema


def bytes_of(column: pa.Array) -> pa.Array:
    """Return the bytes of a column of bytes, or of records with a field `bytes`."""
    import pyarrow as pa

    if not pa.types.is_struct(column.type):
        return column
    # `field` would not know of records that are empty.
    return column.flatten()[column.type.get_field_index(BYTES)]


def reason_of_arrow(path: Path, error: Exception) -> str:
    """The reason that PyArrow gives, on one line, without the file's own name."""
    return " ".join(str(error).replace(str(path), "it").split())[:200].rstrip(".") or type(error).__name__


def _holds_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        place = kind.get_field_index(BYTES)
        return place >= 0 and _holds_bytes(kind.field(place).type) and not pa.types.is_struct(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
