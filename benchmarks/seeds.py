"""Test accuracy, loss, seconds and peak memory of each engine that trains heads, for several seeds.

    python benchmarks/seeds.py DATA [--recipe covid4-vgg16] [--seeds 5] [--epochs 30] [--engines fused,keras]
                               [--cache cache]

Each training runs in a process of its own; the features are computed once and reused. Prints one line of JSON for
each training, and at the end one line for each engine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from memory import run_featx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="covid4-vgg16")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--engines", default="fused,keras")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    options = parser.parse_args()
    engines = options.engines.split(",")
    rows = [fit(options, engine, seed) for engine in engines for seed in range(options.seeds)]
    for engine in engines:
        own = [row for row in rows if row["engine"] == engine]
        correct = [row["test"]["correct"] for row in own]
        losses = [round(row["test"]["loss"], 2) for row in own]
        seconds = [round(row["seconds"]["fit"], 1) for row in own]
        peak = max(row["peak_mb"] for row in own)
        print(f"{engine}: test {correct} of {own[0]['test']['n']}, loss {losses}, fit {seconds} s, peak {peak} MB")


def fit(options: argparse.Namespace, engine: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        words = ["fit-head", str(options.data), "--recipe", options.recipe, "--epochs", str(options.epochs)]
        words += ["--engine", engine, "--seed", str(seed), "--json"]
        words += ["--out", f"{folder}/run", "--cache", str(options.cache)]
        result, peak_mb = run_featx(words)
    row = {**result, "peak_mb": peak_mb}
    shown = {key: row[key] for key in ("engine", "test", "validation", "seconds", "peak_mb")}
    print(json.dumps({"seed": seed, **shown}), flush=True)
    return row


if __name__ == "__main__":
    main()
