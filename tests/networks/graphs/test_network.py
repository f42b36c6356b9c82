"""Networks of cards run as they are: in OpenVINO with their preprocessing, and in onnxruntime."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.errors import EngineError, FeatxError, RecipeError, UsageError, WeightsError
from featx.images import Preprocessing
from featx.networks import Card, Network, NetworkSource, Weights, engines
from featx.networks.graphs import network as cards_running
from featx.networks.graphs.onnx_runtime import OnnxRuntimeNetwork
from featx.store import Store

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("openvino", reason="the package openvino is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")

from onnx import helper
from onnx_networks import (
    CHANNELS,
    HEIGHT,
    MEAN,
    STD,
    WIDTH,
    card_of_onnx,
    expected_map,
    kernel,
    part,
    some_images,
    write_onnx,
)

ENGINES = ("openvino", "onnxruntime")
PLACES = (HEIGHT // 8) * (WIDTH // 8)


def source(card: Card, folder: Path, preprocessing: Preprocessing | None = None, **fields: Any) -> NetworkSource:
    weights = Weights(str(card.main), card.main, card.digest(), card=card)
    shape = fields.pop("shape", card.input.size)
    rule = preprocessing or card.preprocessing()
    return NetworkSource(part(**fields), shape, weights, Store(folder / "cache"), rule)


def rows_of(network: Network, rule: Preprocessing, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    size = network.batch_size
    ready = images if network.takes_pixels else rule(images)
    return np.concatenate(list(network.stream(ready[start : start + size] for start in range(0, len(images), size))))


def check(card: Card, folder: Path, expected: NDArray[Any], images: NDArray[np.uint8], **fields: Any) -> None:
    """Check that both engines give the expected rows."""
    origin = source(card, folder, **fields)
    assert origin.preprocessing is not None
    for engine in ENGINES:
        network = origin.build(engine)  # type: ignore[arg-type]
        rows = rows_of(network, origin.preprocessing, images)
        assert (network.name, network.width) == (engine, expected.shape[1])
        assert network.takes_pixels == (engine == "openvino")
        np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)


def by_hand(images: NDArray[np.uint8], order: tuple[int, ...] = (0, 1, 2)) -> NDArray[np.float32]:
    """The card's preprocessing, written out."""
    return ((images[..., list(order)] / 255 - MEAN) / STD).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


# Rows


@pytest.mark.parametrize("pooling", ["none", "avg", "max"])
def test_maps(pooling: str, path: Path, tmp_path: Path) -> None:
    images = some_images(5)
    values = expected_map(by_hand(images))
    first = values.transpose(0, 3, 1, 2).reshape(5, -1)
    expected = {"none": first, "avg": values.mean((1, 2)), "max": values.max((1, 2))}[pooling]
    check(card_of_onnx(write_onnx(path)), tmp_path, expected, images, pooling=pooling)


def test_a_row(path: Path, tmp_path: Path) -> None:
    images = some_images()
    check(card_of_onnx(write_onnx(path, output="row")), tmp_path, expected_map(by_hand(images)).mean((1, 2)), images)


@pytest.mark.parametrize("tokens", ["cls", "mean", "cls+mean", "map"])
@pytest.mark.parametrize("prefix", [1, 3])
def test_tokens(tokens: str, prefix: int, path: Path, tmp_path: Path) -> None:
    images = some_images()
    values = expected_map(by_hand(images))
    ones, mean = np.ones((3, CHANNELS)), values.mean((1, 2))
    expected = {"cls": ones, "mean": mean, "cls+mean": np.hstack([ones, mean]), "map": values.reshape(3, -1)}[tokens]
    changes = {"output.tokens": tokens, "output.prefix_tokens": prefix}
    check(card_of_onnx(write_onnx(path, output="tokens", prefix=prefix), changes), tmp_path, expected, images)


def test_a_pooled_map_of_tokens_and_none_before(path: Path, tmp_path: Path) -> None:
    images = some_images()
    write_onnx(path, output="tokens", prefix=0)
    card = card_of_onnx(path, {"output.tokens": "map", "output.prefix_tokens": 0})
    check(card, tmp_path, expected_map(by_hand(images)).max((1, 2)), images, pooling="max")


@pytest.mark.parametrize("colour", ["rgb", "bgr", "grey"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_colours_and_layouts(colour: str, layout: str, path: Path, tmp_path: Path) -> None:
    images = some_images()
    changes: dict[str, Any] = {"input.colour": colour, "input.layout": layout, "output.layout": "nchw"}
    if colour == "grey":
        red, green, blue = images.astype(np.int64).transpose(3, 0, 1, 2)
        grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        prepared = ((grey[..., None] / 255 - 0.45) / 0.25).astype(np.float32)
        changes |= {"pixels.mean": (0.45,), "pixels.std": (0.25,)}
    else:
        prepared = by_hand(images, (0, 1, 2) if colour == "rgb" else (2, 1, 0))
    write_onnx(path, channels=prepared.shape[-1], nhwc=layout == "nhwc")
    check(card_of_onnx(path, changes), tmp_path, expected_map(prepared).mean((1, 2)), images, pooling="avg")


def test_grey_is_exact_for_all_levels(path: Path, tmp_path: Path) -> None:
    # The largest sums, and those at which rounding turns.
    images = some_images(2)
    images[0, ..., :] = 255
    identity = np.zeros((CHANNELS, 1, 8, 8), np.float32)
    identity[:, 0, 0, :CHANNELS] = np.eye(CHANNELS)
    write_onnx(path, channels=1, weights=identity)
    changes = {"input.colour": "grey", "pixels.mean": (0.0,), "pixels.std": (1.0,), "pixels.scale": 1.0}
    network = source(card_of_onnx(path, changes), tmp_path).build("openvino")
    red, green, blue = images.astype(np.int64).transpose(3, 0, 1, 2)
    grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    expected = np.stack([grey[:, ::8, one::8] for one in range(CHANNELS)], 1).reshape(2, -1)
    np.testing.assert_array_equal(network.rows(images), expected)


@pytest.mark.parametrize("rule", ["rescale", "raw", "tf", "torch", "caffe"])
def test_other_preprocessing_is_folded_in(rule: Any, path: Path, tmp_path: Path) -> None:
    images = some_images()
    preprocessing = Preprocessing(rule)
    expected = expected_map(preprocessing(images)).mean((1, 2))
    network = source(card_of_onnx(write_onnx(path, output="row")), tmp_path, preprocessing).build("openvino")
    np.testing.assert_allclose(network.rows(images[:2]), expected[:2], rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_another_size_where_the_network_takes_any(path: Path, tmp_path: Path) -> None:
    write_onnx(path, output="row", side=("h", "w"))
    images = some_images(shape=(40, 16))
    expected = expected_map(by_hand(images)).mean((1, 2))
    check(card_of_onnx(path), tmp_path, expected, images, shape=(40, 16))


@pytest.mark.parametrize("dtype", ["FLOAT16", "UINT8"])
def test_types_of_the_input(dtype: str, path: Path, tmp_path: Path) -> None:
    images = some_images()
    plain = {"pixels.scale": 1.0, "pixels.mean": (0.0,) * 3, "pixels.std": (1.0,) * 3}
    changes = plain if dtype == "UINT8" else {}
    prepared = images.astype(np.float32) if changes else by_hand(images)
    expected = expected_map(prepared).mean((1, 2))
    card = card_of_onnx(write_onnx(path, output="row", dtype=dtype), changes)
    origin = source(card, tmp_path)
    for engine in ENGINES:
        rows = rows_of(origin.build(engine), card.preprocessing(), images)  # type: ignore[arg-type]
        np.testing.assert_allclose(rows, expected, rtol=3e-3, atol=3e-3 * expected.max())


def test_a_network_made_for_one_image(path: Path, tmp_path: Path) -> None:
    # The number of images is fixed inside, too.
    shape = helper.make_node("Constant", [], ["shape"], value_ints=[1, PLACES * CHANNELS])
    more = [shape, helper.make_node("Reshape", ["relu", "shape"], ["out"])]
    write_onnx(path, batch=1, more=more)
    images = some_images(5)
    expected = expected_map(by_hand(images)).transpose(0, 3, 1, 2).reshape(5, -1)
    check(card_of_onnx(path), tmp_path, expected, images)
    assert source(card_of_onnx(path), tmp_path).build("openvino", 8).batch_size == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_depend_on_the_batch_are_refused(engine: Any, path: Path, tmp_path: Path) -> None:
    more = [
        helper.make_node("ReduceMax", ["relu"], ["most"], axes=[0, 2, 3], keepdims=1),
        helper.make_node("Sub", ["relu", "most"], ["out"]),
    ]
    write_onnx(path, more=more)
    with pytest.raises(EngineError, match="do not depend on the other images of a batch"):
        source(card_of_onnx(path), tmp_path).build(engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_says_any_number_but_takes_one(engine: Any, path: Path, tmp_path: Path) -> None:
    shape = helper.make_node("Constant", [], ["shape"], value_ints=[1, PLACES * CHANNELS])
    write_onnx(path, batch="n", more=[shape, helper.make_node("Reshape", ["relu", "shape"], ["out"])])
    images = some_images(3)
    origin = source(card_of_onnx(path), tmp_path)
    network = origin.build(engine)
    assert network.batch_size == 1
    expected = expected_map(by_hand(images)).transpose(0, 3, 1, 2).reshape(3, -1)
    np.testing.assert_allclose(rows_of(network, card_of_onnx(path).preprocessing(), images), expected, 1e-4, 1e-4)


def test_a_network_made_for_four_images(path: Path, tmp_path: Path) -> None:
    """OpenVINO changes the number; onnxruntime cannot, so that its rows are not known to be the same."""
    origin = source(card_of_onnx(write_onnx(path, output="row", batch=4)), tmp_path)
    images = some_images(2)
    expected = expected_map(by_hand(images)).mean((1, 2))
    np.testing.assert_allclose(origin.build().rows(images), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(RecipeError, match="for any number of images, or for one, but image of network is for 4"):
        origin.build("onnxruntime")
    assert origin.numerics("onnxruntime") == "onnxruntime"


# What is meant


@pytest.mark.parametrize("cut", ["conv", "relu"])
def test_a_cut(cut: str, path: Path, tmp_path: Path) -> None:
    images = some_images()
    write_onnx(path, output="row")
    values = expected_map(by_hand(images))
    if cut == "conv":
        patches = by_hand(images).reshape(3, HEIGHT // 8, 8, WIDTH // 8, 8, 3)
        values = np.einsum("nhawbc,fcab->nhwf", patches, kernel())
    check(card_of_onnx(path), tmp_path, values.max((1, 2)), images, cut=cut, pooling="max")


def test_one_of_several_outputs(path: Path, tmp_path: Path) -> None:
    write_onnx(path, output="both")
    images = some_images()
    expected = expected_map(by_hand(images)).mean((1, 2))
    check(card_of_onnx(path, {"output.name": "row"}), tmp_path, expected, images)


def test_a_network_of_images_and_texts(path: Path, tmp_path: Path) -> None:
    """As exports of CLIP are: OpenVINO takes the part that needs images alone."""
    import onnx
    from onnx import TensorProto

    model = onnx.load(write_onnx(path, output="row"))
    model.graph.input.append(helper.make_tensor_value_info("text", TensorProto.FLOAT, ["n", CHANNELS]))
    model.graph.node.append(helper.make_node("Mul", ["row", "text"], ["match"]))
    model.graph.output.append(helper.make_tensor_value_info("match", TensorProto.FLOAT, ["n", CHANNELS]))
    onnx.save(model, path)
    images = some_images(2)
    card = card_of_onnx(path, {"output.name": "row"})
    network = source(card, tmp_path).build("openvino")
    np.testing.assert_allclose(network.rows(images), expected_map(by_hand(images)).mean((1, 2)), rtol=1e-4, atol=1e-4)
    assert source(card, tmp_path).numerics("onnxruntime") == "onnxruntime"
    for changes, engine in (({"output.name": "match"}, "openvino"), ({"output.name": "row"}, "onnxruntime")):
        with pytest.raises(RecipeError, match=r"image(s)? alone.*(image, text|text, image)"):
            source(card_of_onnx(path, changes), tmp_path / engine).build(engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("written", "changes", "fields", "words"),
    [
        ({"output": "both"}, {}, {}, r"output\.name in the card of network.*2 outputs; name one of relu"),
        ({}, {"output.name": "rely"}, {}, r"no output or inner value named 'rely'; did you mean relu\?"),
        ({}, {}, {"cut": "block_1"}, r"no output or inner value named 'block_1'; its outputs are relu"),
        ({}, {}, {"cut": "image"}, r"no output or inner value named 'image'; its outputs are relu"),
        ({"output": "tokens"}, {}, {}, r"output\.tokens in the card \(cls, mean, cls\+mean or map\)"),
        ({"output": "tokens"}, {"output.tokens": "map", "output.prefix_tokens": 0}, {}, r"the patches of 24 × 32"),
        ({"output": "tokens"}, {"output.tokens": "cls", "output.prefix_tokens": 0}, {}, "no token of the class"),
        ({"output": "tokens"}, {"output.tokens": "mean", "output.prefix_tokens": 99}, {}, "more tokens than"),
        ({"output": "tokens"}, {"output.tokens": "mean"}, {"pooling": "avg"}, "gives a single vector"),
        ({}, {"output.tokens": "cls"}, {}, r"remove output\.tokens from the card"),
        ({"output": "row"}, {}, {"pooling": "avg"}, "use pooling 'none'"),
        ({}, {"input.layout": "nhwc"}, {}, r"3 channels at the last axis of image of network.*3 × 24 × 32"),
        ({"channels": 1}, {}, {}, r"3 channels at the second axis"),
        (
            {"nhwc": True},
            {"input.layout": "nhwc"},
            {"pooling": "avg"},
            r"\(n, 6, 3, 4\).*write layout = 'nchw' below",
        ),
        (
            {},
            {"output.layout": "nhwc"},
            {"pooling": "max"},
            r"\(n, 6, 3, 4\).*write layout = 'nchw' below \[output\]",
        ),
        ({}, {}, {"shape": (64, 64)}, r"takes images of 24 × 32 pixels alone, received 64 × 64; set images\.size"),
        ({}, {"input.name": "pixels"}, {}, "no image input named 'pixels'.*name one of image"),
    ],
)
def test_cards_that_do_not_fit(
    engine: Any,
    written: dict[str, Any],
    changes: dict[str, Any],
    fields: dict[str, Any],
    words: str,
    path: Path,
    tmp_path: Path,
) -> None:
    card = card_of_onnx(write_onnx(path, **written), changes)
    with pytest.raises(RecipeError, match=words) as caught:
        source(card, tmp_path, **fields).build(engine)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prefix", "tokens", "says"),
    [
        (3, "mean", "output.prefix_tokens = 3 they are. Check it in the card."),
        (0, "cls", "output.prefix_tokens = 0 they are. Check it in the card, and whether there is a class token."),
        (3, "cls", None),
        (1, "mean", None),
    ],
)
def test_tokens_that_are_no_grid_without_those_before(
    prefix: int, tokens: str, says: str | None, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_onnx(path, output="tokens", prefix=prefix)
    source(card_of_onnx(path, {"output.tokens": tokens}), tmp_path).build("onnxruntime")
    found = [record.getMessage() for record in caplog.records if "square patches" in record.getMessage()]
    assert (found == []) if says is None else (len(found) == 1 and says in found[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_that_are_no_numbers(engine: Any, path: Path, tmp_path: Path) -> None:
    weights = kernel()
    weights[2, 1, 3, 3] = np.nan
    with pytest.raises(WeightsError, match=r"Expected finite (weights|features)"):
        source(card_of_onnx(write_onnx(path, weights=weights)), tmp_path).build(engine)


def test_an_operation_that_an_engine_does_not_have(path: Path, tmp_path: Path) -> None:
    write_onnx(path, more=[helper.make_node("Twist", ["relu"], ["out"], domain="some.where")])
    card = card_of_onnx(path)
    with pytest.raises(EngineError, match=r"no counterpart for some\.where\.Twist; use the engine onnxruntime"):
        source(card, tmp_path).build("openvino")
    with pytest.raises(EngineError, match="use the engine openvino") as caught:
        source(card, tmp_path).build("onnxruntime")
    assert "\n" not in str(caught.value)


# Engines


def test_which_engine_is_meant(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = source(card_of_onnx(write_onnx(path)), tmp_path)
    assert origin.chosen_engine("auto") == "openvino"
    assert origin.chosen_engine("onnxruntime") == "onnxruntime"
    with pytest.raises(UsageError, match=r"engine openvino or onnxruntime for network.*received keras"):
        origin.build("keras")
    with pytest.raises(RecipeError, match="leave --precision out"):
        source(card_of_onnx(path), tmp_path, precision="mixed").build()
    monkeypatch.setattr(engines, "has_openvino", lambda: False)
    assert origin.chosen_engine("auto") == "onnxruntime"
    with pytest.raises(UsageError, match="pip install openvino"):
        origin.build("openvino")
    monkeypatch.setattr(engines, "has_onnxruntime", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'featx\[onnx\]'"):
        origin.build("onnxruntime")
    with pytest.raises(UsageError, match="pip install openvino"):
        origin.build()


def test_a_graph_is_made_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = some_images()
    origin = source(card_of_onnx(write_onnx(path)), tmp_path)
    rows = origin.build("openvino").rows(images[:2])
    monkeypatch.delattr(cards_running, "Graph")
    again = origin.build("openvino", 4)
    np.testing.assert_allclose(again.rows(images)[:2], rows, rtol=1e-5, atol=1e-5)
    assert origin.facts() == (PLACES * CHANNELS, CHANNELS * 3 * 64, False)
    # Another preprocessing is another graph.
    with pytest.raises(NameError, match="Graph"):
        source(card_of_onnx(path), tmp_path, Preprocessing("raw")).build("openvino")


def test_the_key_does_not_know_places_and_names(path: Path, tmp_path: Path) -> None:
    card = card_of_onnx(write_onnx(path))
    other = tmp_path / "elsewhere" / "renamed.onnx"
    other.parent.mkdir()
    path.rename(other)
    moved = card_of_onnx(other, {"name": "another name"})
    assert source(card, tmp_path).identity() == source(moved, tmp_path).identity()
    changed = card_of_onnx(other, {"pixels.scale": 1 / 256})
    assert source(card, tmp_path).identity() != source(changed, tmp_path).identity()


def test_engines_that_agree_share_their_rows(path: Path, tmp_path: Path) -> None:
    origin = source(card_of_onnx(write_onnx(path)), tmp_path)
    assert origin.numerics() == origin.numerics("openvino") == "float32"
    assert not (tmp_path / "cache").exists()
    assert origin.numerics("onnxruntime") == "float32"


def test_engines_that_differ_are_kept_apart(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = OnnxRuntimeNetwork.rows
    monkeypatch.setattr(OnnxRuntimeNetwork, "rows", lambda self, images: right(self, images) * np.float32(1.01))
    origin = source(card_of_onnx(write_onnx(path)), tmp_path)
    origin.build("openvino")
    assert "differ by 0.0099 of the largest feature" in caplog.text
    caplog.clear()
    monkeypatch.delattr(cards_running, "Graph")
    monkeypatch.delattr(cards_running, "OnnxRuntimeNetwork")
    assert (origin.numerics("onnxruntime"), origin.numerics()) == ("onnxruntime", "float32")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_without_openvino_rows_are_not_taken_for_its(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (engines, cards_running):
        monkeypatch.setattr(module, "has_openvino", lambda: False)
    origin = source(card_of_onnx(write_onnx(path)), tmp_path)
    assert origin.numerics() == origin.numerics("onnxruntime") == "onnxruntime"
    assert origin.build().name == "onnxruntime"


# Files


def test_weights_in_a_file_beside_it(path: Path, tmp_path: Path) -> None:
    write_onnx(path, output="row", external="network.data")
    images = some_images()
    expected = expected_map(by_hand(images)).mean((1, 2))
    card = card_of_onnx(path)
    assert list(card.files) == ["network.onnx", "network.data"]
    check(card, tmp_path, expected, images)
    values = expected_map(by_hand(images))
    check(card, tmp_path, values.max((1, 2)), images, cut="relu", pooling="max")


def test_other_kinds(path: Path, tmp_path: Path) -> None:
    """OpenVINO's own files, and a SavedModel."""
    import openvino

    write_onnx(path, output="row")
    images = some_images()
    expected = expected_map(by_hand(images)).mean((1, 2))
    openvino.save_model(openvino.Core().read_model(path), tmp_path / "own.xml", compress_to_fp16=False)
    files = dict.fromkeys(("own.xml", "own.bin"), "0" * 64)
    card = card_of_onnx(path, {"kind": "openvino", "files": files})
    origin = source(card, tmp_path)
    np.testing.assert_allclose(origin.build().rows(images[:2]), expected[:2], rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="Expected the engine openvino for network, a network of the kind openvino"):
        origin.build("onnxruntime")
    assert origin.numerics("auto") == "float32"


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("openvino", "own.xml", b"<net"),
        ("openvino", "own.xml", b"<net name='x' version='99'/>"),
        ("openvino", "own.xml", b"no xml at all"),
        ("openvino", "own.xml", b""),
        ("saved_model", "saved_model.pb", b"\xff" * 100),
        ("saved_model", "saved_model.pb", b""),
    ],
)
def test_damaged_files_of_other_kinds(kind: str, name: str, content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "own.bin").write_bytes(b"")
    card = card_of_onnx(folder / name, {"kind": kind})
    with pytest.raises(FeatxError, match="Expected a network that OpenVINO can run in") as caught:
        source(card, tmp_path).build()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_saved_model(path: Path, tmp_path: Path) -> None:
    from featx.networks import load_keras

    keras = load_keras()
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    layer = keras.layers.Conv2D(CHANNELS, 8, strides=8, activation="relu", use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel().transpose(2, 3, 1, 0)])
    model.export(tmp_path / "saved", verbose=False)
    write_onnx(path)
    changes = {"kind": "saved_model", "files": {"saved/saved_model.pb": "0" * 64}, "input.layout": "nhwc"}
    images = some_images()
    expected = expected_map(by_hand(images)).mean((1, 2))
    network = source(card_of_onnx(path, changes), tmp_path, pooling="avg").build()
    np.testing.assert_allclose(network.rows(images[:2]), expected[:2], rtol=1e-4, atol=1e-4)


def test_errors_are_for_users(path: Path, tmp_path: Path) -> None:
    card = card_of_onnx(write_onnx(path))
    path.write_bytes(path.read_bytes()[:-40])
    for engine in ENGINES:
        with pytest.raises(FeatxError, match=r"network\.onnx") as caught:
            source(card, tmp_path).build(engine)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
