"""Time and peak memory of an exact search among many rows of features.

    python benchmarks/search.py [--rows 10000,100000] [--width 1280] [--queries 1,10,100] [--k 10]

Draws rows as the features of networks are, half of them zero, and searches them in a process of its own for each
setting. Prints the seconds of the search, and the peak resident memory beside that of the rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

from featx.features import nearest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--queries", default="1,10,100")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--one", action="store_true", help="Measure in this process.")
    options = parser.parse_args()
    settings = [(int(n), int(m)) for n in options.rows.split(",") for m in options.queries.split(",")]
    if options.one:
        print(json.dumps(measured(*settings[0], options.width, options.k)), flush=True)
        return
    for n, m in settings:
        words = ["--one", "--rows", str(n), "--queries", str(m), "--width", str(options.width), "--k", str(options.k)]
        subprocess.run([sys.executable, __file__, *words], check=True)


def measured(n: int, m: int, width: int, k: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    X = np.empty((n, width), np.float32)
    for start in range(0, n, 1000):  # so that drawing takes no memory of its own
        part = X[start : start + 1000]
        np.maximum(generator.standard_normal(part.shape, np.float32), 0, out=part)
    before = peak_mb()
    begun = time.perf_counter()
    nearest(X, X[:m].copy(), k)
    seconds = time.perf_counter() - begun
    return {
        "rows": n,
        "width": width,
        "queries": m,
        "k": k,
        "seconds": round(seconds, 2),
        "rows_mb": round(X.nbytes / 2**20),
        "search_mb": round(peak_mb() - before),
    }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
