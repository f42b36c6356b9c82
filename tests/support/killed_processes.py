"""Commands in processes of their own that are killed at a chosen write or moment, and what is in a cache afterwards.

Rows are read with pyarrow alone, as `docs/cache.md` describes the files: no fault of the store can hide there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from pipeline_data import VIEWS, small_data, small_recipe, write_model

from featx.images import DECODE_RULE
from featx.recipes import dump_recipe
from featx.store import Store

PATIENCE = 300
N_VIEWS = 3
BATCH = 4
# Every batch becomes a shard. Before the chosen change to a file below the folder `below` the process kills itself.
SCRIPT = """
import os, signal, sys
from featx.cli import main
from featx.features import compute

compute.FLUSH_SECONDS = -1.0
last, below, count = int(os.environ["KILL_AT_WRITE"]), os.environ["KILL_BELOW"], 0
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}

def changes(event, arguments):
    if event == "open":
        return isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    return event in CHANGES

def hook(event, arguments):
    global count
    if not changes(event, arguments) or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return
    if os.path.abspath(os.fsdecode(arguments[0])).startswith(below):
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

if last:
    sys.addaudithook(hook)
main()
"""

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Workshop:
    """Where commands run: data, a recipe with augmented views on a small network, and a cache that has all its rows.

    Attributes:
        root: The folder of all.
        engine: What runs the network: `openvino` or `keras`.
        rows: Rows that no kill has disturbed.
    """

    root: Path
    engine: str
    rows: dict[Key, bytes] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def recipe(self) -> Path:
        return self.root / "small.toml"

    @property
    def whole(self) -> Path:
        """The cache that has all rows."""
        return self.root / "whole"

    def extract(self, cache: Path) -> list[object]:
        words = ["extract", self.data, "--recipe", self.recipe, "--cache", cache, "--json"]
        return [*words, "--batch-size", BATCH, "--engine", self.engine]

    def fit(self, cache: Path, out: Path) -> list[object]:
        return ["fit-head", self.data, "--recipe", self.recipe, "--cache", cache, "--out", out, "--json"]

    def start(
        self,
        words: Sequence[object],
        *,
        write: int = 0,
        below: Path | None = None,
        before: Sequence[str] = (),
        changes: Mapping[str, str | None] = MappingProxyType({}),
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start a command.

        Args:
            words: Its words without `featx`.
            write: It is killed before its change of this number to a file below the folder `below`; 0: not at all.
            below: A folder, else that of all.
            before: A command that runs the command.
            changes: To the variables of its environment; None removes one.
            options: Of `subprocess.Popen`.
        """
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "KILL_AT_WRITE": str(write),
            "KILL_BELOW": str(below or self.root),
            **{name: value for name, value in changes.items() if value is not None},
        }
        for name in changes.keys() & environment.keys():
            if changes[name] is None:
                del environment[name]
        command = [*before, sys.executable, "-B", "-c", SCRIPT, *map(str, words)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, **({"cwd": self.root} | pipes | options))

    def run(self, words: Sequence[object], **options: Any) -> Ended:
        """Run a command to its end, with the options of `start`."""
        return ended(self.start(words, **options))

    def run_to(self, seconds: float, words: Sequence[object]) -> Ended:
        """Run a command and kill it after this time, if it has not ended before."""
        process = self.start(words)
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
        return ended(process)

    def empty_cache(self, cache: Path) -> Path:
        """A cache that has the converted network and nothing else, so that no command waits for TensorFlow."""
        shutil.rmtree(cache, ignore_errors=True)
        return Path(shutil.copytree(self.whole, cache, ignore=shutil.ignore_patterns("features", "stat-cache")))

    def full_cache(self, cache: Path) -> Path:
        """A copy of the cache that has all rows."""
        shutil.rmtree(cache, ignore_errors=True)
        return Path(shutil.copytree(self.whole, cache))

    def check(self, cache: Path, rows: Mapping[Key, bytes] | None = None) -> int:
        """Check that all rows stored are right, bit for bit, and that no shard is damaged; returns their number.

        `rows` are the right ones, if there are others beside those of an extraction.
        """
        right = self.rows if rows is None else rows
        stored = stored_rows(cache)
        assert [key for key, row in stored.items() if right.get(key) != row] == []
        return len(stored)


# The space in which the bit depths of images are kept, beside their features.
SAMPLE_RANGES = Store(Path()).space({"kind": "sample ranges", "decode": DECODE_RULE}).id


def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out, err)


def workshop(root: Path, engine: str) -> Workshop:
    """Make the data, the network and the recipe, and compute all rows, also those that `compare` and a head need."""
    root.mkdir(exist_ok=True)
    place = Workshop(root, engine)
    small_data(place.data, train=4, test=2, classes=3)
    recipe = small_recipe(write_model(root / "small.keras"), name="small", views=VIEWS | {"count": N_VIEWS})
    place.recipe.write_text(dump_recipe(recipe), "utf-8")
    done = place.run(place.extract(place.whole))
    assert (done.code, done.json["computed"]) == (0, 3 * 4 * N_VIEWS + 3 * 2), done.err
    place.rows.update(stored_rows(place.whole))
    assert len(place.rows) == done.json["rows"]
    return place


def stored_rows(cache: Path, features: str = "features") -> dict[Key, bytes]:
    """The bytes of every row of features by set, digest and view; fails if a shard is not what its name says."""
    rows: dict[Key, bytes] = {}
    for shard in sorted((cache / features).glob("*/*.arrow")):
        content = shard.read_bytes()
        assert hashlib.sha256(content).hexdigest() == shard.stem
        if shard.parent.name == SAMPLE_RANGES:
            continue
        table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        for digest, view, row in zip(table["digest"], table["view"], table["features"], strict=True):
            key = (shard.parent.name, digest.as_py().hex(), view.as_py())
            content = row.values.to_numpy().tobytes()
            assert rows.setdefault(key, content) == content
    return rows
