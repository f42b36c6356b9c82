"""The lock of a cache: one holder at a time, released with its process, and no obstacle where there are no locks."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import SIZE, small_data

import featx
from featx.features import transformer
from featx.store.store import Store


def test_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with Store(tmp_path).lock():
            order.append("second")

    other = threading.Thread(target=second)
    with Store(tmp_path).lock():
        other.start()
        assert begun.wait(10)
        other.join(0.2)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_a_killed_process_releases_the_lock(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom featx.store import Store\n"
        "with Store(Path(sys.argv[1])).lock():\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()
        with Store(tmp_path).lock():
            pass


def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Store(tmp_path / "file").lock():
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_obstacle(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", fail)
    with Store(tmp_path).lock(), Store(tmp_path).lock():
        pass


def test_a_process_that_waited_uses_the_rows_of_the_other(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=1, test=0, classes=2)
    extractor = featx.FeatureExtractor(
        backbone=str(tiny_model), size=SIZE, preprocess="rescale", pooling="none", cache=tmp_path / "cache"
    )
    rows: list[np.ndarray] = []
    computed: list[object] = []
    monkeypatch.setattr(transformer, "compute", lambda *arguments: computed.append(arguments))
    waiting = threading.Thread(target=lambda: rows.append(extractor.fit_transform(sorted(data.rglob("*.png")))))
    with Store(tmp_path / "cache").lock():
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        table = featx.extract(data, extractor._wanted(), cache=tmp_path / "cache").table()
    waiting.join(30)
    assert computed == []
    np.testing.assert_array_equal(rows[0], table.X)
