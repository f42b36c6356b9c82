"""Shared by the tests of the store: rows whose values show their key, in a cache of several shards."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.store import RowKey, Space, Store

DESCRIPTION: dict[str, Any] = {"backbone": {"name": "vgg16", "weights": "abc"}, "size": 224, "titre": "été"}


def some_keys(n: int, view: int = 0) -> list[RowKey]:
    return [(hashlib.sha256(str(i).encode()).hexdigest(), view) for i in range(n)]


def rows_of(keys: Sequence[RowKey], dim: int = 8) -> NDArray[np.float32]:
    """Rows whose values show their key."""
    seeds = [int(digest[:4], 16) + view for digest, view in keys]
    return np.add.outer(np.array(seeds, np.float32), np.arange(dim, dtype=np.float32)).astype(np.float32)


def fill(
    root: Path,
    keys: Sequence[RowKey],
    dim: int = 8,
    per_shard: int = 1000,
    description: dict[str, Any] = DESCRIPTION,
    **options: Any,
) -> Space:
    space = Store(root).space(description)
    for first in range(0, len(keys), per_shard):
        with space.writer(**options) as writer:
            part = keys[first : first + per_shard]
            writer.add(part, rows_of(part, dim))
    return space


def reopened(root: Path) -> Space:
    return Store(root).space(DESCRIPTION)


def write_then(space: Space, keys: Sequence[RowKey], end: BaseException | None = None, dim: int = 8) -> None:
    """Add the rows one shard a key, then leave the writer by this exception."""
    with space.writer() as writer:
        for key in keys[:-1]:
            writer.add([key], rows_of([key], dim))
            writer.flush()
        writer.add(keys[-1:], rows_of(keys[-1:], dim))
        if end is not None:
            raise end


def shard_files(space: Space) -> list[Path]:
    return sorted(space.path.glob("*.arrow"))


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


PREAMBLE = """
import sys, time
from pathlib import Path
import numpy as np
from featx.errors import StoreError
from featx.store import Store
from stored_rows import DESCRIPTION, rows_of, some_keys
space = Store(Path(sys.argv[1])).space(DESCRIPTION)
"""


def start(script: str, root: Path) -> subprocess.Popen[str]:
    """Run a script in another process, with `space` being the space at `root`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", PREAMBLE + script, str(root)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output
