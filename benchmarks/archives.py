"""How long it takes to list, read and extract images as files, and inside a ZIP, tar shards and a Parquet file.

    python benchmarks/archives.py [--images 20000] [--repeats 5] [--folder FOLDER]

Each reading is a process of its own, which has read a few other images before. Then names and pages of all files are
dropped from the system's memory (Linux, for root), or else the pages of these files alone, as far as the system does
this for a user; names that stay in memory are in favour of the folder of files. The same is done before
features are computed, by EfficientNet-Lite0 at 64 x 64 pixels.
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
FEW = 64  # images that are read before
STEPS = ("list", "digests", "both", "digests again", "first row", "all rows")


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
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return
    except OSError:
        pass
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


def measure(place: str, few: str, cache: str) -> None:
    """List, read and extract images in this process; prints seconds, and megabytes of memory more than before."""
    from featx import extract
    from featx.data import read_data
    from featx.features.hashing import hash_images
    from featx.store import StatCache

    hash_images(read_data(few).items, "fail", StatCache(Path(f"{cache}-few")))  # imports what this needs
    drop_pages(Path(place))
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
    extract(few, size=64, cache=f"{cache}-few")  # loads what this needs
    drop_pages(Path(place))
    began = time.perf_counter()
    rows: list[float] = []

    def listen(stage: str, done: int, total: int) -> None:
        if stage == "extracting" and done > 0:
            rows.append(time.perf_counter() - began)

    extract(place, size=64, cache=f"{cache}-rows", progress=listen)
    seconds = [listed - start, cold - listed, cold - start, warm - cold, rows[0], time.perf_counter() - began]
    print(json.dumps([*seconds, memory, digest]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(*given.measure)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        places = write(Path(name, "all"), given.images)
        few = write(Path(name, "few"), FEW)
        time.sleep(3)  # the stat cache takes no file that has just changed
        results: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
        for repeat in range(given.repeats):
            for kind, place in places.items():
                command = [sys.executable, __file__, "--measure", str(place), str(few[kind])]
                command.append(f"{name}/cache-{kind}-{repeat}")
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                results[kind].append(json.loads(output.splitlines()[-1]))
        assert len({tuple(sorted(row[-1] for row in rows)) for rows in results.values()}) == 1, "other digests"
        print(f"{given.images} images, {os.cpu_count()} cores; medians of {given.repeats}; × is files / this")
        print("kind    ", "".join(f"{step + ' s':16}" for step in STEPS), "memory MB")
        base = [statistics.median(column) for column in zip(*results["files"], strict=True)]
        for kind, rows in results.items():
            middle = [statistics.median(column) for column in zip(*rows, strict=True)]
            cells = [f"{value:7.3f} ×{of / value:5.1f}" for value, of in zip(middle[:-2], base[:-2], strict=True)]
            print(f"{kind:8}", "  ".join(cells), f"{middle[-2]:8.0f}")


if __name__ == "__main__":
    main()
