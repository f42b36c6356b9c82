"""Which features are meant by a network's card, and by a recipe that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_networks import card_document

from featx.errors import RecipeError, UsageError, WeightsError
from featx.features.choice import check_has_card, default_recipe, with_card, with_size
from featx.features.spaces import FeatureSpace
from featx.networks import Card, Weights, write_card
from featx.recipes import ImagesPart, Recipe, dump_recipe, load_recipe, override
from featx.store import Store

RESCALED = {"preprocess.mode": "rescale"}
CROPPED = {"pixels.interpolation": "bicubic", "pixels.fit": "crop", "pixels.resize_to": 40}


def card_in(folder: Path) -> Card:
    """A card of a file that is no network, as nothing here runs it."""
    folder.mkdir(exist_ok=True)
    (folder / "net.onnx").write_bytes(b"weights")
    card = Card.model_validate(card_document(folder / "net.onnx", {**CROPPED, "output.pooling": "avg"}))
    write_card(card, folder / "net.toml")
    return card.at(folder)


def weights_of(card: Card | None) -> Weights:
    return Weights("", None, "0" * 64, card=card)


def test_a_card_decides_the_default_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = card_in(tmp_path / "nets")
    expected = ImagesPart(size=24, width=32, resize="bicubic", fit="crop", resize_to=40)
    monkeypatch.chdir(tmp_path)
    for place in ("nets", "nets/", "nets/net.toml", "nets/net.onnx", str(tmp_path / "nets")):
        recipe = default_recipe(place)
        assert (recipe.images, recipe.preprocess.mode, recipe.backbone.pooling) == (expected, "card", "avg")
        assert recipe.name == card.name
    # A name of the table is that network, whatever folders there are.
    (tmp_path / "vgg16").mkdir()
    assert default_recipe("vgg16").preprocess.mode == "imagenet"
    with pytest.raises(UsageError, match="No backbone is named 'net'"):
        default_recipe("net")
    with pytest.raises(WeightsError, match="there is nothing"):
        default_recipe("nothing/")


def recipe_file(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "mine.toml"
    path.write_text(f'{text}\n[backbone]\nname = "nets/net.toml"\n')
    return load_recipe(path)


@pytest.mark.parametrize("base", ['base = "covid4-resnet50v2"', 'name = "mine"'])
def test_a_recipe_leaves_images_and_pooling_to_the_card(base: str, tmp_path: Path) -> None:
    card = card_in(tmp_path / "nets")
    recipe = recipe_file(tmp_path, f'{base}\npreprocess.mode = "card"')
    for changed in (recipe, override(recipe, {"views.count": 3}), recipe.replaced({"fit.epochs": 2})):
        spec = with_card(changed, weights_of(card))
        assert (spec.images, spec.backbone.pooling) == (card.images(), "avg")
    assert with_card(override(recipe, {"backbone.pooling": "max"}), weights_of(card)).backbone.pooling == "max"
    # As soon as somebody chooses a size, it is theirs, and the same share of the image is cut out.
    sized = ImagesPart(size=48, resize="bicubic", fit="crop", resize_to=60)
    for changed in (override(recipe, {"images.size": 48}), with_size(recipe, 48)):
        assert with_card(changed, weights_of(card)).images == sized
    assert with_card(override(recipe, {"images.fit": "pad"}).replaced(RESCALED), weights_of(card)).images == (
        ImagesPart(size=24, width=32, resize="bicubic", fit="pad")
    )
    # A recipe is the same when it has been written, before and after the card's fields are known.
    for written in (recipe, with_card(recipe, weights_of(card)), with_size(recipe, 48)):
        (tmp_path / "again.toml").write_text(dump_recipe(written))
        again = load_recipe(tmp_path / "again.toml")
        assert with_card(again, weights_of(card)) == with_card(written, weights_of(card))
    # Other scaling of pixels leaves their resizing to the card.
    other = override(recipe, {"preprocess.mode": "rescale"})
    assert with_card(other, weights_of(card)).images == card.images()


def test_a_recipe_that_does_not_fit_the_card(tmp_path: Path) -> None:
    card = card_in(tmp_path / "nets")
    contrary = recipe_file(tmp_path, 'images.resize = "box"\npreprocess.mode = "card"')
    with pytest.raises(
        RecipeError, match=r"\(resize 'bicubic', fit 'crop', resize_to 40\), but .* says resize 'box'"
    ):
        with_card(contrary, weights_of(card))
    padded = card.model_copy(update={"pixels": card.pixels.model_copy(update={"fit": "pad", "resize_to": None})})
    larger = recipe_file(tmp_path, 'images.resize_to = 300\npreprocess.mode = "card"')
    with pytest.raises(RecipeError, match=r"\[images\] does not fit the card of net.* not for 'pad'; leave out"):
        with_card(larger, weights_of(padded))
    with pytest.raises(RecipeError, match=r"net has a card; choose preprocess\.mode 'card'"):
        with_card(recipe_file(tmp_path, 'name = "mine"'), weights_of(card))
    named = load_recipe("covid4-vgg16")
    assert with_card(named, weights_of(None)) is named


def test_another_preparation_than_the_cards_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    card = card_in(tmp_path / "nets").model_copy(update={"name": "said so"})
    for _ in range(2):
        with_card(recipe_file(tmp_path, 'preprocess.mode = "rescale"'), weights_of(card))
    assert caplog.text.count("Pixels are prepared by 'rescale', not as the card of said so says") == 1
    caplog.clear()
    with_card(recipe_file(tmp_path, 'preprocess.mode = "card"'), weights_of(card))
    assert caplog.text == ""


def test_a_network_without_a_card_is_refused_before_its_weights_are_looked_for(tmp_path: Path) -> None:
    recipe = override(load_recipe("covid4-vgg16"), {"preprocess.mode": "card"})
    with pytest.raises(RecipeError, match="for networks with a card, and vgg16 has none"):
        check_has_card(recipe)
    with pytest.raises(RecipeError, match="for networks with a card, and vgg16 has none"):
        FeatureSpace(recipe, weights_of(None), Store(tmp_path))
    with pytest.raises(UsageError, match=r"No backbone is named 'net'.*a folder needs a slash, such as \./net"):
        check_has_card(override(recipe, {"backbone.name": "net"}))
