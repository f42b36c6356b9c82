"""Small archives of images: ZIP files, shards, Parquet and Arrow tables."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RECORD = "bytes", "path"


def pictures(n: int, seed: int = 0) -> list[bytes]:
    """PNG files of 8 x 8 pixels, all different."""
    rng = np.random.default_rng(seed)
    files = []
    for _ in range(n):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def image_table(data: Sequence[bytes | None], *, names: Sequence[str] = (), **columns: Any) -> Any:
    """A table with a column `image` as the library `datasets` writes it; integers in `label` stand for `names`."""
    import pyarrow as pa

    files = columns.pop("files", [None] * len(data))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([dict(zip(RECORD, pair, strict=True)) for pair in zip(data, files, strict=True)], kind)
    table = pa.table({"image": cells, **columns})
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if names:
        features["label"] = {"names": list(names), "_type": "ClassLabel"}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_parquet(path: Path, table: Any, rows: int = 4) -> Path:
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=rows)
    return path


def write_arrow(path: Path, table: Any, rows: int = 4) -> Path:
    import pyarrow as pa

    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, rows)
    return path
