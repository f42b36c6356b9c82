"""Tests of networks of timm, built without their weights, which only a hub has."""

from __future__ import annotations

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

    def build(name: str, tokens: Any = None) -> Any:
        torch.manual_seed(0)
        return right(name, tokens, pretrained=False)

    right = from_timm.build_timm
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
    model = timm.create_model("test_vit", num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model), is_training=False)
    for path, row in zip(paths, rows, strict=True):
        with torch.inference_mode():
            expected = model(transform(Image.open(path).convert("RGB"))[None])[0].numpy()
        assert np.allclose(row, expected, atol=1e-4 * np.abs(expected).max())


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
