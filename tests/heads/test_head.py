from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from training_by_hand import dense, dropout

from featx.errors import RecipeError, RunError
from featx.heads.head import Head, initial_weights
from featx.networks import load_keras
from featx.recipes import DenseLayer, DropoutLayer, HeadPart
from featx.stats import probabilities

Layers = tuple[DenseLayer | DropoutLayer, ...]

WIDTH = 12
NARROW = DenseLayer(type="dense", units=5, name="narrow")
SPEC = HeadPart(layers=(dropout(0.4), dense(8), dropout(0.3), NARROW), penultimate="narrow")


def head(seed: int = 0, spec: HeadPart = SPEC, classes: int = 3) -> Head:
    return Head.build(spec, WIDTH, classes, seed)


def features(n: int = 7, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)


def test_layers_are_the_recipes_own() -> None:
    layers = head().model.layers
    names = " ".join(layer.name for layer in layers)
    assert names == "features dropout_1 dense_1 dropout_3 narrow logits probabilities"
    assert [layers[1].rate, layers[3].rate] == [0.4, 0.3]
    assert [layers[i].units for i in (2, 4, 5)] == [8, 5, 3]
    assert [layers[i].activation.__name__ for i in (2, 4, 5, 6)] == ["relu", "linear", "linear", "softmax"]


def test_a_head_without_layers_is_one_dense_layer() -> None:
    one = head(spec=HeadPart())
    assert one.parameters() == WIDTH * 3 + 3
    assert one.width == WIDTH


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (head(seed).model.get_weights() for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    # Kernels are drawn, biases start at zero.
    assert not any(np.array_equal(a, b) for a, b in zip(first[::2], other[::2], strict=True))


def test_layers_of_one_shape_start_differently() -> None:
    kernels = head(spec=HeadPart(layers=(dense(WIDTH), dense(WIDTH)))).model.get_weights()[::2]
    assert not np.array_equal(kernels[0], kernels[1])


def test_weights_start_as_glorot_says() -> None:
    kernel = Head.build(HeadPart(layers=(dense(400),)), 600, 3).model.get_weights()[0]
    limit = np.sqrt(6 / (600 + 400))
    assert np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


@pytest.mark.parametrize("layers", [(), (dense(8), dropout(0.5))], ids=["linear", "hidden"])
def test_only_the_last_kernel_starts_at_zero_if_the_recipe_says_so(layers: Layers) -> None:
    zeros, glorot = (HeadPart(layers=layers, logits_kernel=kernel) for kernel in ("zeros", "glorot"))
    built, drawn = (head(spec=spec).model.get_weights() for spec in (zeros, glorot))
    assert not built[-2].any()
    assert drawn[-2].any()
    assert all(np.array_equal(one, other) for one, other in zip(built[:-2], drawn[:-2], strict=True))
    started = [array for pair in initial_weights(zeros, WIDTH, 3, 0) for array in pair]
    assert all(np.array_equal(one, other) for one, other in zip(built, started, strict=True))


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1])
def test_every_seed_of_a_recipe_is_good(seed: int) -> None:
    assert np.isfinite(head(seed).logits([features()])).all()


@pytest.mark.parametrize("classes", [1, 3, 4])
def test_a_sigmoid_is_for_two_classes(classes: int) -> None:
    with pytest.raises(RecipeError, match=rf"'sigmoid' is for two classes, and the data has {classes}; use"):
        head(spec=HeadPart(output="sigmoid"), classes=classes)


def test_logits_and_penultimate_are_those_layers_outputs() -> None:
    one, X = head(), features()
    w1, b1, w2, b2, w3, b3 = one.model.get_weights()
    narrow = np.maximum(X @ w1 + b1, 0) @ w2 + b2
    logits = narrow @ w3 + b3
    # Any chunks give the same rows, and dropout is off.
    np.testing.assert_allclose(one.logits([X]), logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.logits([X[:1], X[1:5], X[5:]]), logits, rtol=1e-5, atol=1e-6)
    chunks = list(one.penultimate([X[:4], X[4:]]))
    assert [len(chunk) for chunk in chunks] == [4, 3]
    np.testing.assert_allclose(np.concatenate(chunks), narrow, rtol=1e-5, atol=1e-6)


def test_no_rows_give_no_logits() -> None:
    assert head().logits([]).shape == (0, 3)


def test_penultimate_of_a_recipe_that_names_none() -> None:
    spec = SPEC.model_copy(update={"penultimate": None})
    with pytest.raises(RecipeError, match=r"names no penultimate layer; set head\.penultimate"):
        head(spec=spec).penultimate([features()])


@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("softmax", 2), ("sigmoid", 2)])
def test_the_models_probabilities_are_those_of_its_logits(output: str, classes: int) -> None:
    one = head(spec=SPEC.model_copy(update={"output": output}), classes=classes)
    X = features()
    columns = one.model.predict_on_batch(X)
    expected = probabilities(one.logits([X]))
    assert expected.shape == (7, classes)
    np.testing.assert_allclose(columns, expected[:, 1:] if output == "sigmoid" else expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_plain_keras_loads_a_saved_head(tmp_path: Path) -> None:
    """In a process that cannot import featx."""
    one, X = head(), features()
    one.save(tmp_path / "head.keras")
    np.save(tmp_path / "X.npy", X)
    script = (
        "import sys, json; sys.modules['featx'] = None\n"
        "import numpy, keras\n"
        f"model = keras.models.load_model({str(tmp_path / 'head.keras')!r})\n"
        f"print(json.dumps(model.predict(numpy.load({str(tmp_path / 'X.npy')!r}), verbose=0).tolist()))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    found = np.array(json.loads(run.stdout.splitlines()[-1]))
    assert np.ptp(found) > 0.1
    np.testing.assert_allclose(found, probabilities(one.logits([X])), rtol=1e-5, atol=1e-7)


def test_saving_and_loading_keeps_everything(tmp_path: Path) -> None:
    one, X = head(), features()
    before = one.digest()
    one.save(tmp_path / "head.keras")
    read = Head.load(tmp_path / "head.keras", "narrow")
    assert before == one.digest() == read.digest()
    assert np.array_equal(read.logits([X]), one.logits([X]))
    found, expected = (np.concatenate(list(some.penultimate([X]))) for some in (read, one))
    np.testing.assert_array_equal(found, expected)


def test_the_digest_tells_heads_apart() -> None:
    one = head()
    weights = one.model.get_weights()
    changed = [weight.copy() for weight in weights]
    changed[-1][0] = np.nextafter(changed[-1][0], np.float32(1))
    before = one.digest()
    one.model.set_weights(changed)
    assert one.digest() != before
    one.model.set_weights(weights)
    assert one.digest() == before


def test_the_digest_knows_the_layers() -> None:
    """Equal weights in other layers are another head."""
    plain, renamed = dense(4), DenseLayer(type="dense", units=4, activation="relu", name="hidden")
    digest, again, *others = (
        head(spec=HeadPart(layers=(layer,))).digest() for layer in (plain, plain, dense(4, "tanh"), renamed)
    )
    assert digest == again
    assert digest not in others


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def flip(path: Path) -> None:
    """Change weights within the archive, which its checksum tells."""
    data = bytearray(path.read_bytes())
    start = data.index(b"\x89HDF") + 2000
    data[start : start + 8] = bytes(255 - value for value in data[start : start + 8])
    path.write_bytes(data)


def other_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no model")


def other_model(path: Path) -> None:
    keras = load_keras()
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)


def with_code(path: Path) -> None:
    keras = load_keras()
    keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x, name="logits")]).save(path)


@pytest.mark.parametrize("damage", [cut, flip, other_archive, other_model, with_code, Path.unlink])
def test_a_file_without_a_head_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "head.keras"
    head().save(path)
    damage(path)
    with pytest.raises(RunError, match=r"^Expected a head in .*head\.keras, but it does not load: .") as caught:
        Head.load(path)
    assert "\n" not in str(caught.value)
