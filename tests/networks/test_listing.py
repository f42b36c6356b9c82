"""Tests of the table of networks, and of what is shown about one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from onnx_networks import write_onnx, write_onnx_card

from featx.digests import digest_of_file
from featx.errors import UsageError
from featx.images import Preprocessing
from featx.networks.backbones import BACKBONES
from featx.networks.cards.files import load_card
from featx.networks.listing import LICENCES, describe_backbone, formula, list_backbones
from featx.networks.weights import WEIGHTS_DIR


def test_the_network_that_comes_with_featx_is_first_and_here(no_weights: Path) -> None:
    rows = list_backbones()
    assert {row.name for row in rows} == set(BACKBONES)
    first = rows[0]
    assert (first.name, first.width, first.size, first.licence) == ("efficientnetlite0", 1280, 224, "Apache-2.0")
    assert [row.here for row in rows] == [True] + [False] * (len(rows) - 1)
    assert set(LICENCES) <= set(BACKBONES)


def test_weights_in_the_folder_for_weights_are_here(
    no_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vgg16_notop.weights.h5").write_bytes(b"weights")
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path))
    assert {row.name for row in list_backbones() if row.here} == {"efficientnetlite0", "vgg16"}
    shown = describe_backbone("VGG16")["weights"]
    assert shown["path"] == str(tmp_path / "vgg16_notop.weights.h5")
    assert shown["sha256"] == digest_of_file(tmp_path / "vgg16_notop.weights.h5")


def test_a_named_network_is_shown_with_its_preprocessing(no_weights: Path) -> None:
    shown = describe_backbone("mobilenetv2")
    assert (shown["width"], shown["stride"], shown["here"]) == (1280, 32, False)
    assert shown["preprocessing"] == {"rule": "tf", "formula": "x / 127.5 - 1"}
    assert shown["weights"]["path"] is None
    assert all("mobilenet" in place for place in shown["weights"]["places"])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Preprocessing("affine", (127.0,) * 3, (128.0,) * 3), "(x - 127) / 128"),
        (
            Preprocessing("affine", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), 0.5, "bgr"),
            "(x × 0.5 - (0.1, 0.2, 0.3)) / 1, x in bgr order",
        ),
        (Preprocessing("affine", (0.5,), (0.25,), 1.0, "grey"), "(x - 0.5) / 0.25, x is grey"),
    ],
)
def test_a_formula_says_what_is_computed(rule: Preprocessing, words: str) -> None:
    assert formula(rule) == words


@pytest.mark.parametrize("rule", ["rescale", "raw", "tf", "torch"])
def test_the_formulas_of_named_rules_are_right(rule: Literal["rescale", "raw", "tf", "torch"]) -> None:
    x = np.array([12.0, 100.0, 200.0])
    text = formula(Preprocessing(rule)).replace("(0.485, 0.456, 0.406)", "m").replace("(0.229, 0.224, 0.225)", "s")
    first = text.partition(",")[0]
    steps = {"x / 255": x / 255, "x": x, "x / 127.5 - 1": x / 127.5 - 1}
    steps["(x / 255 - m) / s"] = (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.allclose(steps[first], Preprocessing(rule)(x.astype(np.uint8)[None, None])[0, 0], atol=1e-5)


def test_a_card_is_shown_as_toml_that_is_the_same_card(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the test writes a small network with it")
    card = write_onnx_card(write_onnx(tmp_path / "small.onnx", output="row"))
    for name in (card, tmp_path, tmp_path / "small.onnx"):
        shown = describe_backbone(str(name))
        (tmp_path / "again").mkdir(exist_ok=True)
        (tmp_path / "again" / "card.toml").write_text(shown["toml"])
        assert shown["digest"] == load_card(card).digest() == load_card(tmp_path / "again" / "card.toml").digest()
        assert shown["folder"] == str(tmp_path)


def test_a_model_file_says_nothing_of_its_preparation(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="does not say how pixels are prepared"):
        describe_backbone(str(tiny_model))


def test_an_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(UsageError, match="did you mean vgg"):
        describe_backbone("vgg61")
