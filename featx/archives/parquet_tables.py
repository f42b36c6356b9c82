"""Parquet files with a column of image files, of which a few megabytes at a time are in memory."""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.archives.archive import LARGEST, broken, too_large
from featx.archives.image_tables import PLAIN_ROWS, ImageTable, bytes_of, checked_schema, reason_of_arrow
from featx.files import open_file
from featx.machine import available_memory

if TYPE_CHECKING:
    import io

    import pyarrow as pa

BATCH_ROWS = 16  # of images: a value that is in the file once may be in each of its rows, and has its bytes in each
AHEAD_BYTES = 2**28  # read over rather than to begin at a row group: other threads will want these rows
AHEAD_ROWS = 32_768
LARGEST_BATCH = 2**30  # bytes, if each row had all that its row group holds
BUFFER = 2**20  # bytes that are read at once; else PyArrow reads all of a row group, which may have gigabytes
LARGEST_MEAN = 2**30  # bytes of a row
CURSORS = 2  # in a table
READ_AT_ONCE = 8  # tables

_active: OrderedDict[int, ParquetTable] = OrderedDict()
_active_lock = threading.Lock()


class ParquetTable(ImageTable):
    """A Parquet file. Rows are read fast in their order, also by several threads; else each from its row group on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock = threading.Lock()
        self._cursors: OrderedDict[int, _Cursor] = OrderedDict()
        self._count = 0
        self._window = min(max(available_memory() // 64, 2**26), 2**29)
        with _damage(path), _parquet_file(path) as file:
            self.schema = checked_schema(file.schema_arrow)
            self._metadata = file.metadata
        self.rows = self._metadata.num_rows
        self.check_number(self.rows)
        groups = [self._metadata.row_group(n) for n in range(self._metadata.num_row_groups)]
        self._starts = [0, *accumulate(group.num_rows for group in groups)]
        if self._starts[-1] != self.rows or min(self._starts) < 0:
            raise broken(path, "it is damaged: its parts do not have as many rows as it says")

    def batches(self, columns: Sequence[str], rows: int = PLAIN_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield some columns (`name`, or `name.field`) in batches of rows; raises OSError if they are damaged."""
        kinds = {field.name: field.type for field in self.schema}
        # Each row gets the number of its text alone: a text that is in the file once may be in a million rows.
        texts = [name for name in columns if name in kinds and _is_text(kinds[name])]
        if any(name not in texts and not (name in kinds and _is_small(kinds[name])) for name in columns):
            rows = min(rows, self._rows_at_once(0))
        with _damage(self.path), _parquet_file(self.path, texts) as file:
            yield from file.iter_batches(batch_size=rows, columns=list(columns), use_threads=False)

    def forget(self) -> None:
        """Let go of what is in memory of the rows."""
        with self._lock:
            self._cursors.clear()

    def _cell(self, column: str, row: int, limit: int) -> bytes | None:
        self._activate()
        with self._lock, _damage(self.path):
            cursor = self._cursor(column, row)
            value = cursor.value(row)
            if value is None:
                raise broken(self.path, f"it is damaged: it ends before row {row}")
            if not value.is_valid:
                return None
            data = value.as_buffer()
            if data.size > limit:
                raise too_large(self.path, str(row), data.size, limit)
            return bytes(data.to_pybytes())

    def _activate(self) -> None:
        """Let go of the rows of tables that are not read any more."""
        with _active_lock:
            _active[id(self)] = self
            _active.move_to_end(id(self))
            others = [_active.popitem(last=False)[1] for _ in range(len(_active) - READ_AT_ONCE)]
        for table in others:
            table.forget()

    def _cursor(self, column: str, row: int) -> _Cursor:
        """The cursor that has a row in memory, or comes to it soonest."""
        mine = [(key, cursor) for key, cursor in self._cursors.items() if cursor.column == column]
        group = bisect_right(self._starts, row) - 1
        there = next((pair for pair in mine if pair[1].has(row)), None)
        if there is None:
            before = [pair for pair in mine if pair[1].end <= row]
            nearest = max(before, key=lambda pair: pair[1].end, default=None)
            if nearest is not None and self._starts[group] - nearest[1].end <= nearest[1].ahead:
                there = nearest
        if there is not None:
            self._cursors.move_to_end(there[0])
            return there[1]
        self._count += 1
        cursor = self._cursors[self._count] = _Cursor(self, column, group)
        if len(self._cursors) > CURSORS:
            self._cursors.popitem(last=False)
        return cursor

    def batch_rows(self, group: int) -> tuple[int, int]:
        """Return how many rows, from a row group on, are read at once, and how many may be read over."""
        mean = max(sum(self._sizes(group)) // max(self.rows - self._starts[group], 1), 1)
        if mean > LARGEST_MEAN:
            raise too_large(self.path, "a row", mean, LARGEST_MEAN)
        return self._rows_at_once(group), min(max(AHEAD_BYTES // mean, 1), AHEAD_ROWS)

    def _rows_at_once(self, group: int) -> int:
        """How many rows, from a row group on, are read at once: few, as each may have all bytes of its group."""
        return min(max(LARGEST_BATCH // max(self._sizes(group), default=1), 1), BATCH_ROWS)

    def _sizes(self, group: int) -> list[int]:
        """The bytes of the row groups from one on, as the file says them."""
        # What it says of a single column may be damaged so that PyArrow would end the whole process.
        groups = range(group, self._metadata.num_row_groups)
        return [max(int(self._metadata.row_group(n).total_byte_size), 1) for n in groups]


class _Cursor:
    """Reads a column from the start of a row group on, and keeps the rows that were not asked for yet."""

    def __init__(self, table: ParquetTable, column: str, group: int) -> None:
        self.column = column
        self.end = table._starts[group]
        self._window = table._window
        self._kept: list[_Kept] = []
        self._bytes = 0
        rows, self.ahead = table.batch_rows(group)
        opened = open_file(table.path, LARGEST)
        weakref.finalize(self, opened.close)
        self._batches = _reader(opened).iter_batches(
            batch_size=rows,
            row_groups=list(range(group, table._metadata.num_row_groups)),
            columns=[table.leaf(column)],
            use_threads=False,
        )

    def has(self, row: int) -> bool:
        """Tell whether a row is in memory."""
        return self._place(row) is not None

    def value(self, row: int) -> Any:
        """Return a row's cell, a scalar of PyArrow; None if the file ends before it."""
        while row >= self.end:
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._keep(bytes_of(batch.column(0)))
        place = self._place(row)
        if place is None:
            return None
        kept = self._kept[place]
        kept.unread -= 1
        if kept.unread <= 0 and kept.start + len(kept.cells) < self.end:
            self._drop(place)
        return kept.cells[row - kept.start]

    def _place(self, row: int) -> int | None:
        place = bisect_right(self._kept, row, key=lambda kept: kept.start) - 1
        is_there = place >= 0 and row < self._kept[place].start + len(self._kept[place].cells)
        return place if is_there else None

    def _keep(self, cells: pa.Array) -> None:
        self._kept.append(_Kept(self.end, cells, len(cells)))
        self.end += len(cells)
        self._bytes += cells.nbytes
        while self._bytes > self._window and len(self._kept) > 1:
            self._drop(0)

    def _drop(self, place: int) -> None:
        self._bytes -= self._kept.pop(place).cells.nbytes


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_small(kind: pa.DataType) -> bool:
    """Whether the values of a type have a few bytes each: numbers, times, flags, numbers of texts."""
    import pyarrow as pa

    return bool(pa.types.is_primitive(kind) or pa.types.is_dictionary(kind))


@dataclass
class _Kept:
    """Rows that are in memory; after each was read once, they are let go."""

    start: int
    cells: pa.Array
    unread: int


def _reader(file: io.BufferedReader, texts: Sequence[str] = ()) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False, read_dictionary=list(texts))


@contextmanager
def _parquet_file(path: Path, texts: Sequence[str] = ()) -> Iterator[Any]:
    with open_file(path, LARGEST) as file:
        yield _reader(file, texts)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Raise an OSError with one reason for what PyArrow says of a damaged file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise broken(path, f"it is damaged or no Parquet file: {reason_of_arrow(path, error)}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise broken(path, f"it is damaged: {reason_of_arrow(path, error)}") from error
