from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from network_data import random_mobilenet

from featx.digests import sha256
from featx.errors import UsageError, WeightsError
from featx.networks.backbones import BACKBONES
from featx.networks.framework import load_keras
from featx.networks.keras import KerasNetwork
from featx.networks.weights import (
    KERAS_DIGESTS,
    download,
    find_imagenet,
    find_weights,
    keras_cache,
    weights_problem,
)
from featx.recipes import BackbonePart

VGG16, MOBILENETV2 = BACKBONES["vgg16"], BACKBONES["mobilenetv2"]
RETRIEVE = "keras.src.utils.file_utils.urlretrieve"

Retrieve = Callable[..., None]


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def weights_dir(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = no_weights / "weights"
    folder.mkdir()
    monkeypatch.setenv("FEATX_WEIGHTS_DIR", str(folder))
    return folder


@pytest.fixture
def keras_models(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras's cache of weights, empty: it reads KERAS_HOME once, when it is first imported."""
    load_keras()
    home = no_weights / "keras"
    home.mkdir(exist_ok=True)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(home))
    return home / "models"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as Keras publishes them, in its old format: MobileNetV2 with random weights."""
    path = tmp_path_factory.mktemp("published") / "mobilenetv2.h5"
    random_mobilenet(224).save(path)
    return path


def test_the_search_goes_from_the_folder_to_keras_cache(weights_dir: Path) -> None:
    cached = write(keras_cache() / VGG16.weights_file, b"in the cache")
    assert find_imagenet(VGG16) == cached
    same_name = write(weights_dir / VGG16.weights_file, b"in the folder, by the cache's name")
    assert find_imagenet(VGG16) == same_name
    own_name = write(weights_dir / "vgg16_notop.weights.h5", b"in the folder")
    assert find_imagenet(VGG16) == own_name

    found = find_weights("vgg16")
    assert (found.source, found.path, found.seed) == ("imagenet", own_name, None)
    assert found.digest == sha256(b"in the folder")
    own_name.unlink()
    assert find_weights("VGG16", "imagenet").digest == sha256(b"in the folder, by the cache's name")
    same_name.unlink()
    assert find_weights("vgg16").digest == sha256(b"in the cache")
    assert find_imagenet(BACKBONES["vgg19"]) is None


def test_keras_cache_is_where_keras_keeps_it(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keras_cache() == no_weights / "keras" / "models"
    monkeypatch.delenv("KERAS_HOME")
    assert keras_cache() == no_weights / ".keras" / "models"


def test_a_folder_of_that_name_is_no_weights_file(weights_dir: Path) -> None:
    (weights_dir / "vgg16_notop.weights.h5").mkdir()
    assert find_imagenet(VGG16) is None


def test_a_file_of_the_users(no_weights: Path) -> None:
    path = write(no_weights / "mine.h5", b"mine" * 1000)
    found = find_weights("vgg16", str(path))
    assert (found.source, found.path, found.digest) == (str(path), path, sha256(b"mine" * 1000))


def test_a_model_file_holds_its_own_weights(tiny_model: Path) -> None:
    for source in ("imagenet", "random"):
        found = find_weights(str(tiny_model), source)
        assert (found.path, found.digest) == (tiny_model, sha256(tiny_model.read_bytes()))


@pytest.mark.parametrize("source", ["absent.h5", "."])
def test_a_file_that_cannot_be_read(source: str) -> None:
    with pytest.raises(
        WeightsError, match=rf"Expected the weights file at {source}, but it cannot be read: "
    ) as caught:
        find_weights("vgg16", source)
    assert caught.value.exit_code == 1


def test_a_model_file_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match=r"Expected the backbone's model file at absent\.keras.*no such file"):
        find_weights("absent.keras")


def test_random_weights_differ_by_seed_and_backbone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "featx"):
        choices = [("vgg16", "random"), ("VGG16", "random:0"), ("vgg16", "random:1"), ("vgg19", "random")]
        plain, zero, one, other = (find_weights(*choice) for choice in choices)
    assert plain.digest == zero.digest
    assert len({plain.digest, one.digest, other.digest}) == 3
    assert (plain.path, plain.seed, one.seed) == (None, 0, 1)
    assert caplog.messages[2] == "The weights of vgg16 are random (seed 1): features will be poor."


@pytest.mark.parametrize("source", ["random:x", "random:-1", "random:1.5", "random:1:2"])
def test_a_seed_that_is_no_number(source: str) -> None:
    with pytest.raises(UsageError, match=f"received '{source}'") as caught:
        find_weights("vgg16", source)
    assert caught.value.exit_code == 2


def test_looking_up_weights_imports_no_keras(weights_dir: Path, tiny_model: Path) -> None:
    write(weights_dir / "vgg16_notop.weights.h5", b"weights")
    script = (
        "import sys; from featx.networks.weights import find_weights\n"
        f"choices = [('vgg16',), ('vgg19', 'random'), ({str(tiny_model)!r},)]\n"
        "for choice in choices: print(find_weights(*choice).digest)\n"
        "print(sorted({'keras', 'tensorflow', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, _, third, modules = done.stdout.splitlines()
    assert (first, third) == (sha256(b"weights"), sha256(tiny_model.read_bytes()))
    assert modules == "[]"


def test_no_network(keras_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsError) as caught:
        find_weights("vgg16")
    assert caught.value.exit_code == 1
    message = str(caught.value)
    for part in (VGG16.weights_file, str(keras_models), "FEATX_WEIGHTS_DIR", "--weights FILE", "--weights random"):
        assert part in message
    assert "\n" not in message
    assert capsys.readouterr().out == ""
    assert find_imagenet(VGG16) is None


def test_a_download_whose_checksum_is_wrong_is_not_kept(
    keras_models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def retrieve(url: str, path: str, *_: object) -> None:
        asked.append(url)
        Path(path).write_bytes(b"an error page of a proxy")

    monkeypatch.setattr(RETRIEVE, retrieve)
    for times in (1, 2):
        with pytest.raises(WeightsError, match=VGG16.weights_file):
            find_weights("vgg16")
        # What the first attempt left would be found by the second one.
        assert len(asked) == times
        assert list(keras_models.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_download_that_breaks_off(keras_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def retrieve(url: str, path: str, *_: object) -> None:
        Path(path).write_bytes(b"half")
        raise ConnectionResetError("Connection reset by peer")

    monkeypatch.setattr(RETRIEVE, retrieve)
    with pytest.raises(WeightsError, match="could not be downloaded"):
        find_weights("vgg16")
    assert list(keras_models.iterdir()) == []


def test_an_error_that_is_none_of_the_networks_is_not_hidden(
    keras_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retrieve(*_: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(RETRIEVE, retrieve)
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        find_weights("vgg16")


@pytest.mark.slow
def test_a_download_comes_once_and_loads(
    keras_models: Path,
    published: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = []

    def retrieve(url: str, path: str, *_: object) -> None:
        asked.append(url)
        shutil.copy(published, path)

    monkeypatch.setattr(RETRIEVE, retrieve)
    with caplog.at_level(logging.INFO, "featx"):
        first, second = find_weights("mobilenetv2"), find_weights("mobilenetv2")
    assert first == second
    assert first.path == keras_models / MOBILENETV2.weights_file
    assert first.digest == sha256(published.read_bytes())
    assert len(asked) == 1
    assert asked[0].endswith(MOBILENETV2.weights_file)
    assert capsys.readouterr().out == ""
    assert caplog.messages == [f"Downloading the ImageNet weights of mobilenetv2 ({MOBILENETV2.weights_file})."]

    images = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    rows = KerasNetwork(BackbonePart(name="mobilenetv2"), (64, 64), first, batch_size=1).rows(images)
    build = load_keras().applications.MobileNetV2
    model = build(include_top=False, weights=published, input_shape=(64, 64, 3))
    assert rows.std() > 0
    np.testing.assert_array_equal(rows, model.predict_on_batch(images).reshape(1, -1))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.packaged is None])
def test_the_files_name_in_keras_cache_is_the_one_that_keras_asks_for(
    name: str, keras_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AskedError(OSError):
        pass

    def get_file(fname: str, origin: str, **_: object) -> str:
        raise AskedError(fname)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(WeightsError) as caught:
        download(BACKBONES[name])
    assert isinstance(caught.value.__cause__, AskedError)
    assert str(caught.value.__cause__) == BACKBONES[name].weights_file


# Whole files


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "vgg16_notop.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv"] = np.zeros((3, 3, 3, 64), np.float32)
    return path


def test_a_file_that_opens_is_whole(whole: Path) -> None:
    assert weights_problem(whole) is None


def test_what_is_wrong_with_a_file_is_said(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert "damaged HDF5 file" in str(weights_problem(whole))
    whole.write_bytes(b"<html>404 Not Found</html>")
    assert weights_problem(whole) == "is not an HDF5 file"
    whole.write_bytes(b"")
    assert weights_problem(whole) == "is not an HDF5 file"
    assert "cannot be read: no such file" in str(weights_problem(tmp_path / "gone.h5"))


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_file_with_kerass_name_must_have_kerass_digest(
    whole: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.new(kind, whole.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(KERAS_DIGESTS, whole.name, digest)
    assert weights_problem(whole) is None
    with h5py.File(whole, "a") as file:
        file["layers/conv"][0] = 1
    assert weights_problem(whole) == "does not match the digest that Keras publishes for it"


def test_the_digests_are_kerass() -> None:
    """Read from its source, without loading it."""
    keras = importlib.util.find_spec("keras")
    assert keras is not None
    assert keras.origin is not None
    sources = (Path(keras.origin).parent / "src" / "applications").glob("*.py")
    published = "".join(path.read_text("utf-8") for path in sources)
    for name, digest in KERAS_DIGESTS.items():
        assert f'"{digest}"' in published, name
    assert set(KERAS_DIGESTS) <= {row.weights_file for row in BACKBONES.values()}
