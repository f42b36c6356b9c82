"""Tests of ONNX files that are brought in: what is asked for, and the rows that come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_networks import HEIGHT, WIDTH, expected_map, kernel, some_images, write_onnx, write_onnx_card

from featx.errors import RunError, UntrustedError, UsageError, WeightsError
from featx.networks.cards.files import load_card
from featx.networks.importing import comparison, sources
from featx.networks.importing.from_onnx import named_preparation
from featx.networks.importing.sources import Imported, import_backbone

pytest.importorskip("onnx", reason="the tests write small networks with it")
pytest.importorskip("openvino", reason="OpenVINO runs the networks")


def brought_in(tmp_path: Path, *, like: str = "mobilenetv2", tokens: Any = None, **network: Any) -> Imported:
    path = write_onnx(tmp_path / "small.onnx", **network)
    return import_backbone(str(path), tmp_path / "out", like=like, tokens=tokens)


def test_an_onnx_file_becomes_a_card_that_prepares_pixels_as_another_network(tmp_path: Path) -> None:
    done = brought_in(tmp_path, output="row")
    card = load_card(tmp_path / "out")
    card.verify()
    assert (card.input.name, card.input.layout, card.input.size) == ("image", "nchw", (HEIGHT, WIDTH))
    assert (done.file, done.width, card.about.width) == (tmp_path / "out" / "small.onnx", 6, 6)
    pixels = some_images()
    assert np.allclose(card.preprocessing()(pixels), pixels / 127.5 - 1, atol=1e-6)
    rows = comparison.runner(card)((pixels[:1] / 127.5 - 1).astype(np.float32).transpose(0, 3, 1, 2))
    expected = expected_map((pixels[:1] / 127.5 - 1).astype(np.float32)).mean((1, 2))
    assert np.allclose(rows, expected, atol=1e-4)


def test_onnxruntime_checks_the_features_and_the_difference_is_written_down(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="it is the other engine")
    done = brought_in(tmp_path, output="row")
    assert done.largest_difference is not None
    assert 0 <= done.largest_difference < 1e-5
    assert load_card(done.card).about.largest_difference == pytest.approx(done.largest_difference, rel=0.01)


@pytest.mark.parametrize(
    ("network", "tokens", "width"),
    [
        ({"output": "map"}, None, 6),
        ({"output": "tokens"}, "cls+mean", 12),
        ({"output": "row", "nhwc": True}, None, 6),
        ({"output": "row", "side": ("h", "w")}, None, 6),
        ({"output": "row", "external": "small.data"}, None, 6),
    ],
)
def test_outputs_layouts_sizes_and_files_are_found(
    tmp_path: Path, network: dict[str, Any], tokens: Any, width: int
) -> None:
    done = brought_in(tmp_path, tokens=tokens, **network)
    card = load_card(done.card)
    card.verify()
    assert done.width == width
    assert card.input.layout == ("nhwc" if network.get("nhwc") else "nchw")
    assert card.input.size == ((224, 224) if network.get("side") else (HEIGHT, WIDTH))
    assert set(card.files) == {"small.onnx"} | ({"small.data"} if network.get("external") else set())


def test_a_grey_network_is_prepared_as_a_grey_card_says(tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "other.onnx", output="row", channels=1)
    changes = {"input.colour": "grey", "pixels.mean": (0.5,), "pixels.std": (0.25,)}
    like = write_onnx_card(model, changes)
    done = brought_in(tmp_path, like=str(like), output="row", channels=1)
    assert load_card(done.card).input.colour == "grey"
    with pytest.raises(UsageError, match=r"1 channels.*--like"):
        import_backbone(str(write_onnx(tmp_path / "rgb.onnx")), tmp_path / "rgb", like=str(like))


def test_a_card_beside_the_file_needs_no_like(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "small.onnx", output="row")
    write_onnx_card(path, {"pixels.mean": (0.1, 0.2, 0.3)})
    done = import_backbone(str(path), tmp_path / "out")
    assert load_card(done.card).pixels.mean == (0.1, 0.2, 0.3)


def test_without_a_word_on_pixels_nothing_is_guessed(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "small.onnx", output="row")
    with pytest.raises(UsageError, match=r"pixels\.mean, pixels\.std and input\.colour are missing.*--like"):
        import_backbone(str(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_outputs_and_tokens_are_asked_for(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "small.onnx", output="both")
    with pytest.raises(UsageError, match=r"--output NAME.*several outputs: relu.*row"):
        import_backbone(str(path), tmp_path / "out", like="vgg16")
    with pytest.raises(UsageError, match="received 'rows'; did you mean row"):
        import_backbone(str(path), tmp_path / "out", like="vgg16", output="rows")
    assert import_backbone(str(path), tmp_path / "out", like="vgg16", output="row").width == 6
    tokens = write_onnx(tmp_path / "tokens.onnx", output="tokens")
    with pytest.raises(UsageError, match="--tokens cls, mean"):
        import_backbone(str(tokens), tmp_path / "tokens", like="vgg16")


def test_a_map_has_its_own_layout(tmp_path: Path) -> None:
    done = brought_in(tmp_path, output="map", nhwc=True)
    card = load_card(done.card)
    assert (card.input.layout, card.output.layout, card.output.pooling, done.width) == ("nhwc", "nchw", "avg", 6)


def classifier(path: Path) -> Path:
    """Write a network with a last layer of four scores and a softmax."""
    from onnx import helper

    layer = [0.1 * number for number in range(24)]
    nodes = [
        helper.make_node("ReduceMean", ["relu"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Constant", [], ["layer"], value=helper.make_tensor("layer", 1, [6, 4], layer)),
        helper.make_node("MatMul", ["mean", "layer"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["out"]),
    ]
    return write_onnx(path, more=nodes)


def test_features_before_the_last_layer_of_a_classifier(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = classifier(tmp_path / "small.onnx")
    assert import_backbone(str(path), tmp_path / "out", like="mobilenetv2").width == 4
    assert "The output out of small.onnx has 4 values, perhaps scores of classes" in caplog.text
    assert "output mean, of the shape (?, 6)." in caplog.text
    caplog.clear()
    done = import_backbone(str(path), tmp_path / "inner", like="mobilenetv2", output="mean")
    assert (done.width, caplog.text) == (6, "")
    card = load_card(done.card)
    pixels = (some_images()[:1] / 127.5 - 1).astype(np.float32)
    rows = comparison.runner(card)(pixels.transpose(0, 3, 1, 2))
    assert np.allclose(rows, expected_map(pixels).mean((1, 2)), atol=1e-4)
    with pytest.raises(UsageError, match=r"received 'nonsense'; it has out .* and, last inside, .*mean \(\?, 6\)"):
        import_backbone(str(path), tmp_path / "other", like="mobilenetv2", output="nonsense")


def test_features_inside_are_compared_with_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="it is the other engine")
    done = import_backbone(
        str(classifier(tmp_path / "small.onnx")), tmp_path / "out", like="mobilenetv2", output="mean"
    )
    assert done.largest_difference is not None
    assert 0 <= done.largest_difference < 1e-5


@pytest.mark.parametrize("name", ["vgg16", "mobilenetv2", "densenet121", "efficientnetlite0"])
def test_a_named_preparation_is_that_of_the_table(name: str, tmp_path: Path) -> None:
    from featx.networks.backbones import find_backbone
    from featx.networks.cards.card import Card

    prepared = named_preparation(name)
    card = Card(name=name, kind="onnx", files={"x.onnx": "0" * 64}, input=prepared.input, pixels=prepared.pixels)
    pixels = some_images()
    assert np.allclose(card.preprocessing()(pixels), find_backbone(name).preprocessing(pixels), atol=2e-6)


def test_an_earlier_import_is_replaced_and_other_files_are_not(tmp_path: Path) -> None:
    brought_in(tmp_path, output="row")
    again = brought_in(tmp_path, output="row", like="vgg16")
    assert load_card(again.card).input.colour == "bgr"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        import_backbone(str(tmp_path / "small.onnx"), tmp_path / "mine", like="vgg16")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_file_that_gives_other_features_is_not_brought_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="it is the other engine")
    right = comparison.runner

    def wrong(card: Any) -> Any:
        run = right(card)
        return lambda batch: run(batch) * np.float32(1.01)

    monkeypatch.setattr(comparison, "runner", wrong)
    with pytest.raises(
        UntrustedError, match=r"differ by 0\.01 of the largest, more than 0\.001; nothing is imported"
    ):
        brought_in(tmp_path, output="row")
    assert {path.name for path in tmp_path.iterdir()} == {"small.onnx"}


def test_weights_that_are_not_numbers_are_not_brought_in(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="it is the other engine")
    spoilt = kernel()
    spoilt[0, 0, 0, 0] = np.nan
    with pytest.raises(UntrustedError, match="nothing is imported"):
        brought_in(tmp_path, output="row", weights=spoilt)


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match=r"Expected a network in the format ONNX"):
        import_backbone(str(tmp_path / "small.onnx"), tmp_path / "out", like="vgg16")


@pytest.mark.parametrize("source", ["resnet18", "foo:bar", "timm:", "model.pt"])
def test_an_unknown_source_is_answered_with_those_that_there_are(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"timm:NAME, hf:NAME, hf:FOLDER, keras-hub:NAME"):
        import_backbone(source, tmp_path / "out")


def test_options_for_onnx_files_are_refused_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--like only for an ONNX file"):
        import_backbone("timm:resnet18", tmp_path / "out", like="vgg16")


def test_a_missing_package_is_named_with_the_command_that_adds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    for source in ("timm:resnet18", "hf:some/network", "torchxrayvision:densenet121-res224-all"):
        with pytest.raises(UsageError, match=r"package torch for .* pip install 'featx\[import\]'"):
            import_backbone(source, tmp_path / "out")
    assert sources.SOURCES.startswith("timm:NAME")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("convnext_tiny", "did you mean timm:convnext_tiny"),
        ("facebook/dinov2-small", "did you mean hf:facebook/dinov2-small"),
        ("net.keras", "--backbone takes a .keras file as it is"),
        ("net.pth", "export such a network as ONNX"),
        (".", "for a folder of the Hugging Face hub write hf:."),
    ],
)
def test_what_is_no_source(source: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected a source such as timm:NAME") as caught:
        import_backbone(source, tmp_path / "out")
    assert says in str(caught.value)


def test_like_a_name_that_is_none(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "small.onnx", output="row")
    with pytest.raises(UsageError, match=r"No backbone is named 'resnett'; did you mean resnet50"):
        import_backbone(str(path), tmp_path / "out", like="resnett")
