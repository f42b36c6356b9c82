"""Export rows to files for other tools: NumPy's .npz and Parquet, written in chunks."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from featx.errors import UsageError
from featx.features.extraction import Extraction
from featx.features.spaces import ViewRows
from featx.files import write_file
from featx.limits import check_disk

ROWS_AT_ONCE = 1024


def check_export(path: Path) -> None:
    """Check that the ending names a format that can be written.

    Raises:
        UsageError: It is neither .npz nor .parquet.
    """
    if path.suffix.lower() not in (".npz", ".parquet"):
        raise UsageError(f"Expected --export to a file ending in .npz or .parquet, received {path.name}.")


def export_rows(extraction: Extraction, path: Path) -> Path:
    """Write all rows of an extraction with their images' columns.

    Columns: `id`, `label`, `split`, `group`, `view`, `sha256` and the features (`X` in .npz, a list column
    `features` in .parquet). Missing labels and groups are empty in .npz and null in .parquet. The features go
    through memory a thousand rows at a time.

    Raises:
        UsageError: The file's ending names no known format.
        StoreError: The file cannot be written.
        ResourcesError: It does not fit onto the disk.
    """
    check_export(path)
    check_disk(
        4 * extraction.dim * extraction.rows, path.parent, f"writing {path.name}", "export fewer views or images"
    )
    write = _write_npz if path.suffix.lower() == ".npz" else _write_parquet
    return write_file(path, lambda draft: write(extraction, draft))


def _sources(extraction: Extraction) -> list[tuple[ViewRows, dict[str, list[Any]]]]:
    """Return the train split with all its views, then the other images."""
    views = extraction.spec.views.count
    sources = []
    for count, train in ((views, True), (1, False)):
        images = [image for image in extraction.images if (image.item.split == "train") == train]
        if not images:
            continue
        every = [(image, view) for image in images for view in range(count)]
        columns: dict[str, list[Any]] = {
            "id": [image.item.id for image, _ in every],
            "label": [image.item.label for image, _ in every],
            "split": [image.item.split for image, _ in every],
            "group": [image.item.group for image, _ in every],
            "view": [view for _, view in every],
            "sha256": [image.digest for image, _ in every],
        }
        sources.append((extraction.view_rows(images, count), columns))
    return sources


def _write_npz(extraction: Extraction, path: Path) -> None:
    sources = _sources(extraction)
    n = sum(rows.shape[0] for rows, _ in sources)
    with zipfile.ZipFile(path, "w") as archive:
        for name in sources[0][1]:
            values = [value for _, columns in sources for value in columns[name]]
            column = np.array(["" if value is None else value for value in values])
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, column, allow_pickle=False)
        with archive.open("X.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n, extraction.dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for rows, _ in sources:
                for chunk in rows.chunks(ROWS_AT_ONCE):
                    file.write(np.ascontiguousarray(chunk, "<f4").tobytes())


def _write_parquet(extraction: Extraction, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = [(name, pa.string()) for name in ("id", "label", "split", "group")]
    features = ("features", pa.list_(pa.float32(), extraction.dim))
    schema = pa.schema([*text, ("view", pa.int32()), ("sha256", pa.string()), features])
    with pq.ParquetWriter(path, schema) as writer:
        for rows, columns in _sources(extraction):
            start = 0
            for chunk in rows.chunks(ROWS_AT_ONCE):
                part = {name: values[start : start + len(chunk)] for name, values in columns.items()}
                flat = pa.array(chunk.ravel(), pa.float32())
                part["features"] = pa.FixedSizeListArray.from_arrays(flat, extraction.dim)
                writer.write_table(pa.table(part, schema=schema))
                start += len(chunk)
