"""Real processes: killed, interrupted, two at once, on a full disk, on a cache that may only be read."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from disks import read_only
from pipeline_data import SIZE, files_of, small_data, small_recipe

from featx.features import compute as computing
from featx.features.choice import default_recipe
from featx.features.extraction import Extraction, extract
from featx.recipes import Recipe
from featx.runs import fit_head
from featx.store import Store

pytestmark = pytest.mark.slow

N = 60
BATCH = 4
PATIENCE = 120

# Every batch becomes a shard, and the network is slow enough to be caught at work.
SLOW = """
import sys, time
from featx.cli import main
from featx.features import compute as computing
from featx.networks import build as networks

computing.FLUSH_SECONDS = -1.0

def slow(quick):
    def stream(self, batches):
        for rows in quick(self, batches):
            time.sleep(0.2)
            yield rows
    return stream

for network in (networks.KerasNetwork, networks.OpenVINONetwork):
    network.stream = slow(network.stream)
main()
"""
PLAIN = "from featx.cli import main; main()"
TELLING_IMPORTS = """
import sys
from featx.cli import main

try:
    main()
finally:
    print(sorted({"tensorflow", "keras", "torch", "openvino"} & set(sys.modules)), file=sys.stderr)
"""
# What every command says first of the data.
SURVEY = "Data: 60 images, 4 classes; train: covid 15, normal 15, pneumonia_bac 15, pneumonia_vir 15.\n"
# What a Python program may leave in a home without featx having a part in it.
NOT_OURS = {".keras", ".config", ".cache", ".nv"}


@dataclass
class Place:
    """Where children run: a model, data, and an empty working directory and home of their own."""

    model: Path
    data: Path
    cwd: Path
    home: Path
    spec: Recipe
    expected: Extraction

    def start(self, script: str, arguments: list[object], *options: str) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(self.home)}
        command = [sys.executable, *options, "-c", script, *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def extract(self, cache: Path, script: str = PLAIN, *options: str) -> subprocess.Popen[str]:
        given = ["--backbone", self.model, "--size", SIZE, "--batch-size", BATCH, "--cache", cache, "--json"]
        return self.start(script, ["extract", self.data, *given], *options)

    def finish_here(self, cache: Path) -> Extraction:
        return extract(self.data, self.spec, cache=cache, batch_size=BATCH)

    def check_rows(self, found: Extraction) -> None:
        assert found.table().digests == self.expected.table().digests
        np.testing.assert_array_equal(found.table().X, self.expected.table().X)

    def stored(self, cache: Path) -> int:
        return Store(cache).space(self.expected.space.plain.description).stored()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def wait_until(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the process did not come so far: {process.communicate()}")
        time.sleep(0.02)


def check_one_sentence(text: str) -> None:
    """Check what is on standard error after the line on the data."""
    assert text.startswith("Data: "), text
    assert text.count("\n") == 2, text
    assert "Traceback" not in text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Place:
    root = tmp_path_factory.mktemp("processes")
    data = small_data(root / "data", train=N // 4, test=0)
    for name in ("cwd", "home"):
        (root / name).mkdir()
    spec = default_recipe(str(tiny_model)).replaced({"images.size": SIZE})
    expected = extract(data, spec, cache=root / "expected", batch_size=BATCH)
    return Place(tiny_model, data, root / "cwd", root / "home", spec, expected)


@pytest.fixture
def warm(place: Place, tmp_path: Path) -> Path:
    """A cache that has all rows."""
    return Path(shutil.copytree(place.expected.store.root, tmp_path / "warm"))


def test_killed_runs_lose_only_what_was_not_written(place: Place, tmp_path: Path) -> None:
    cache, moments, kept = tmp_path / "cache", random.Random(0), 0
    for _ in range(3):
        process = place.extract(cache, SLOW)
        before = kept
        wait_until(process, lambda: place.stored(cache) > before)  # noqa: B023 (called before the next iteration)
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.communicate()
        kept = place.stored(cache)
    found = place.finish_here(cache)
    assert (found.rows, found.computed) == (N, N - kept)
    assert kept >= 3 * BATCH
    place.check_rows(found)
    assert not list(cache.rglob("set-aside"))


def test_an_interrupt_keeps_finished_rows(place: Place, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    process = place.extract(cache, SLOW)
    wait_until(process, lambda: place.stored(cache) > 0)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", f"{SURVEY}Interrupted; finished rows are kept.\n")
    kept = place.stored(cache)
    found = place.finish_here(cache)
    assert found.computed == N - kept
    place.check_rows(found)
    assert list(place.cwd.iterdir()) == []
    assert {path.name for path in place.home.iterdir()} <= NOT_OURS


def test_two_processes_at_once_end_right(place: Place, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    both = [place.extract(cache, SLOW) for _ in range(2)]
    for process in both:
        code, out, err = ended(process)
        assert (code, json.loads(out)["rows"]) == (0, N), err
    third = place.finish_here(cache)
    assert (third.rows, third.computed) == (N, 0)
    place.check_rows(third)


def cut_short(content: bytearray) -> bytes:
    return bytes(content[: len(content) // 2])


def flip_a_bit(content: bytearray) -> bytes:
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit])
def test_a_damaged_shard_is_computed_again(
    damage: Callable[[bytearray], bytes],
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(computing, "FLUSH_SECONDS", -1.0)
        made = place.finish_here(tmp_path / "cache")
    shards = sorted(made.space.plain.path.glob("*.arrow"))
    assert len(shards) == N // BATCH
    shards[3].write_bytes(damage(bytearray(shards[3].read_bytes())))
    found = place.finish_here(tmp_path / "cache")
    assert (found.rows, found.computed) == (N, BATCH)
    place.check_rows(found)
    assert (shards[3].parent / "set-aside" / shards[3].name).exists()
    assert sum(shards[3].name in record.getMessage() for record in caplog.records) == 1
    assert place.finish_here(tmp_path / "cache").computed == 0


# Rows of four images make a shard larger than this; what is known of the network is smaller.
FULL_DISK = (
    """
import resource
import featx.features.extraction

resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
"""
    + SLOW
)


def test_a_full_disk_keeps_earlier_rows(place: Place, tmp_path: Path) -> None:
    some = tmp_path / "some" / "train" / "all"
    some.mkdir(parents=True)
    for path in files_of(place.data)[:: N // 8][:8]:
        shutil.copy(path, some)
    cache = tmp_path / "cache"
    assert extract(tmp_path / "some", place.spec, cache=cache, batch_size=BATCH).computed == 8
    # Without -B, Python would leave truncated .pyc files behind.
    code, out, err = ended(place.extract(cache, FULL_DISK, "-B"))
    assert (code, out) == (1, "")
    check_one_sentence(err)
    assert err.startswith(f"{SURVEY}No space is left to write the cache at")
    assert "; 8 rows are kept; free some space" in err
    found = place.finish_here(cache)
    assert (found.rows, found.computed) == (N, N - 8)
    place.check_rows(found)


def test_a_cache_that_may_only_be_read_serves_what_it_has(place: Place, warm: Path) -> None:
    new = small_data(place.home.parent / "more", train=1, test=0, classes=1, seed=9)
    arguments = ["extract", new, "--backbone", place.model, "--size", SIZE, "--cache", warm]
    with read_only(warm):
        code, out, err = ended(place.extract(warm))
        assert (code, err) == (0, SURVEY)
        assert (json.loads(out)["rows"], json.loads(out)["computed"]) == (N, 0)
        code, out, err = ended(place.start(PLAIN, arguments))
    assert (code, out) == (1, "")
    check_one_sentence(err)
    assert "cannot be written" in err
    assert "(--cache or FEATX_CACHE)" in err


def test_warm_commands_load_no_network(place: Place, warm: Path, tmp_path: Path) -> None:
    fit_head(place.data, small_recipe(place.model, {"fit.epochs": 1}), out=tmp_path / "run", cache=warm)
    extracting = place.extract(warm, TELLING_IMPORTS)
    drawing = place.start(TELLING_IMPORTS, ["visualize", tmp_path / "run", "--cache", warm, "--json"])
    code, out, err = ended(extracting)
    assert (code, json.loads(out)["computed"], err) == (0, 0, f"{SURVEY}[]\n")
    code, out, err = ended(drawing)
    assert (code, json.loads(out)["n"], err.splitlines()[-1]) == (0, N, "[]")
    assert list(place.cwd.iterdir()) == []
    assert {path.name for path in place.home.iterdir()} <= NOT_OURS
