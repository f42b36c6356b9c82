"""What each fitting engine reaches, seed by seed: test accuracy, loss and seconds.

    python benchmarks/seeds.py DATA [--recipe covid4-vgg16] [--seeds 5] [--epochs 30] [--engines fused,keras]
                               [--cache cache] [-- more options of featx fit-head]

Every fit is a process of its own; the features are computed once and reused. Prints a JSON line a fit and a
table at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="covid4-vgg16")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--engines", default="fused,keras")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("more", nargs="*")
    options = parser.parse_args()
    rows = [fit(options, engine, seed) for seed in range(options.seeds) for engine in options.engines.split(",")]
    for engine in options.engines.split(","):
        own = [row for row in rows if row["engine"] == engine]
        correct = [row["test"]["correct"] for row in own]
        losses = [round(row["test"]["loss"], 2) for row in own]
        seconds = [round(row["seconds"]["fit"], 1) for row in own]
        print(f"{engine}: test {correct} of {own[0]['test']['n']}, loss {losses}, fit {seconds} s")


def fit(options: argparse.Namespace, engine: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from featx.cli import main; main()", "fit-head", str(options.data)]
        command += ["--recipe", options.recipe, "--epochs", str(options.epochs), "--seed", str(seed), "--json"]
        command += ["--engine", engine, "--out", f"{folder}/run", "--cache", str(options.cache), *options.more]
        row: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(
        json.dumps({"seed": seed, **{key: row[key] for key in ("engine", "test", "validation", "seconds")}}),
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
