from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_data import keras_network, some_pixels
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from featx.digests import digest_of_file
from featx.errors import RecipeError, WeightsError
from featx.networks import NetworkSource, has_openvino
from featx.networks.backbones import BACKBONES, Backbone, own_preprocessing
from featx.networks.efficientnetlite import load_float16
from featx.networks.framework import load_keras
from featx.networks.keras import KerasNetwork
from featx.networks.weights import find_imagenet, find_weights, weights_places, weights_problem
from featx.recipes import BackbonePart
from featx.store import Store

NAME = "efficientnetlite0"
ROW = BACKBONES[NAME]
assert ROW.packaged is not None
FILE = ROW.packaged
# The strongest channels of crops of two photographs, as PyTorch computes them (timm's tf_efficientnet_lite0) with the
# published weights in float32: neither the implementation nor the file is featx's.
CROPS = (("china.jpg", 100, 200, 224), ("flower.jpg", 100, 200, 224), ("china.jpg", 50, 100, 320))
STRONGEST = (
    {12: 2.9574, 725: 2.9332, 702: 2.3310, 1104: 2.2767, 852: 2.1269, 28: 2.0823},
    {45: 4.4625, 303: 3.7911, 64: 3.4995, 164: 3.2925, 715: 2.7212, 255: 2.6878},
    {319: 2.2579, 609: 2.2192, 702: 1.9051, 687: 1.8876},
)
MEANS = (0.17710695, 0.16754638, 0.10423472)


def crop(name: str, top: int, left: int, size: int) -> NDArray[np.uint8]:
    return np.asarray(load_sample_image(name), np.uint8)[top : top + size, left : left + size]


def network(size: int = 64, source: str = "imagenet", **fields: Any) -> KerasNetwork:
    return keras_network(NAME, source, size=size, **{"pooling": "avg", **fields})


@pytest.fixture(scope="module")
def own() -> KerasNetwork:
    """The network with its own weights, for images of 64 × 64 pixels."""
    return network()


def relative(rows: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference of a row from what it must be, as a share of its length."""
    return float((np.linalg.norm(rows - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


# The file


def test_the_file_is_the_one_of_the_table_and_holds_plain_arrays() -> None:
    assert digest_of_file(FILE) == ROW.sha256
    assert FILE.stat().st_size < 7.5e6
    with np.load(FILE, allow_pickle=False) as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
        kinds = {name.rpartition("/")[2]: arrays[name].dtype for name in arrays.files}
    assert kinds.pop("kernel") == np.float16
    assert set(kinds.values()) == {np.dtype(np.float32)}
    assert sum(map(np.prod, shapes.values())) == 3_413_024
    assert shapes["stem_conv/kernel"] == (3, 3, 3, 32)
    assert shapes["block7a_dwconv/kernel"] == (3, 3, 1152, 1)
    assert shapes["top_conv/kernel"] == (1, 1, 320, 1280)


def test_weights_are_there_without_home_folder_network_or_keras(no_weights: Path) -> None:
    found = find_weights(NAME.upper())
    assert (found.source, found.path, found.digest, found.seed) == ("imagenet", FILE, ROW.sha256, None)
    assert find_imagenet(ROW) == FILE
    assert weights_places(ROW) == [FILE]
    assert weights_problem(FILE) is None
    assert list(no_weights.iterdir()) == []
    script = (
        f"import sys; from featx.networks import find_weights; find_weights('{NAME}'); "
        "sys.exit(int(bool({'keras', 'tensorflow'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_a_folder_of_weights_does_not_replace_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATX_WEIGHTS_DIR", str(tmp_path))
    for name in (f"{NAME}_notop.weights.h5", ROW.weights_file):
        (tmp_path / name).write_bytes(b"others")
    assert find_weights(NAME).path == FILE


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "changed"])
def test_a_damaged_file_is_one_sentence(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FILE.name
    whole = FILE.read_bytes()
    content = {"missing": None, "empty": b"", "cut": whole[:-1000], "changed": whole[:-1] + b"x"}[damage]
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(Backbone, "packaged", property(lambda row: path if row.name == NAME else None))
    expected = (
        rf"^Expected the weights that come with featx in {path}, but .* damaged; install featx again with pip .*\.$"
    )
    with pytest.raises(WeightsError, match=expected) as caught:
        find_weights(NAME)
    assert caught.value.exit_code == 1
    problem = "cannot be read: no such file or directory" if content is None else "is not as it came with featx"
    assert weights_problem(path) == problem


@pytest.mark.slow
def test_a_file_that_was_damaged_after_it_was_found(tmp_path: Path) -> None:
    path, model = tmp_path / "weights.npz", network(source="random").model
    for content in (b"", b"PK\3\4 and no more", FILE.read_bytes()[:-1000]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="missing or damaged"):
            load_float16(model, path)
    for shape in ((3, 3, 3, 31), (3, 3, 3, 32)):  # another network, and the only one of its arrays
        arrays: dict[str, Any] = {"stem_conv/kernel": np.zeros(shape, np.float16)}
        np.savez(path, **arrays)
        with pytest.raises(WeightsError, match="missing or damaged"):
            load_float16(model, path)


# The network


@pytest.mark.slow
@pytest.mark.parametrize(("photograph", "strongest", "mean"), list(zip(CROPS, STRONGEST, MEANS, strict=True)))
def test_rows_are_those_of_another_implementation(
    photograph: tuple[str, int, int, int], strongest: dict[int, float], mean: float
) -> None:
    pixels = crop(*photograph)
    row = network(len(pixels)).rows(own_preprocessing(NAME)(pixels[None]))[0]
    assert row.shape == (1280,)
    assert sorted(strongest) == sorted(np.argsort(row)[::-1][: len(strongest)])
    # float16 has eleven bits.
    np.testing.assert_allclose(row[list(strongest)], list(strongest.values()), rtol=0.01)
    assert row.mean() == pytest.approx(mean, rel=0.003)
    if len(pixels) == 224:
        swapped = network(224).rows(own_preprocessing(NAME)(pixels[None, ..., ::-1]))[0]
        assert relative(swapped[None], row[None]) > 0.1


@pytest.mark.slow
@pytest.mark.skipif(not has_openvino(), reason="the package openvino is not installed")
@pytest.mark.parametrize(("height", "width", "pooling"), [(224, 224, "avg"), (64, 96, "none")])
def test_both_engines_give_the_same_rows(height: int, width: int, pooling: Any, tmp_path: Path) -> None:
    part = BackbonePart(name=NAME, pooling=pooling)
    preprocess = own_preprocessing(NAME)
    source = NetworkSource(part, (height, width), find_weights(NAME), Store(tmp_path), preprocess)
    pixels = preprocess(
        np.stack([crop("china.jpg", top, 100, 224)[:height, :width] for top in (0, 50, 100, 150, 200)])
    )
    keras, openvino, by_three = source.build("keras", 5), source.build("openvino"), source.build("openvino", 3)
    expected = keras.rows(pixels)
    assert expected.shape == (5, 1280 if pooling == "avg" else 2 * 3 * 1280)
    rows = np.concatenate(list(openvino.stream(np.split(pixels, [2, 4]))))
    assert relative(rows, expected) < 2e-5
    assert relative(np.concatenate(list(by_three.stream(np.split(pixels, [3])))), expected) < 2e-5
    # Images are told apart by far more than the engines differ.
    assert relative(expected[1:], expected[:-1]) > 1e-2


@pytest.mark.slow
def test_it_is_cut_at_layers_with_the_names_of_keras_efficientnets(own: KerasNetwork) -> None:
    names = [layer.name for layer in own.model.layers]
    assert names[1:5] == ["stem_conv", "stem_bn", "stem_activation", "block1a_dwconv"]
    assert names[-4:] == ["top_conv", "top_bn", "top_activation", "avg_pool"]
    assert [name for name in names if name.endswith("_add")] == [
        f"block{block}_add" for block in ("2b", "3b", "4b", "4c", "5b", "5c", "6b", "6c", "6d")
    ]
    cut, maps = network(cut="block6d_add", pooling="none"), own.model.get_layer("block6d_add").output
    pixels = some_pixels(4, 64)
    expected = load_keras().Model(own.model.inputs, maps).predict_on_batch(pixels)
    np.testing.assert_allclose(cut.rows(pixels), expected.reshape(4, 2 * 2 * 192), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_other_weights_are_loaded_as_for_other_networks(own: KerasNetwork, tmp_path: Path) -> None:
    pixels = some_pixels(2, 64)
    rows = own.rows(pixels)
    own.model.save_weights(tmp_path / "own.weights.h5")
    np.testing.assert_array_equal(network(source=str(tmp_path / "own.weights.h5")).rows(pixels), rows)
    assert relative(network(source="random:1").rows(pixels), rows) > 0.1
    np.savez(tmp_path / "others.npz", kernel=np.zeros(3))
    with pytest.raises(WeightsError, match=r"others\.npz, but they do not load; pass another file"):
        network(source=str(tmp_path / "others.npz"))


@pytest.mark.slow
def test_images_that_are_too_small() -> None:
    with pytest.raises(RecipeError, match="cannot take images of 16 × 16 pixels: expected at least 32 pixels"):
        network(16)
