"""Peak memory of `featx extract`, which must not grow with the number of images.

    python benchmarks/memory.py [--counts 500,5000] [--backbone mobilenetv2] [--weights random] [--engine auto]

Generates 224 × 224 JPEGs of seeded noise, extracts each number of them in a process of its own, and prints the peak
resident memory and the images a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="500,5000")
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    for count in map(int, options.counts.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            data = generated(Path(folder) / "data", count)
            megabytes, extraction = measured(
                data, Path(folder) / "cache", options.backbone, options.weights, options.engine
            )
            row = {
                "images": count,
                "engine": extraction["engine"],
                "peak_mb": round(megabytes),
                "images_per_second": extraction["images_per_second"],
            }
            print(json.dumps(row), flush=True)


def generated(root: Path, count: int) -> Path:
    generator = np.random.default_rng(0)
    for number in range(count):
        folder = root / f"class-{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(generator.integers(0, 256, (28, 28), np.uint8))
        coarse.resize((224, 224), Image.Resampling.BICUBIC).save(folder / f"{number:06d}.jpg", quality=85)
    return root


def measured(data: Path, cache: Path, backbone: str, weights: str, engine: str) -> tuple[float, dict[str, Any]]:
    words = ["extract", str(data), "--backbone", backbone, "--weights", weights, "--cache", str(cache), "--json"]
    words += ["--engine", engine]
    command = [sys.executable, "-c", "from featx.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        out = process.stdout.read() if process.stdout else ""
        # wait4 gives the peak of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return usage.ru_maxrss / 1024, json.loads(out)


if __name__ == "__main__":
    main()
