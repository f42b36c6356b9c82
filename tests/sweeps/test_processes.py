from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pipeline_data import small_data, small_recipe

from featx.data import read_data
from featx.heads import fit_bytes
from featx.recipes import HeadPart, load_recipe
from featx.sweeps import processes as sweep_processes
from featx.sweeps.fits import Fits
from featx.sweeps.grid import Point, points_of
from featx.sweeps.processes import affordable

GB = 1e9


@pytest.fixture(scope="module")
def work(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fits, list[Point]]:
    root = tmp_path_factory.mktemp("processes")
    data = small_data(root / "data", train=4, test=1, classes=2)
    points = points_of(small_recipe(tiny_model), {"fit.batch_size": [4, 8]}, range(5))
    return Fits(read_data(data), root / "out", root / "cache", "auto", "fail"), points


def set_machine(monkeypatch: pytest.MonkeyPatch, available: float, gpu: bool = False) -> None:
    monkeypatch.setattr(sweep_processes, "available_memory", lambda: int(available))
    monkeypatch.setattr(sweep_processes, "gpu_is_there", lambda: gpu)


def test_as_many_fits_as_memory_holds(
    work: tuple[Fits, list[Point]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fits, points = work
    one = fit_bytes(points[0].recipe, fits.extraction(points[0].recipe).dim, 2, "auto")
    for available, expected in ((100 * one, 8), (8 * one + 1, 8), (3.5 * one, 3), (0.1 * one, 1)):
        caplog.clear()
        set_machine(monkeypatch, available)
        with caplog.at_level(logging.INFO, "featx"):
            assert affordable(fits, points, 8) == expected
        told = [] if expected == 8 else [f"{expected} fits at once instead of 8, because free memory allows no more."]
        assert caplog.messages == told


def test_on_a_gpu_one_fit_runs_at_a_time(
    work: tuple[Fits, list[Point]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_machine(monkeypatch, 1000 * GB, gpu=True)
    assert affordable(*work, 4) == 1
    assert "One fit at a time instead of 4" in caplog.text


def test_the_estimate_is_no_less_than_what_was_measured() -> None:
    """Peaks of whole processes with this head, as docs/performance.md has them."""
    recipe = load_recipe("covid4-vgg16")
    assert 2.2 * GB <= fit_bytes(recipe, 25088, 4, "fused") <= 2.6 * GB
    assert 2.7 * GB <= fit_bytes(recipe, 25088, 4, "keras") <= 3.1 * GB
    assert fit_bytes(recipe, 25088, 4, "auto") == fit_bytes(recipe, 25088, 4, "fused")


def test_a_sigmoid_has_one_unit() -> None:
    softmax = load_recipe("covid2-vgg16").replaced({"head": HeadPart().model_dump()})
    sigmoid = softmax.replaced({"head.output": "sigmoid"})
    one, two = (fit_bytes(recipe, 99, 2, "fused") for recipe in (sigmoid, softmax))
    assert two - one == pytest.approx(100 * (one - fit_bytes(sigmoid, 98, 2, "fused")))


def test_patience_keeps_a_copy_of_the_weights() -> None:
    recipe = load_recipe("covid4-vgg16")
    patient = recipe.replaced({"fit.patience": 10})
    more = fit_bytes(patient, 25088, 4, "fused") - fit_bytes(recipe, 25088, 4, "fused")
    assert more == pytest.approx(4 * 51.9e6, rel=0.01)
    for changes in ({"fit.keep": "best"}, {"fit.average": 10}):
        assert fit_bytes(recipe.replaced(changes), 25088, 4, "fused") == fit_bytes(patient, 25088, 4, "fused")


def test_each_member_takes_the_memory_of_a_head() -> None:
    recipe = load_recipe("covid4-vgg16")
    five = recipe.replaced({"fit.members": 5})
    more = fit_bytes(five, 25088, 4, "fused") - fit_bytes(recipe, 25088, 4, "fused")
    assert more == pytest.approx(4 * 25 * 51.9e6, rel=0.01)
