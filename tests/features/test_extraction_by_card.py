"""Features by a network's card, from the command line: rows, engines, and what is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline_data import small_data

from featx.features import Extraction, default_recipe, extract
from featx.images import as_rgb, decode, resize
from featx.networks.graphs import network

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("openvino", reason="the package openvino is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")

from onnx_networks import CHANNELS, HEIGHT, MEAN, STD, WIDTH, expected_map, write_onnx, write_onnx_card

N = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_data(tmp_path_factory.mktemp("by_card") / "data", train=2, test=1, classes=2)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "network"
    folder.mkdir()
    changes = {"input.colour": "bgr", "pixels.fit": "crop", "pixels.resize_to": 36, "output.pooling": "max"}
    return write_onnx_card(write_onnx(folder / "network.onnx", external="network.data"), changes)


def seen(found: Extraction) -> NDArray[np.float64]:
    """The pixels that the network must get, (n, height, width, 3), with its own order of channels."""
    files = [found.dataset.root / name for name in found.table().ids]
    images = [as_rgb(decode(file.read_bytes(), file.name)) for file in files]
    pixels = np.stack([resize(image, (HEIGHT, WIDTH), "bilinear", "crop", 36) for image in images])
    return pixels[..., ::-1].astype(np.float64)


def check_rows(found: Extraction) -> None:
    prepared = ((seen(found) / 255 - MEAN) / STD).astype(np.float32)
    np.testing.assert_allclose(found.table().X, expected_map(prepared).max((1, 2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_rows(engine: Any, data: Path, card: Path, tmp_path: Path) -> None:
    found = extract(data, default_recipe(str(card)), cache=tmp_path / "cache", engine=engine)
    assert (found.engine, found.computed, found.dim) == (engine, N, CHANNELS)
    assert found.parameters == CHANNELS * 3 * 64
    check_rows(found)
    # Both engines' rows count as the same.
    other = "onnxruntime" if engine == "openvino" else "openvino"
    again = extract(data, default_recipe(str(card)), cache=tmp_path / "cache", engine=other)  # type: ignore[arg-type]
    assert (again.engine, again.computed) == (other, 0)


def test_rows_of_engines_that_differ_are_kept_apart(
    data: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "same_rows", lambda rows, expected: len(rows) == 2)
    spec, cache = default_recipe(str(card)), tmp_path / "cache"
    assert extract(data, spec, cache=cache).computed == N
    own = extract(data, spec, cache=cache, engine="onnxruntime")
    assert (own.computed, own.space.plain.description["numerics"]) == (N, "onnxruntime")
    assert extract(data, spec, cache=cache, engine="onnxruntime").computed == 0
    assert extract(data, spec, cache=cache).computed == 0


@pytest.mark.parametrize("mode", ["rescale", "raw", "featurewise"])
def test_another_preprocessing_keeps_the_order_of_channels(mode: Any, data: Path, card: Path, tmp_path: Path) -> None:
    spec = default_recipe(str(card)).replaced({"preprocess.mode": mode})
    found = extract(data, spec, cache=tmp_path / "cache", engine="openvino")
    other = extract(data, spec, cache=tmp_path / "other", engine="onnxruntime")
    X = found.table().X
    np.testing.assert_allclose(other.table().X, X, rtol=1e-4, atol=1e-4 * np.abs(X).max())
    pixels = seen(found)
    if mode != "raw":
        pixels = pixels / 255
    if mode == "featurewise":
        part = found.spec.preprocess
        assert part.mean is not None
        assert part.std is not None
        pixels = (pixels - part.mean[::-1]) / part.std[::-1]
    expected = expected_map(pixels.astype(np.float32)).max((1, 2))
    np.testing.assert_allclose(X, expected, rtol=1e-4, atol=1e-4 * np.abs(X).max())


WARM = """
import json, sys
from featx.features import default_recipe, extract

found = extract(sys.argv[1], default_recipe(sys.argv[2]), cache=sys.argv[3], engine=sys.argv[4])
heavy = {"tensorflow", "keras", "openvino", "onnxruntime", "onnx"}
print(json.dumps([found.computed, found.dim, sorted(heavy & set(sys.modules))]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "loaded"), [("openvino", ["openvino"]), ("onnxruntime", ["onnxruntime"])])
def test_warm_starts_load_no_more_than_they_need(
    engine: Any, loaded: list[str], data: Path, card: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    extract(data, default_recipe(str(card)), cache=cache, engine=engine)

    def warm() -> Any:
        arguments = [str(data), str(card), str(cache), engine]
        run = subprocess.run([sys.executable, "-c", WARM, *arguments], check=True, capture_output=True, text=True)
        return json.loads(run.stdout)

    assert warm() == [0, CHANNELS, []]
    shutil.rmtree(cache / "features")
    assert warm() == [N, CHANNELS, loaded]


def test_wrong_engines_are_told_before_anything_is_written(data: Path, card: Path, tmp_path: Path) -> None:
    from featx.errors import RecipeError, UsageError

    spec, cache = default_recipe(str(card)), tmp_path / "cache"
    with pytest.raises(UsageError, match='engine="openvino"'):
        extract(data, spec, cache=cache, engine="keras")
    with pytest.raises(RecipeError, match="leave precision out"):
        extract(data, spec.replaced({"backbone.precision": "mixed"}), cache=cache)
    assert not list(cache.glob("features/*"))
