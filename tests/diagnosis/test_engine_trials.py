from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx import networks
from featx.diagnosis import engine_trials
from featx.diagnosis.engine_trials import ENGINES, _is_installed, _try_engine, engine_problems, try_engines


class LibraryError(Exception):
    """Like TensorFlow's and Numba's own errors, none of Python's kinds."""


def raising(error: Exception) -> Callable[..., Any]:
    """A function that raises an error, whatever its arguments."""

    def broken(*_: object, **__: object) -> None:
        raise error

    return broken


@pytest.mark.slow
def test_every_engine_that_is_installed_works_here() -> None:
    trials = try_engines()
    assert [(trial.engine, trial.does) for trial in trials] == list(ENGINES)
    for trial in trials:
        works = _is_installed(trial.engine)
        assert trial.state == ("runs" if works else "not installed"), trial.reason
    assert list(engine_problems(trials)) == []


@pytest.mark.slow
def test_an_engine_that_computes_something_else_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    build = networks.NetworkSource.build

    def build_wrong(*arguments: object) -> object:
        network = build(*arguments)  # type: ignore[arg-type]
        rows = network.rows
        network.rows = lambda images: rows(images) * 1.01  # type: ignore[method-assign]
        return network

    monkeypatch.setattr(networks.NetworkSource, "build", build_wrong)
    monkeypatch.setattr(engine_trials, "FusedFitter", raising(LibraryError("no symbol\nin libfused.so")))
    trials = {(trial.engine, trial.does): trial for trial in try_engines()}
    assert trials["keras", "network"].state == "wrong"
    assert trials["keras", "fit"].state == "runs"
    assert trials["fused", "fit"].state == "fails"
    assert trials["fused", "fit"].reason == "LibraryError: no symbol in libfused.so"
    problems = list(engine_problems(tuple(trials.values())))
    assert problems[-1].fix.endswith("numba")


@pytest.mark.slow
def test_a_tensorflow_that_does_not_load_does_not_end_the_diagnosis(tmp_path: Path) -> None:
    """In a process of its own, with the real libraries except for TensorFlow."""
    (tmp_path / "tensorflow.py").write_text(
        # As TensorFlow does it: the message is a traceback, longer than what is shown.
        "import traceback\n"
        "class InternalError(Exception): pass\n"
        "try:\n    raise InternalError('the driver is too old')\n"
        "except InternalError:\n    raise ImportError(traceback.format_exc() + 'See some page. ' * 50)\n",
        "utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, "-c", "from featx.cli import main; main()", "doctor", "--json", "--cache", "cache"]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    document = json.loads(run.stdout)
    problems = [problem for problem in document["problems"] if "engine" in problem["what"]]
    assert len(problems) == 1
    assert "InternalError: the driver is too old" in problems[0]["what"]
    assert problems[0]["fix"].endswith("tensorflow keras")
    states = {(trial["engine"], trial["does"]): trial["state"] for trial in document["engines"]}
    assert states.pop(("keras", "network")) == "fails"
    assert states.pop(("onnxruntime", "network")) == ("runs" if _is_installed("onnxruntime") else "not installed")
    assert set(states.values()) - {"not installed"} == {"needs keras"}
    assert document["devices"] == []


def test_a_full_disk_is_not_fixed_by_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("tempfile.TemporaryDirectory", raising(full))
    trial = _try_engine("keras", "network")
    assert trial.state == "no space"
    assert "TMPDIR" in str(list(engine_problems((trial,))))
