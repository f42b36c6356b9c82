"""Export rows to files for other tools: NumPy's .npz, Parquet and CSV, written in chunks."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.data import targets_of
from featx.errors import UsageError
from featx.features.extraction import Extraction
from featx.features.hashing import Image
from featx.files import write_file
from featx.frames import columns_of, with_further
from featx.limits import check_disk

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 1024
BYTES_OF_TEXT = 12  # of a feature in a CSV file, about


def check_export(path: Path) -> None:
    """Check that the ending names a format that can be written.

    Raises:
        UsageError: It is neither .npz, .parquet nor .csv.
    """
    if path.suffix.lower() not in (".npz", ".parquet", ".csv"):
        raise UsageError(f"Expected --export to a file ending in .npz, .parquet or .csv, received {path.name}.")


def export_rows(extraction: Extraction, path: str | Path) -> Path:
    """Write all rows of an extraction with their images' columns, as `featx extract --export` does.

    Columns: `id`, `label`, `split`, `group`, `view`, `sha256`, of several labels `label:NAME` (1, 0 or empty) for
    each, those of the manifest or data frame, and the features: `X` in .npz, a list column `features` in .parquet,
    `x0`, `x1` and so on in .csv. Numbers stay numbers, and dates are dates in .parquet. Empty cells are null in
    .parquet; in .npz they are NaN among numbers, else empty. A further column that has the name of another gets
    `extra_` before it. The features go through memory a thousand rows at a time.

    Args:
        extraction: What `featx.extract` returned.
        path: A file ending in .npz, .parquet or .csv.

    Raises:
        UsageError: The file's ending names no known format.
        StoreError: The file cannot be written.
        ResourcesError: It does not fit onto the disk.
    """
    path = Path(path)
    check_export(path)
    ending = path.suffix.lower()
    size = (BYTES_OF_TEXT if ending == ".csv" else 4) * extraction.dim * extraction.rows
    check_disk(size, path.parent, f"writing {path.name}", "export fewer views or images")
    write = {".npz": _write_npz, ".parquet": _write_parquet, ".csv": _write_csv}[ending]
    return write_file(path, lambda draft: write(extraction, draft))


def _parts(extraction: Extraction) -> list[tuple[list[Image], int]]:
    """Return the training images and their number of views, then the other images, which have one."""
    train = [image for image in extraction.images if image.item.split == "train"]
    others = [image for image in extraction.images if image.item.split != "train"]
    return [(images, views) for images, views in ((train, extraction.spec.views.count), (others, 1)) if images]


def _columns(extraction: Extraction, taken: Sequence[str]) -> pa.Table:
    """Return the columns of all rows but for the features, whose names are taken."""
    import pyarrow as pa

    every = [(image, view) for images, views in _parts(extraction) for image in images for view in range(views)]
    columns: dict[str, Any] = {
        "id": pa.array([image.item.id for image, _ in every], pa.string()),
        "label": pa.array([image.item.label for image, _ in every], pa.string()),
        "split": pa.array([image.item.split for image, _ in every], pa.string()),
        "group": pa.array([image.item.group for image, _ in every], pa.string()),
        "view": pa.array([view for _, view in every], pa.int32()),
        "sha256": pa.array([image.digest for image, _ in every], pa.string()),
    }
    if extraction.dataset.multilabel:
        targets = targets_of([image.item for image, _ in every], extraction.dataset.classes)
        for name, column in zip(extraction.dataset.classes, targets.T, strict=True):
            columns[f"label:{name}"] = pa.array(column, pa.int8(), mask=np.isnan(column), safe=False)
    extra = {name: pa.array(cells) for name, cells in columns_of([image.item.extra for image, _ in every]).items()}
    joined = with_further({**columns, **dict.fromkeys(taken)}, extra)
    return pa.table({name: column for name, column in joined.items() if name not in taken})


def _chunks(extraction: Extraction) -> Iterator[NDArray[np.float32]]:
    for images, views in _parts(extraction):
        yield from extraction.view_rows(images, views).chunks(ROWS_AT_ONCE)


def _write_npz(extraction: Extraction, path: Path) -> None:
    table = _columns(extraction, ["X"])
    with zipfile.ZipFile(path, "w") as archive:
        for name in table.column_names:
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, _array(table[name]), allow_pickle=False)
        with archive.open("X.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (table.num_rows, extraction.dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in _chunks(extraction):
                file.write(np.ascontiguousarray(chunk, "<f4").tobytes())


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return numbers and flags as they are, NaN for an empty one, and all else as text, "" for an empty cell."""
    import pyarrow as pa

    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if is_number and not column.null_count:
        return np.asarray(column.to_pylist())
    if is_number:
        return np.array([np.nan if cell is None else cell for cell in column.to_pylist()], np.float64)
    return np.array(["" if cell is None else str(cell) for cell in column.to_pylist()])


def _write_parquet(extraction: Extraction, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _columns(extraction, ["features"])
    schema = table.schema.append(pa.field("features", pa.list_(pa.float32(), extraction.dim)))
    with pq.ParquetWriter(path, schema) as writer:
        for part, chunk in _with_columns(table, extraction):
            features = pa.FixedSizeListArray.from_arrays(pa.array(chunk.ravel(), pa.float32()), extraction.dim)
            writer.write_table(part.append_column(schema.field("features"), features))


def _write_csv(extraction: Extraction, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import csv

    names = [f"x{number}" for number in range(extraction.dim)]
    table = _columns(extraction, names)
    schema = pa.schema([*table.schema, *(pa.field(name, pa.float32()) for name in names)])
    with csv.CSVWriter(path, schema) as writer:
        for part, chunk in _with_columns(table, extraction):
            columns = [*part.columns, *(pa.array(column) for column in np.ascontiguousarray(chunk.T, np.float32))]
            writer.write_table(pa.table(columns, schema=schema))


def _with_columns(table: pa.Table, extraction: Extraction) -> Iterator[tuple[pa.Table, NDArray[np.float32]]]:
    """Yield some rows of the features, with those of the other columns."""
    start = 0
    for chunk in _chunks(extraction):
        yield table.slice(start, len(chunk)), chunk
        start += len(chunk)
