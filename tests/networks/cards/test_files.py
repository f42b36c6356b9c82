"""Cards: what a path means, mistakes in them, and what decides the keys of rows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from featx.digests import digest_of_file
from featx.errors import CardError, FeatxError, UsageError, WeightsError
from featx.networks.cards import file_digests
from featx.networks.cards.card import Card
from featx.networks.cards.file_digests import digest_once
from featx.networks.cards.files import dump_card, is_card, load_card, write_card
from featx.networks.weights import find_weights

DOCUMENT: dict[str, Any] = {
    "card": 1,
    "name": "small",
    "kind": "keras",
    "files": {},
    "input": {"layout": "nhwc", "colour": "rgb", "size": [24, 32]},
    "pixels": {
        "interpolation": "bicubic",
        "fit": "crop",
        "resize_to": 40,
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "output": {"name": "last", "pooling": "avg"},
    "about": {"licence": "Apache-2.0", "width": 6},
}


def write(folder: Path, file: str = "card.toml", network: str = "net.keras", **changes: Any) -> Path:
    """Write a network's file, whatever is in it, and its card, with values by dotted name; None removes one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / network
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"weights")
    document = {key: dict(value) if isinstance(value, dict) else value for key, value in DOCUMENT.items()}
    document["files"] = {network: digest_of_file(path)}
    for dotted, value in changes.items():
        *tables, last = dotted.split("__")
        table = document
        for one in tables:
            table = table.setdefault(one, {})
        if value is None:
            del table[last]
        else:
            table[last] = value
    (folder / file).write_text(tomli_w.dumps(document), encoding="utf-8")
    return folder / file


def refusal(path: Path) -> FeatxError:
    with pytest.raises(FeatxError) as caught:
        load_card(path)
    return caught.value


def test_a_card_says_how_pixels_are_prepared(tmp_path: Path) -> None:
    card = load_card(write(tmp_path))
    assert card.main == tmp_path / "net.keras"
    images, preprocessing = card.images(), card.preprocessing()
    assert (images.shape, images.resize, images.fit, images.resize_to) == ((24, 32), "bicubic", "crop", 40)
    assert (preprocessing.scale, preprocessing.mean, preprocessing.colour) == (1 / 255, (0.485, 0.456, 0.406), "rgb")


def test_a_card_survives_being_written_and_read(tmp_path: Path) -> None:
    for tokens, prefix in ((None, 1), (None, 3), ("cls+mean", 1), ("mean", 5)):
        changes = {"output__tokens": tokens, "output__pooling": "none"} if tokens else {}
        card = load_card(write(tmp_path, output__prefix_tokens=prefix, **changes))
        again = load_card(write_card(card, tmp_path / "again" / "other.toml"))
        assert again.model_dump() == card.model_dump()
        assert again.digest() == card.digest()
    assert "prefix_tokens" not in dump_card(load_card(write(tmp_path)))


def test_numbers_of_a_card_stand_on_one_line(tmp_path: Path) -> None:
    card = load_card(write(tmp_path, pixels__mean=[-1e-07, 0.5, 123.0], about__notes="[\n  1,\n]"))
    text = dump_card(card)
    assert "\nsize = [24, 32]\n" in text
    assert "\nmean = [-1e-07, 0.5, 123.0]\n" in text
    assert load_card(write_card(card, tmp_path / "card.toml")) == card


def test_a_row_has_the_same_key_wherever_the_card_lies_and_whatever_files_are_called(tmp_path: Path) -> None:
    first = find_weights(str(write(tmp_path / "a")))
    changes = {"name": "another", "about__licence": "MIT", "about__width": None, "about__notes": "found again"}
    second = find_weights(str(write(tmp_path / "b" / "c", "x.toml", "inner/other.keras", **changes)))
    assert second.digest == first.digest
    assert second.path == tmp_path / "b" / "c" / "inner" / "other.keras"


@pytest.mark.parametrize(
    "change",
    [
        {"input__name": "first"},
        {"output__layout": "nchw"},
        {"input__colour": "bgr"},
        {"input__size": [24, 40]},
        {"input__name": "image"},
        {"pixels__interpolation": "bilinear"},
        {"pixels__fit": "stretch"},
        {"pixels__resize_to": 41},
        {"pixels__scale": 1.0},
        {"pixels__mean": [0.485, 0.456, 0.407]},
        {"pixels__std": [0.229, 0.224, 0.226]},
        {"output__name": "first"},
        {"output__pooling": "max"},
        {"output__tokens": "map"},
        {"output__prefix_tokens": 2},
    ],
)
def test_what_decides_a_number_is_in_the_key(change: dict[str, Any], tmp_path: Path) -> None:
    assert load_card(write(tmp_path, "b.toml", **change)).digest() != load_card(write(tmp_path, "a.toml")).digest()


def test_other_bytes_give_another_key(tmp_path: Path) -> None:
    card = load_card(write(tmp_path))
    files = dict.fromkeys(card.files, "0" * 64)
    assert card.model_copy(update={"files": files}).digest() != card.digest()


def test_a_golden_key(tmp_path: Path) -> None:
    # If this changes, so do the keys of all rows of networks with cards.
    document = {**DOCUMENT, "files": {"a": "1" * 64, "c": "3" * 64, "b": "2" * 64}}
    (tmp_path / "card.toml").write_text(tomli_w.dumps(document), encoding="utf-8")
    assert load_card(tmp_path).digest() == "6dc16c7b812aaa652e01c15946e6c0706f903378c180c03aaaeb6a0e400e0d88"


def test_a_folder_with_a_card_and_other_tables(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "recipe.toml").write_text('name = "mine"\n[backbone]\nname = "vgg16"\n')
    assert load_card(tmp_path) == load_card(path)
    shutil.copy(path, tmp_path / "second.toml")
    error = refusal(tmp_path)
    assert isinstance(error, UsageError)
    assert "found 2 (card.toml, second.toml); pass the path of one of them" in str(error)


def test_a_folder_and_a_file_without_a_card(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "net.onnx"):
        error = refusal(path)
        assert isinstance(error, UsageError)
        assert "input.size, pixels.interpolation, pixels.scale, pixels.mean, pixels.std" in str(error)
        assert "featx does not guess how pixels are prepared" in str(error)
        assert "featx backbones import" in str(error)


def test_a_card_of_the_same_name_beside_an_onnx_file(tmp_path: Path) -> None:
    path = write(tmp_path, "net.toml", "net.onnx", kind="onnx")
    write(tmp_path, "other.toml", "other.onnx", kind="onnx", name="other")
    assert load_card(tmp_path / "net.onnx") == load_card(path)
    write(tmp_path, "net.toml", "another.onnx", kind="onnx")
    assert "to name net.onnx as the first of its files, but it names another.onnx" in str(
        refusal(tmp_path / "net.onnx")
    )


def test_which_names_are_cards() -> None:
    assert all(map(is_card, ("a.toml", "a.onnx", "A.TOML", "folder/", "./folder", "/x/y")))
    assert not any(map(is_card, ("vgg16", "net.keras", "/x/net.KERAS")))


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"pixels__mean": None}, "pixels.mean is missing"),
        ({"pixels__mean": None, "pixels__std": None, "input__size": None}, "input.size, pixels.mean, pixels.std are"),
        ({"pixels": None}, "pixels.interpolation, pixels.scale, pixels.mean, pixels.std are missing"),
        ({"kind": None, "files": None}, "kind, files are missing"),
    ],
)
def test_fields_that_are_missing_are_asked_for(change: dict[str, Any], fields: str, tmp_path: Path) -> None:
    path = write(tmp_path, **change)
    error = refusal(path)
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"Card {path}: ")
    assert fields in str(error)
    assert "featx does not guess how a network's pixels are prepared" in str(error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels__meen": [1, 2, 3], "pixels__mean": None}, "no field pixels.meen; did you mean mean?"),
        ({"pixel": {"scale": 1}}, "there is no field pixel; did you mean pixels?"),
        ({"pixels__mean": [0.5, 0.5]}, "pixels.mean must have 3 numbers for the colour 'rgb'"),
        ({"input__colour": "grey"}, "pixels.mean must have 1 number for the colour 'grey'"),
        (
            {"pixels__mean": 0.5},
            "pixels.mean: write a number for each channel, such as [0.485, 0.456, 0.406], received 0.5",
        ),
        ({"pixels__mean": ["a", "b", "c"]}, "pixels.mean[0]: input should be a valid number, received 'a'"),
        ({"pixels__mean": [float("nan"), 0, 0]}, "pixels.mean[0]: "),
        ({"pixels__std": [0.2, 0.0, 0.2]}, "pixels.std must be positive"),
        ({"pixels__scale": 0}, "pixels.scale: input should be greater than 0"),
        ({"pixels__interpolation": "bicubical"}, "did you mean bicubic?"),
        ({"pixels__resize_to": 20}, "resize_to must be at least 32, "),
        ({"pixels__fit": "pad"}, "resize_to is for fit 'stretch' and 'crop', not for 'pad'"),
        ({"input__size": [0, 224]}, "input.size[0]: input should be greater than or equal to 8, received 0"),
        ({"input__size": 224}, "input.size: write height and width, such as [224, 224], received 224"),
        ({"input__size": [3, 224, 224]}, "input.size: write height and width, such as [224, 224], received"),
        ({"input__size": "224x224"}, "input.size: write height and width"),
        ({"input__colour": "BGR"}, "received 'BGR'; did you mean bgr?"),
        ({"kind": "onnx"}, "net.keras, is no network of the kind 'onnx'; write kind = 'keras', or put the main"),
        ({"input__layout": "nchw"}, "input.layout must be 'nhwc' for the kind 'keras'"),
        ({"files": {"net.pth": "0" * 64}}, "net.pth needs the framework that wrote it; export the network as ONNX"),
        ({"files": {"a\\b.keras": "0" * 64}}, "write / between folders, not \\, received"),
        (
            {"input__layout": "NCHW"},
            "input.layout: input should be 'nchw' or 'nhwc', received 'NCHW'; did you mean nchw?",
        ),
        ({"output__tokens": "cls", "output__pooling": "avg"}, "output.pooling 'avg' is for maps"),
        ({"card": 2}, "card: input should be 1, received 2"),
        ({"kind": "pytorch"}, "kind: input should be 'onnx', 'keras', 'saved_model' or 'openvino'"),
        ({"files": {}}, "files: "),
        ({"files": {"net.keras": "abc"}}, "files.net.keras: a SHA-256 has 64 hexadecimal digits, received 'abc'"),
        (
            {"files": {"../net.keras": "0" * 64}},
            "files must be in the card's folder or below it, received '../net.keras'",
        ),
        ({"files": {"/etc/passwd": "0" * 64}}, "files must be in the card's folder or below it"),
        ({"files": {"a\\..\\..\\b": "0" * 64}}, "files must be in the card's folder or below it"),
        ({"files": {"C:/b": "0" * 64}}, "files must be in the card's folder or below it"),
        ({"files": {"": "0" * 64}}, "a file needs a name"),
    ],
)
def test_mistakes_in_a_card(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, **change)
    error = refusal(path)
    assert isinstance(error, CardError)
    assert str(error).startswith(f"Card {path}: ")
    assert message in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"card = ", "is not valid TOML"),
        (b"a = " + b"[" * 50 + b"]" * 50, "more than 20 deep; no card needs that"),
        (b"#" * 2**21, "MiB, more than the limit of 1 MiB"),
        (b"card = 99999999999999999999", "whole number beyond 64 bits"),
    ],
)
def test_files_that_are_no_card(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(content)
    error = refusal(path)
    assert isinstance(error, CardError)
    assert message in str(error)


def test_no_card_and_no_network_at_all(tmp_path: Path) -> None:
    for name in ("card.toml", "net.onnx", "folder/"):
        error = refusal(tmp_path / name)
        assert isinstance(error, WeightsError)
        assert "name its new place with --weights" in str(error)
    other = tmp_path / "net.pt"
    other.write_bytes(b"PK")
    assert "featx backbones import" in str(refusal(other))


def test_the_name_of_a_network_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="run featx backbones import hf:facebook/dinov2-small --out DIR once"):
        load_card("hf:facebook/dinov2-small")
    with pytest.raises(
        WeightsError, match=r"hub first \(featx backbones import hf:facebook/dinov2-small --out DIR\)"
    ):
        load_card("facebook/dinov2-small")


def test_a_file_that_is_missing_or_another(tmp_path: Path) -> None:
    path = write(tmp_path)
    find_weights(str(path))
    (tmp_path / "net.keras").write_bytes(b"changed")
    with pytest.raises(WeightsError, match=r"net\.keras to be the file that the card small describes \(SHA-256"):
        find_weights(str(path))
    (tmp_path / "net.keras").unlink()
    with pytest.raises(WeightsError, match=r"net\.keras of the card small at .* cannot be read: no such file"):
        find_weights(str(path))


def test_capital_letters_in_a_digest(tmp_path: Path) -> None:
    card = load_card(write(tmp_path))
    files = {name: digest.upper() for name, digest in card.files.items()}
    assert Card.model_validate({**card.model_dump(), "files": files}).digest() == card.digest()


def test_a_digest_is_computed_again_when_a_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "net"
    for content in (b"one", b"two"):  # of the same size
        path.write_bytes(content)
        assert digest_once(path) == digest_of_file(path)


def test_weights_of_a_card_are_its_own_or_where_it_has_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a")
    own = find_weights(str(path))
    with caplog.at_level("WARNING", "featx"):
        assert find_weights(str(path), "random") == own
    assert "has its own weights" in caplog.text
    caplog.clear()
    another = write(tmp_path / "another", pixels__scale=1.0, pixels__mean=[127.0] * 3, pixels__std=[128.0] * 3)
    assert find_weights(str(path), str(another)).digest != own.digest
    assert f"The card {another} is used, as weights says, and it is not that of {path}." in caplog.text
    (tmp_path / "a").rename(tmp_path / "b")
    for place in (tmp_path / "b", tmp_path / "b" / "card.toml"):
        assert find_weights(str(path), str(place)).digest == own.digest
    with pytest.raises(UsageError, match=r"name the card or folder of card\.toml, .* received 'vgg\.h5'"):
        find_weights(str(path), "vgg.h5")


def test_weights_outside_an_onnx_file_must_be_named(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx writes the network")
    from onnx_networks import write_onnx, write_onnx_card

    path = write_onnx_card(write_onnx(tmp_path / "net.onnx", external="net.data"))
    assert set(load_card(path).files) == {"net.onnx", "net.data"}
    find_weights(str(path))
    text = path.read_text()
    named = next(line for line in text.splitlines() if line.startswith('"net.data"'))
    path.write_text(text.replace(named, ""))
    with pytest.raises(WeightsError, match=r"keeps weights in net\.data, which the card does not name; add it"):
        find_weights(str(path))


def test_a_cache_remembers_the_digests_of_files_that_have_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    for one in (tmp_path / "net.keras", path):
        os.utime(one, (1e9, 1e9))
    # Only the system sets the time of the last change of a file's state.
    monkeypatch.setattr(file_digests, "now_ns", lambda: 2**62)
    monkeypatch.setattr("featx.store.stat_cache.now_ns", lambda: 2**62)
    read: list[Path] = []

    def reading(one: Path) -> str:
        read.append(one)
        return digest_of_file(one)

    monkeypatch.setattr(file_digests, "digest_of_file", reading)
    for times in (1, 1):
        monkeypatch.setattr(file_digests, "_known", {})  # as in a new process
        find_weights(str(path), root=tmp_path / "cache")
        assert len(read) == times
    (tmp_path / "net.keras").write_bytes(b"another")
    monkeypatch.setattr(file_digests, "_known", {})
    with pytest.raises(WeightsError, match="found another"):
        find_weights(str(path), root=tmp_path / "cache")
