"""Tests of networks of timm, built without their weights, which only a hub has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_data import small_data

import featx
from featx.errors import UsageError, WeightsError
from featx.networks.cards.files import load_card
from featx.networks.importing import from_timm, sources
from featx.networks.importing.sources import Imported, import_backbone

timm = pytest.importorskip("timm", reason="networks of timm are built")
pytest.importorskip("onnxscript", reason="PyTorch exports with it")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of PyTorch's exporter


@pytest.fixture(autouse=True)
def random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build networks with seeded random weights."""
    import torch

    def create(name: str, **arguments: Any) -> Any:
        torch.manual_seed(0)
        return right_create(name, **arguments)

    def build(name: str, tokens: Any = None) -> Any:
        return right(name, tokens, pretrained=False)

    right, right_create = from_timm.build_timm, timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(from_timm, "build_timm", build)


def brought_in(tmp_path: Path, name: str, tokens: Any = None) -> Imported:
    return import_backbone(f"timm:{name}", tmp_path / "out", tokens=tokens)


@pytest.mark.parametrize(
    ("name", "tokens", "output"),
    [
        ("test_resnet", None, "features"),
        ("test_vit", None, "features"),
        ("test_vit", "cls+mean", "tokens"),
        ("test_convnext", None, "features"),
    ],
)
def test_features_are_those_of_timm_from_the_image_on(tmp_path: Path, name: str, tokens: Any, output: str) -> None:
    done = brought_in(tmp_path, name, tokens)
    card = load_card(done.card)
    assert done.network_difference is not None
    assert done.network_difference < 1e-5
    assert done.largest_difference is not None
    assert done.largest_difference < 1e-5
    width = timm.create_model(name, num_classes=0).num_features
    assert done.width == width * (2 if tokens else 1)
    assert (card.output.name, card.output.tokens) == (output, tokens)


def test_an_imported_network_gives_the_rows_that_timm_gives(tmp_path: Path) -> None:
    import torch
    from PIL import Image

    done = brought_in(tmp_path, "test_vit")
    data = small_data(tmp_path / "data", train=2, test=0, classes=2)
    paths = sorted(data.rglob("*.png"))
    rows = featx.FeatureExtractor(backbone=str(done.card), cache=tmp_path / "cache").fit_transform(paths)
    torch.manual_seed(0)
    model = timm.create_model("test_vit").eval()
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model), is_training=False)
    for path, row in zip(paths, rows, strict=True):
        with torch.inference_mode():
            expected = model(transform(Image.open(path).convert("RGB"))[None])[0].numpy()
        assert np.allclose(row, expected, atol=1e-4 * np.abs(expected).max())


def folder_of(tmp_path: Path, **arguments: Any) -> tuple[Path, dict[str, Any]]:
    """A folder as timm has them on the hub, with weights of its own; returns the weights, too."""
    import torch

    torch.manual_seed(1)
    model = timm.create_model("test_vit", **arguments)
    timm.models.save_for_hf(model, tmp_path / "mine", safe_serialization=True)
    return tmp_path / "mine", model.state_dict()


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    monkeypatch.undo()
    folder, weights = folder_of(tmp_path)
    name = "blocks.1.norm1.weight"
    changed = {key: value for key, value in weights.items() if key != name}
    safetensors.save_file(
        changed if change == "missing" else weights | {"blocks.1.ls1.gamma": weights[name].clone()},
        folder / "model.safetensors",
    )
    with pytest.raises(WeightsError, match=r"timm:mine, but it could not be built: .*blocks\.1\."):
        import_backbone(f"timm:local-dir:{folder}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("tokens", "made_of", "times"), [(None, "cls", 1), ("cls+mean", "cls+mean", 2)])
def test_a_network_that_timm_does_not_pool_gives_its_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: Any, made_of: str, times: int
) -> None:
    monkeypatch.undo()
    folder, _ = folder_of(tmp_path, global_pool="", num_classes=0)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"model_args": {"global_pool": ""}}))
    done = import_backbone(f"timm:local-dir:{folder}", tmp_path / "out", tokens=tokens)
    card = load_card(done.card)
    assert (card.output.name, card.output.tokens, card.about.source) == ("tokens", made_of, "timm:mine")
    assert done.width == times * timm.create_model("test_vit").num_features
    assert done.network_difference is not None
    assert done.network_difference < 1e-5


def test_names_of_the_hub_are_built_as_their_authors_say(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    given: dict[str, Any] = {}

    def create(name: str, **arguments: Any) -> Any:
        given.update(arguments, name=name)
        raise RuntimeError("seen")

    monkeypatch.undo()
    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(WeightsError, match="seen"):
        from_timm.build_timm("hf-hub:paige-ai/Virchow2")
    layers = {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU}
    assert given == {"name": "hf-hub:paige-ai/Virchow2", "pretrained": True, **layers}


def test_tokens_are_refused_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a network with tokens for --tokens cls"):
        brought_in(tmp_path, "test_resnet", "cls")


def test_a_name_that_timm_does_not_know_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="check the spelling"):
        brought_in(tmp_path, "resnet18_and_a_half")


def test_a_hub_that_cannot_be_reached_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.undo()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match="hub cannot be reached"):
        sources.import_backbone("timm:test_vit", tmp_path / "out")
