"""How long it takes to list and to read images as files, and inside a ZIP, tar shards and a Parquet file.

    python benchmarks/archives.py [--images 20000] [--repeats 3] [--folder FOLDER]

Each reading is a process of its own, after the pages of the files were dropped from memory as far as the system does
this for a user; names of files stay in its memory, which is in favour of the folder of files.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("covid", "normal", "bacterial", "viral")
SHARDS = 20
KINDS = ("files", "zip", "tar", "parquet")


def images(n: int) -> list[bytes]:
    """JPEGs of 64 x 64 pixels, all different."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(n):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        small.resize((64, 64), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def write(folder: Path, n: int) -> dict[str, Path]:
    """The same images in four ways."""
    import pyarrow as pa
    from pyarrow import parquet

    data = images(n)
    labels = [CLASSES[i % len(CLASSES)] for i in range(n)]
    places = {kind: folder / kind for kind in KINDS}
    places["zip"] = folder / "images.zip"
    places["parquet"] = folder / "images.parquet"
    for name in CLASSES:
        (places["files"] / name).mkdir(parents=True)
    with zipfile.ZipFile(places["zip"], "w") as archive:
        for i, (label, content) in enumerate(zip(labels, data, strict=True)):
            (places["files"] / label / f"{i:06d}.jpg").write_bytes(content)
            archive.writestr(f"{label}/{i:06d}.jpg", content)
    places["tar"].mkdir()
    for shard in range(SHARDS):
        with tarfile.open(places["tar"] / f"shard-{shard:06d}.tar", "w") as tar:
            for i in range(shard * n // SHARDS, (shard + 1) * n // SHARDS):
                for ending, content in (("jpg", data[i]), ("cls", labels[i].encode())):
                    info = tarfile.TarInfo(f"{i:06d}.{ending}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    cells = pa.array([{"bytes": content, "path": None} for content in data])
    parquet.write_table(pa.table({"image": cells, "label": labels}), places["parquet"], row_group_size=1000)
    return places


def drop_pages(place: Path) -> None:
    os.sync()
    for path in [place] if place.is_file() else place.rglob("*.*"):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def peak(*, forget: bool = False) -> float:
    """The most megabytes of memory that this process had, or since this was forgotten (Linux)."""
    if forget:
        Path("/proc/self/clear_refs").write_text("5")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024


def measure(place: str, cache: str) -> None:
    """List and read images in this process; prints seconds, and megabytes of memory more than before."""
    import pyarrow as pa
    import pyarrow.parquet

    from featx.data import read_data
    from featx.features.hashing import hash_images
    from featx.store import StatCache

    pa.array(["imports what PyArrow needs"])
    before = peak(forget=True)
    start = time.perf_counter()
    dataset = read_data(place)
    listed = time.perf_counter()
    hashed, _ = hash_images(dataset.items, "fail", StatCache(Path(cache)))
    cold = time.perf_counter()
    hash_images(dataset.items, "fail", StatCache(Path(cache)))
    warm = time.perf_counter()
    memory = peak() - before
    digest = sum(int(image.digest[:12], 16) for image in hashed)
    print(json.dumps([listed - start, cold - listed, listed - start + cold - listed, warm - cold, memory, digest]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(*given.measure)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        places = write(Path(name), given.images)
        time.sleep(3)  # the stat cache takes no file that has just changed
        results: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
        for repeat in range(given.repeats):
            for kind, place in places.items():
                drop_pages(place)
                command = [sys.executable, __file__, "--measure", str(place), f"{name}/cache-{kind}-{repeat}"]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                results[kind].append(json.loads(output.splitlines()[-1]))
        assert len({tuple(sorted(row[5] for row in rows)) for rows in results.values()}) == 1, "other digests"
        print(f"{given.images} images, {os.cpu_count()} cores; medians of {given.repeats}; × is files / this")
        print("kind      list s          digests s       both s          digests again s  memory MB")
        base = [statistics.median(column) for column in zip(*results["files"], strict=True)]
        for kind, rows in results.items():
            middle = [statistics.median(column) for column in zip(*rows, strict=True)]
            cells = [f"{value:7.3f} ×{of / value:5.1f}" for value, of in zip(middle[:4], base[:4], strict=True)]
            print(f"{kind:8}", "  ".join(cells), f"{middle[4]:8.0f}")


if __name__ == "__main__":
    main()
