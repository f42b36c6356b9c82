from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import small_recipe

from featx.bench.benchmarking import bench
from featx.bench.head_speed import generated_rows
from featx.bench.network_speed import floating_point_operations, median_seconds
from featx.errors import RecipeError
from featx.networks import KerasNetwork, find_weights
from featx.recipes import BackbonePart


def operations(name: str, size: int) -> int:
    backbone = BackbonePart(name=name, pooling="avg")
    return floating_point_operations(KerasNetwork(backbone, size, find_weights(name, "random")).model)


def test_operations_are_those_of_the_literature() -> None:
    """Simonyan and Zisserman's network takes 15.35 · 10⁹ multiplications at 224 × 224 without its classifier."""
    assert operations("vgg16", 224) / 2 == pytest.approx(15.35e9, rel=1e-3)
    # Sandler et al. (2018), table 4, count 300 · 10⁶ with the classifier's 1.28 · 10⁶.
    assert operations("mobilenetv2", 224) / 2 == pytest.approx(300e6, rel=0.01)


def test_operations_grow_with_the_area() -> None:
    assert operations("vgg16", 64) == 4 * operations("vgg16", 32)


def test_generated_rows_are_zero_as_often_and_as_unevenly_as_the_networks() -> None:
    rows = generated_rows(200, 5_000)
    activity = (rows != 0).mean(axis=0)
    assert activity.mean() == pytest.approx(0.23, abs=0.01)
    assert (activity == 0).mean() > 0.1
    assert (activity > 0.6).mean() > 0.1
    assert rows.min() == 0
    np.testing.assert_array_equal(rows, generated_rows(200, 5_000))


def test_all_take_turns_and_the_first_round_does_not_count() -> None:
    ran = []

    def first() -> None:
        # Once slow, as what is compiled when it is first called.
        time.sleep(0.0 if "a" in ran else 0.2)
        ran.append("a")

    seconds = median_seconds({"a": first, "b": lambda: ran.append("b")}, rounds=3)
    assert ran == ["a", "b"] * 4
    assert list(seconds) == ["a", "b"]
    assert 0 < seconds["a"] < 0.2


def test_ratios_are_those_of_the_times(tiny_model: Path) -> None:
    found = bench(small_recipe(tiny_model), images=4, rounds=2)
    document = found.to_json()
    assert {"predict", "keras"} <= {row["engine"] for row in document["networks"]}
    assert [row["engine"] for row in document["heads"]] == ["fused", "keras", "floor"]
    predict = found.networks[0]
    assert (predict.engine, predict.times_as_fast_as_predict) == ("predict", 1)
    for network in found.networks:
        ratio = network.images_per_second / predict.images_per_second
        assert network.times_as_fast_as_predict == pytest.approx(ratio)
        assert network.gflops / predict.gflops == pytest.approx(ratio)
        assert network.share_of_matrix_product / predict.share_of_matrix_product == pytest.approx(ratio)
    fused, keras, floor = found.heads
    assert (keras.times_as_fast_as_keras, floor.times_floor) == (1, 1)
    assert fused.times_floor == pytest.approx(fused.step_ms / floor.step_ms)
    assert fused.times_as_fast_as_keras == pytest.approx(keras.step_ms / fused.step_ms)


def test_a_head_that_only_keras_fits_is_refused(tiny_model: Path) -> None:
    layers = ({"type": "dense", "units": 4, "activation": "gelu"},)
    with pytest.raises(RecipeError, match="gelu"):
        bench(small_recipe(tiny_model, {"head.layers": layers, "head.penultimate": None}), images=1, rounds=1)
