"""Tests of networks of transformers, from folders as the hub has them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from featx.errors import UsageError, WeightsError
from featx.networks.cards.files import load_card
from featx.networks.importing.sources import import_backbone

transformers = pytest.importorskip("transformers", reason="networks of transformers are built")
torch = pytest.importorskip("torch", reason="they are networks of PyTorch")
pytest.importorskip("onnxscript", reason="PyTorch exports with it")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of PyTorch's exporter

SMALL = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
IMAGE = {"image_size": 64, "patch_size": 16}
SIDES = {"height": 64, "width": 64}


def folder_of(tmp_path: Path, kind: str) -> Path:
    """A folder with a small network of random weights, and its image processor."""
    torch.manual_seed(0)
    folder = tmp_path / kind
    if kind == "vit":
        model = transformers.ViTModel(transformers.ViTConfig(**SMALL, **IMAGE), add_pooling_layer=False)
        processor = transformers.ViTImageProcessor(size=SIDES)
    elif kind == "registers":
        config = transformers.Dinov2WithRegistersConfig(**SMALL, **IMAGE, num_register_tokens=4)
        model = transformers.Dinov2WithRegistersModel(config)
        processor = transformers.BitImageProcessor(size={"shortest_edge": 76}, crop_size=SIDES)
    elif kind == "clip":
        vision, text = SMALL | IMAGE, SMALL | {"vocab_size": 99}
        model = transformers.CLIPModel(
            transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=8)
        )
        model.vision_model.config.projection_dim = 8
        processor = transformers.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size=SIDES)
    else:
        config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])
        model = transformers.ConvNextModel(config)
        processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 64})
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


@pytest.mark.parametrize(
    ("kind", "tokens", "output", "width"),
    [
        ("vit", None, ("last_hidden_state", "cls", 1), 24),
        ("vit", "mean", ("last_hidden_state", "mean", 1), 24),
        ("registers", None, ("pooler_output", None, 1), 24),
        ("registers", "cls+mean", ("last_hidden_state", "cls+mean", 5), 48),
        ("clip", None, ("image_embeds", None, 1), 512),
        ("convnext", None, ("pooler_output", None, 1), 16),
    ],
)
def test_features_are_those_of_transformers_from_the_image_on(
    tmp_path: Path, kind: str, tokens: Any, output: tuple[str, Any, int], width: int
) -> None:
    done = import_backbone(f"hf:{folder_of(tmp_path, kind)}", tmp_path / "out", tokens=tokens)
    card = load_card(done.card)
    assert done.network_difference is not None
    assert done.network_difference < 1e-5
    assert done.largest_difference is not None
    assert done.largest_difference < 1e-5
    assert (card.output.name, card.output.tokens, card.output.prefix_tokens) == output
    assert (card.about.licence, card.about.source) == ("apache-2.0", f"hf:{kind}")
    if kind != "clip":
        assert done.width == width


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "vit")
    state = transformers.ViTModel.from_pretrained(folder).state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="loads no pickle"):
        import_backbone(f"hf:{folder}", tmp_path / "out")


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    folder = folder_of(tmp_path, "convnext")
    tensors = safetensors.load_file(folder / "model.safetensors")
    name = sorted(tensors)[0]
    safetensors.save_file({key: value for key, value in tensors.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match="1 are missing, such as "):
        import_backbone(f"hf:{folder}", tmp_path / "out")


def test_a_class_token_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a network with tokens for --tokens cls"):
        import_backbone(f"hf:{folder_of(tmp_path, 'convnext')}", tmp_path / "out", tokens="cls")


def test_settings_that_do_not_say_how_pixels_are_prepared_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, "clip")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_center_crop": False}))
    with pytest.raises(UsageError, match=r"^Settings of hf:clip: input\.size is missing"):
        import_backbone(f"hf:{folder}", tmp_path / "out")
    file.unlink()
    with caplog.at_level(logging.ERROR), pytest.raises(WeightsError, match=r"hf:.*clip, but it could not be built"):
        import_backbone(f"hf:{folder}", tmp_path / "out")
    assert not (tmp_path / "out").exists()
