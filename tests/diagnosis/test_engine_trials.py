from __future__ import annotations

import errno
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.diagnosis import engine_trials
from featx.diagnosis.engine_trials import SIZE, same_rows, try_engines
from featx.diagnosis.thread_counts import Threads, threads_in_effect
from featx.networks import build as networks
from featx.networks import framework

NAMES = [("keras", "network"), ("openvino", "network"), ("keras", "fit"), ("fused", "fit")]


class LibraryError(Exception):
    """What TensorFlow's and Numba's own errors are: no kind of the usual ones."""


def test_every_engine_that_is_installed_runs_here() -> None:
    trials = try_engines()
    assert [(trial.engine, trial.does) for trial in trials] == NAMES
    for trial in trials:
        assert trial.runs == (trial.engine != "openvino" or framework.has_openvino()), trial.reason
        assert (trial.state in ("runs", "not installed")) is not trial.amiss
    threads = dict(threads_in_effect())
    assert {"tensorflow", "numba"} <= set(threads)
    assert min(threads.values()) >= 1


def test_an_engine_that_computes_something_else_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    true = networks.build_network

    def wrong(*arguments: object) -> object:
        network = true(*arguments)  # type: ignore[arg-type]
        rows = network.rows
        network.rows = lambda images: rows(images) + 1  # type: ignore[method-assign]
        return network

    def broken(*_: object) -> object:
        raise LibraryError("no symbol\nin libfused.so")

    monkeypatch.setattr(engine_trials, "build_network", wrong)
    monkeypatch.setattr(engine_trials, "FusedFitter", broken)
    trials = {(trial.engine, trial.does): trial for trial in try_engines()}
    assert trials["keras", "network"].state == "wrong"
    # Keras works in so far as the others need it.
    assert trials["keras", "fit"].runs
    assert trials["fused", "fit"].state == "fails"
    assert trials["fused", "fit"].reason == "LibraryError: no symbol in libfused.so"


def test_without_keras_nothing_that_needs_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise LibraryError("DLL load failed")

    monkeypatch.setattr(engine_trials, "load_keras", broken)
    monkeypatch.setattr(engine_trials, "has_openvino", lambda: True)
    trials = try_engines()
    assert [trial.state for trial in trials] == ["fails", "needs keras", "needs keras", "needs keras"]
    assert [trial.amiss for trial in trials] == [True, False, False, False]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_keras_on_another_backend_is_not_even_loaded(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(engine_trials, "load_keras", lambda: pytest.fail("loaded"))
    trial = try_engines()[0]
    assert trial.state == "fails"
    assert backend in str(trial.reason)


def test_nowhere_to_write_is_not_the_librarys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    assert try_engines()[0].state == "no space"


def rounded(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Values with a significand of this many bits behind the point."""
    significand, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(significand * 2 ** (bits + 1)) / 2 ** (bits + 1), exponent), np.float32)


def test_rows_in_tensorfloat_are_right_and_others_rows_are_wrong() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        kernel = generator.normal(size=(SIZE * SIZE * 3, 4)).astype(np.float32)
        images = generator.normal(size=(2, SIZE * SIZE * 3)).astype(np.float32)
        expected = images @ kernel
        tensor_float = (rounded(images, 10) @ rounded(kernel, 10)).astype(np.float32)
        assert same_rows(tensor_float, expected)
        # What made the difference matter: no value's own size bounds its rounding.
        for wrong in (expected[::-1], expected[:, ::-1], expected * 1.01, expected + 0.1, expected[:1]):
            assert not same_rows(wrong, expected)
        assert not same_rows(np.full_like(expected, np.nan), expected)


def test_threads_are_those_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    from threadpoolctl import threadpool_limits

    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    with threadpool_limits(1):
        found = threads_in_effect()
    asked = tensorflow.config.threading.get_intra_op_parallelism_threads() or 3
    assert Threads("tensorflow", asked) in found
    assert {number for name, number in found if name == "openblas"} == {1}
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert "tensorflow" not in dict(threads_in_effect())
