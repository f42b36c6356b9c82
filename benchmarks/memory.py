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
            words = ["extract", str(data), "--cache", str(Path(folder) / "cache"), "--backbone", options.backbone]
            words += ["--weights", options.weights, "--engine", options.engine, "--json"]
            extraction, peak_mb = run_featx(words)
            row = {
                "images": count,
                "engine": extraction["engine"],
                "peak_mb": peak_mb,
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


def run_featx(words: list[str]) -> tuple[dict[str, Any], int]:
    """Run a command of featx in a process of its own; return its JSON and its peak resident memory in MB."""
    command = [sys.executable, "-c", "from featx.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        out = process.stdout.read() if process.stdout else ""
        # wait4 gives the peak of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return json.loads(out), round(usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
