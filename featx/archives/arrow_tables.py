"""Arrow files and streams with a column of image files, as the library `datasets` saves them on a disk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from featx.archives.archive import LARGEST, broken, too_large
from featx.archives.image_tables import PLAIN_ROWS, ImageTable, bytes_of, checked_schema, reason_of_arrow
from featx.files import open_file

if TYPE_CHECKING:
    import pyarrow as pa

MOST_UNPACKED = 2**28  # bytes in memory while a file is opened; what is not compressed stays on the disk


class ArrowTable(ImageTable):
    """An Arrow file or stream; its rows stay on the disk, where any is read at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import pyarrow as pa

        open_file(path, LARGEST).close()  # a regular file
        try:
            schema, self._batches = _opened(path)
            self.schema = checked_schema(schema)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise broken(path, f"it is damaged or no Arrow file: {reason_of_arrow(path, error)}") from error
        self._starts = [0, *accumulate(batch.num_rows for batch in self._batches)]
        self.rows = self._starts[-1]
        self.check_number(self.rows)

    def batches(self, columns: Sequence[str], rows: int = PLAIN_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield some columns (`name`, or `name.field`) in batches of rows."""
        import pyarrow as pa

        for batch in self._batches:
            arrays, fields = [], []
            for name in columns:
                column, _, field = (name, "", "") if name in self.schema.names else name.rpartition(".")
                cells = batch.column(column)
                if field:
                    inner = cells.flatten()[cells.type.get_field_index(field)]
                    cells = pa.StructArray.from_arrays([inner], [field])
                arrays.append(cells)
                fields.append(column)
            yield pa.RecordBatch.from_arrays(arrays, fields)

    def _cell(self, column: str, row: int, limit: int) -> bytes | None:
        number = bisect_right(self._starts, row) - 1
        value = bytes_of(self._batches[number].column(column))[row - self._starts[number]]
        if not value.is_valid:
            return None
        data = value.as_buffer()
        if data.size > limit:
            raise too_large(self.path, str(row), data.size, limit)
        return bytes(data.to_pybytes())


def _opened(path: Path) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """The columns and the batches of a file; these are views of it."""
    import pyarrow as pa

    with path.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
    source = pa.memory_map(str(path))
    reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
    before = pa.total_allocated_bytes()
    batches = []
    for batch in (reader.get_batch(n) for n in range(reader.num_record_batches)) if is_file else reader:
        if pa.total_allocated_bytes() - before > MOST_UNPACKED:
            raise ValueError("it is compressed, so save it with to_parquet")
        batch.validate(full=True)  # places outside of the file would end the whole process
        batches.append(batch)
    return reader.schema, [batch for batch in batches if batch.num_rows]
