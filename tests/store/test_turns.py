"""Turns: one at a time, given up by whoever ends, and no obstacle where there are no locks."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import SIZE, small_data

import featx
from featx.features import transformer
from featx.store.admin import gc, info
from featx.store.store import Store
from featx.store.turns import turn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


def test_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with turn(tmp_path):
            order.append("second")

    other = threading.Thread(target=second)
    with turn(tmp_path):
        other.start()
        assert begun.wait(10)
        other.join(0.2)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_a_killed_process_gives_its_turn_up(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom featx.store.turns import turn\n"
        "with turn(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()
        with turn(tmp_path):
            pass


def test_turns_of_two_caches_are_two(tmp_path: Path) -> None:
    with turn(tmp_path / "a"), turn(tmp_path / "b"):
        pass


def test_the_cache_is_looked_after_all_the_same(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.space({"kind": "test"}).writer() as writer:
        writer.add([("ab" * 32, 0)], np.ones((1, 3)))
    before = info(store)
    with turn(tmp_path):
        assert info(store) == before
        assert gc(store, older_than_seconds=0).leftovers == 0
    assert (tmp_path / "turn.lock").read_bytes() == b""


def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with turn(tmp_path / "file"):
        pass


def test_who_waited_takes_what_was_computed(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=1, test=0, classes=2)
    extractor = featx.FeatureExtractor(
        backbone=str(tiny_model), size=SIZE, preprocess="rescale", pooling="none", cache=tmp_path / "cache"
    )
    found: list[np.ndarray] = []
    computed: list[object] = []
    monkeypatch.setattr(transformer, "compute", lambda *arguments: computed.append(arguments))
    waiting = threading.Thread(target=lambda: found.append(extractor.fit_transform(sorted(data.rglob("*.png")))))
    with turn(tmp_path / "cache"):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        table = featx.extract(data, extractor._wanted(), cache=tmp_path / "cache").table()
    waiting.join(30)
    assert computed == []
    np.testing.assert_array_equal(found[0], table.X)
