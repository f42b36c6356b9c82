from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import featx
from featx.sweeps.worker_processes import limit_threads

SCRIPT = """
import os, sys, time
from pathlib import Path
from featx.errors import FeatxError
from featx.sweeps.worker_processes import in_processes

HERE = Path(sys.argv[1])

def work(task):
    (HERE / f"begun-{task}").write_text(str(os.getpid()))
    if (HERE / f"kill-{task}").exists():
        os._exit(9)
    if (HERE / f"fail-{task}").exists():
        raise FeatxError("this one fails")
    while not (HERE / "go").exists():
        time.sleep(0.02)
    (HERE / f"ended-{task}").write_text(os.environ["OMP_NUM_THREADS"])
    return task * task

if __name__ == "__main__":
    try:
        for task, result in in_processes(work, range(6), 2, 1):
            print(task, result, flush=True)
    except FeatxError as error:
        print("FeatxError:", error)
    except KeyboardInterrupt:
        print("interrupted")
"""

needs_signals = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


@contextmanager
def run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(featx.__file__).parents[1])}
    command = [sys.executable, str(folder / "script.py"), str(folder)]
    with subprocess.Popen(
        command, env=environment, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            (folder / "go").touch()
            process.kill()


def output(process: subprocess.Popen[str], folder: Path) -> tuple[str, str]:
    """Let the tasks end, and return what the process has written on standard output and standard error."""
    (folder / "go").touch()
    return process.communicate(timeout=120)


def wait_for(folder: Path, pattern: str, number: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(folder.glob(pattern))) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def names(folder: Path, kind: str) -> set[str]:
    return {path.name.removeprefix(f"{kind}-") for path in folder.glob(f"{kind}-*")}


def test_every_task_is_done_once(begun: Path) -> None:
    with run(begun) as process:
        lines, _ = output(process, begun)
        assert sorted(lines.split("\n")[:-1]) == [f"{task} {task * task}" for task in range(6)]
        assert len({path.read_text() for path in begun.glob("begun-*")}) <= 2
        assert {path.read_text() for path in begun.glob("ended-*")} == {"1"}


@needs_signals
def test_an_interrupted_terminal_finishes_what_runs_and_begins_no_more(begun: Path) -> None:
    with run(begun) as process:
        wait_for(begun, "begun-*", 2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        time.sleep(0.3)
        lines, errors = output(process, begun)
        assert lines == "interrupted\n"
        assert names(begun, "begun") == names(begun, "ended") == {"0", "1"}
        assert errors == "Interrupted; fits that have begun are finished and kept.\n"


@needs_signals
def test_no_process_outlives_its_parent(begun: Path) -> None:
    with run(begun) as process:
        wait_for(begun, "begun-*", 2)
        process.kill()
        # The end of the pipe is seen when nobody holds it any more: neither parent nor children.
        assert process.communicate(timeout=60)[0] == ""
        assert names(begun, "ended") == set()


def test_a_process_that_is_killed_is_one_sentence(begun: Path) -> None:
    (begun / "kill-1").touch()
    with run(begun) as process:
        wait_for(begun, "begun-*", 2)
        lines, _ = output(process, begun)
        error = lines[lines.index("FeatxError") :]
        assert error.count("\n") == 1
        assert error.startswith("FeatxError: A process was killed before its fit was done")
        assert "fewer --jobs" in error


def test_an_error_lets_the_others_finish(begun: Path) -> None:
    (begun / "fail-0").touch()
    with run(begun) as process:
        wait_for(begun, "begun-1", 1)
        lines, _ = output(process, begun)
        assert lines.endswith("FeatxError: this one fails\n")
        assert names(begun, "begun") == names(begun, "ended") | {"0"}


def test_lower_limits_of_threads_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    before = {one["prefix"]: one["num_threads"] for one in threadpool_info()}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "64")
    try:
        limit_threads(2)
        assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("2", "2")
        assert (os.environ["NUMBA_NUM_THREADS"], os.environ["TF_NUM_INTRAOP_THREADS"]) == ("1", "2")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")
        limit_threads(2)
        assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("1", "1")
        threadpool_limits(1)
        limit_threads(8)
        assert {one["num_threads"] for one in threadpool_info()} <= {1}
    finally:
        threadpool_limits(before)
