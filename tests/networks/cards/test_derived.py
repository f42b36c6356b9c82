"""Cards that follow from the settings of timm and transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.errors import CardError, UsageError
from featx.images import resize
from featx.networks.cards.card import InputPart, PixelsPart
from featx.networks.cards.derived import hub_pixels, hub_tables, timm_pixels
from featx.networks.cards.files import dump_card, load_card
from featx.networks.weights import find_weights
from featx.recipes import ImagesPart

# As transformers writes them for DINOv2 and for ViT, and timm for ResNet50.
DINO = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "BitImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 256},
}
VIT = {
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "size": {"height": 384, "width": 384},
}
CONVNEXT = {**VIT, "size": {"shortest_edge": 224}, "crop_pct": 0.875}
RESNET = {
    "architecture": "resnet50",
    "num_features": 2048,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "license": "apache-2.0",
    },
}


def said(parts: tuple[InputPart, PixelsPart]) -> tuple[Any, ...]:
    image, pixels = parts
    return (*image.size, pixels.fit, pixels.resize_to, pixels.interpolation)


def timm(**changes: Any) -> dict[str, Any]:
    return {**RESNET, "pretrained_cfg": {**RESNET["pretrained_cfg"], **changes}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (DINO, (224, 224, "crop", 256, "bicubic")),
        (VIT, (384, 384, "stretch", None, "bilinear")),
        ({**VIT, "size": {"height": 256, "width": 128}}, (256, 128, "stretch", None, "bilinear")),
        (CONVNEXT, (224, 224, "crop", 256, "bilinear")),
        ({**CONVNEXT, "size": {"shortest_edge": 384}}, (384, 384, "stretch", None, "bilinear")),
        ({**DINO, "size": {"height": 256, "width": 256}}, (224, 224, "stretch", 256, "bicubic")),
        ({**DINO, "size": 256, "crop_size": 224}, (224, 224, "crop", 256, "bicubic")),
        ({**DINO, "size": 256, "image_processor_type": "DeiTImageProcessor"}, (224, 224, "stretch", 256, "bicubic")),
        (
            {**VIT, "size": 224, "feature_extractor_type": "ViTFeatureExtractor"},
            (224, 224, "stretch", None, "bilinear"),
        ),
    ],
)
def test_how_transformers_resizes(processor: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert said(hub_pixels(processor)) == expected


def test_how_transformers_scales() -> None:
    image, pixels = hub_pixels(DINO)
    assert (image.layout, image.colour, pixels.scale, pixels.mean) == ("nchw", "rgb", 1 / 255, (0.485, 0.456, 0.406))
    raw = {**VIT, "do_rescale": False, "do_normalize": False, "do_flip_channel_order": True}
    image, pixels = hub_pixels(raw)
    assert (image.colour, pixels.scale, pixels.mean, pixels.std) == ("bgr", 1.0, (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("processor", "missing"),
    [
        ({**DINO, "do_center_crop": False}, "input.size is missing"),  # the shorter side alone
        ({**DINO, "do_resize": False}, "input.size, pixels.interpolation are missing"),
        ({**DINO, "resample": 0}, "pixels.interpolation is missing"),
        ({**VIT, "size": 224}, "input.size is missing"),  # of a processor that is not named
        ({"do_normalize": True}, "input.size, pixels.interpolation, pixels.mean, pixels.std are missing"),
    ],
)
def test_what_settings_of_transformers_leave_open(processor: dict[str, Any], missing: str) -> None:
    with pytest.raises(UsageError, match=missing):
        hub_pixels(processor)


@pytest.mark.parametrize("step", ["do_pad", "do_grayscale", "include_top", "do_something_new"])
def test_steps_that_no_card_describes(step: str) -> None:
    hub_tables({**DINO, step: False})
    with pytest.raises(CardError, match=step):
        hub_tables({**DINO, step: True})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (224, 224, "crop", 235, "bicubic")),
        ({"crop_pct": 1.0}, (224, 224, "crop", None, "bicubic")),
        ({"crop_mode": "squash", "crop_pct": 0.875}, (224, 224, "stretch", 256, "bicubic")),
        ({"crop_mode": "squash", "crop_pct": 1.0}, (224, 224, "stretch", None, "bicubic")),
        ({"input_size": [3, 256, 128], "crop_pct": 1.0}, (256, 128, "crop", None, "bicubic")),
    ],
)
def test_how_timm_resizes(changes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert said(timm_pixels(timm(**changes))) == expected


def test_what_settings_of_timm_leave_open_or_no_card_describes() -> None:
    for name, field in {
        "mean": "pixels.mean",
        "input_size": "input.size",
        "crop_pct": "pixels.interpolation",
    }.items():
        settings = timm()
        del settings["pretrained_cfg"][name]
        with pytest.raises(UsageError, match=f"{field} is missing"):
            timm_pixels(settings)
    for changes in (
        {"crop_mode": "border"},
        {"crop_pct": 2},
        {"input_size": [3, 256, 128]},
        {"input_size": [4, 8, 8]},
    ):
        with pytest.raises(CardError):
            timm_pixels(timm(**changes))
    with pytest.raises(CardError, match="received 'nearest'"):
        timm_pixels(timm(interpolation="nearest"))


def test_the_pixels_of_timm_itself() -> None:
    timm_data = pytest.importorskip("timm.data", reason="timm prepares the pixels to compare with")
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (300, 420, 3), np.uint8)
    for changes in ({}, {"crop_pct": 1.0}, {"crop_mode": "squash"}, {"interpolation": "bilinear"}):
        settings = timm(**changes)
        image, part = timm_pixels(settings)
        config = timm_data.resolve_data_config({}, pretrained_cfg=settings["pretrained_cfg"])
        expected = timm_data.create_transform(**config)(Image.fromarray(pixels)).numpy().transpose(1, 2, 0)
        resized = resize(pixels, image.size, part.interpolation, part.fit, part.resize_to)
        ours = (resized * part.scale - np.array(part.mean)) / np.array(part.std)
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def folder_of(tmp_path: Path, settings: dict[str, dict[str, Any]], **options: Any) -> Path:
    """Write a folder as hubs have them, with a small network at onnx/model.onnx."""
    pytest.importorskip("onnx", reason="onnx writes the network")
    from onnx_networks import write_onnx

    folder = tmp_path / "hub"
    (folder / "onnx").mkdir(parents=True)
    write_onnx(folder / "onnx" / "model.onnx", **options)
    for name, document in settings.items():
        (folder / name).write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("external", [None, "model.onnx.data"])
def test_a_derived_card_is_the_same_when_it_is_written(external: str | None, tmp_path: Path) -> None:
    settings = {"preprocessor_config.json": {**DINO, "crop_size": 32, "size": {"shortest_edge": 40}}}
    folder = folder_of(tmp_path, settings, output="row", external=external)
    card = load_card(folder)
    assert card.images() == ImagesPart(size=32, resize="bicubic", fit="crop", resize_to=40)
    assert list(card.files) == ["onnx/model.onnx", "onnx/model.onnx.data"][: 1 if external is None else 2]
    assert (card.input.name, card.output.name) == ("image", "row")
    derived = find_weights(str(folder))
    assert find_weights(str(folder / "onnx" / "model.onnx")).digest == derived.digest
    (folder / "card.toml").write_text(dump_card(card))
    assert find_weights(str(folder)).digest == derived.digest == card.digest()


@pytest.mark.parametrize(
    ("config", "options", "expected"),
    [
        ({"model_type": "dinov2"}, {"output": "tokens", "rename": "last_hidden_state"}, ("cls", 1, "none")),
        (
            {"model_type": "dinov2_with_registers"},
            {"output": "tokens", "rename": "last_hidden_state"},
            ("cls", 5, "none"),
        ),
        ({"model_type": "resnet"}, {"output": "map", "rename": "last_hidden_state"}, (None, 1, "avg")),
        ({"model_type": "siglip"}, {"output": "row", "rename": "pooler_output"}, (None, 1, "none")),
        ({}, {"output": "row", "rename": "embedding"}, (None, 1, "none")),
    ],
)
def test_which_output_is_taken(
    config: dict[str, Any], options: dict[str, Any], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {"preprocessor_config.json": VIT, "config.json": config}, output=options["output"])
    _rename_output(folder / "onnx" / "model.onnx", options["rename"])
    output = load_card(folder).output
    assert output.name == options["rename"]
    assert (output.tokens, output.prefix_tokens, output.pooling) == expected


@pytest.mark.parametrize(("output", "name"), [("row", "logits"), ("tokens", "last_hidden_state")])
def test_an_output_that_featx_would_have_to_guess(output: str, name: str, tmp_path: Path) -> None:
    config = {"model_type": "new"}
    folder = folder_of(tmp_path, {"preprocessor_config.json": VIT, "config.json": config}, output=output)
    _rename_output(folder / "onnx" / "model.onnx", name)
    with pytest.raises(UsageError, match=rf"which of its outputs \({name}\) gives features"):
        load_card(folder)


def test_a_folder_of_timm(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"config.json": {**timm(), "num_features": 6}}, output="row")
    _rename_output(folder / "onnx" / "model.onnx", "row", width=6)
    card = load_card(folder)
    assert (card.name, card.output.name, card.about.licence) == ("resnet50", "row", "apache-2.0")
    assert (card.input.size, card.pixels.resize_to) == ((224, 224), 235)
    # The number of classes is not that of features.
    (folder / "config.json").write_text(json.dumps({**timm(), "num_features": 2048}))
    _rename_output(folder / "onnx" / "model.onnx", "scores", width=6)
    with pytest.raises(UsageError, match="gives features"):
        load_card(folder)


def test_several_networks_in_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(tmp_path, {"preprocessor_config.json": VIT}, output="row")
    usual = folder / "onnx" / "model.onnx"
    for name in ("model_fp16.onnx", "model_quantized.onnx"):
        (usual.parent / name).write_bytes(usual.read_bytes())
    with caplog.at_level("INFO", "featx"):
        assert load_card(folder).main == usual
    assert "Of the 3 networks" in caplog.text
    usual.unlink()
    with pytest.raises(UsageError, match=r"found 2 \(onnx/model_fp16\.onnx, onnx/model_quantized\.onnx\); pass the"):
        load_card(folder)
    assert load_card(usual.parent / "model_fp16.onnx").main.name == "model_fp16.onnx"


@pytest.mark.parametrize(
    ("settings", "file", "message"),
    [
        ({"preprocessor_config.json": VIT}, "model.safetensors", r"only model\.safetensors.*import hf:"),
        ({"config.json": RESNET}, "pytorch_model.bin", r"only pytorch_model\.bin.*import timm:NAME"),
        (
            {"preprocessor_config.json": VIT},
            "README.md",
            "there is none; convert it once with featx",
        ),
    ],
)
def test_a_network_that_needs_its_framework(
    settings: dict[str, Any], file: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_bytes(b"x")
    for name, document in settings.items():
        (tmp_path / name).write_text(json.dumps(document))
    with pytest.raises(UsageError, match=message):
        load_card(tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": NaN}', '{"size": ' + "[" * 100_000, "\x00"])
def test_settings_that_are_damaged(content: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(content)
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(CardError, match=r"in JSON at .*preprocessor_config\.json|Expected a JSON object"):
        load_card(tmp_path)


def _rename_output(path: Path, name: str, width: int | None = None) -> None:
    """Call the one output of a small network otherwise, and write its shape into the file."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    old = model.graph.output[0].name
    rank = len(onnx.load(path).graph.output[0].type.tensor_type.shape.dim) or _rank(model, old)
    for node in model.graph.node:
        node.output[:] = [name if one == old else one for one in node.output]
        node.input[:] = [name if one == old else one for one in node.input]
    del model.graph.output[:]
    shape = [None] * (rank - 1) + [width]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    onnx.save(model, path)


def _rank(model: Any, name: str) -> int:
    """The rank of an output after shapes were inferred."""
    ports = [*model.graph.output, *model.graph.value_info]
    return next(len(port.type.tensor_type.shape.dim) for port in ports if port.name == name)
