from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_data import keras_network, random_mobilenet, some_pixels

from featx.errors import RecipeError, WeightsError
from featx.images import Preprocessing
from featx.networks.framework import load_keras
from featx.recipes import Pooling

Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save a Keras model and return its path."""

    def save(inputs: Any, outputs: Any) -> str:
        path = tmp_path / "own.keras"
        load_keras().Model(inputs, outputs).save(path)
        return str(path)

    return save


# Model files


def test_the_rows_of_a_model_file_are_its_output_flattened(tiny_model: Path) -> None:
    tiny, pixels = keras_network(str(tiny_model)), some_pixels()
    expected = load_keras().models.load_model(tiny_model).predict_on_batch(pixels)
    assert expected.ndim == 4
    rows = tiny.rows(pixels)
    assert rows.dtype == np.float32
    assert tiny.width == expected[0].size
    np.testing.assert_array_equal(rows, expected.reshape(4, -1))
    assert tiny.parameters == (3 * 9 + 1) * 8 + (8 * 9 + 1) * 6


@pytest.mark.parametrize(("pooling", "by_hand"), [("avg", np.mean), ("max", np.max)])
def test_pooling_a_model_files_map(tiny_model: Path, pooling: Pooling, by_hand: Callable[..., Any]) -> None:
    pixels = some_pixels()
    maps = load_keras().models.load_model(tiny_model).predict_on_batch(pixels)
    rows = keras_network(str(tiny_model), pooling=pooling).rows(pixels)
    np.testing.assert_allclose(rows, by_hand(maps, axis=(1, 2)), rtol=1e-5, atol=1e-6)


def test_a_cut_gives_that_layers_output(tiny_model: Path) -> None:
    keras, pixels = load_keras(), some_pixels()
    model = keras.models.load_model(tiny_model)
    layer = model.get_layer("conv_1")
    kernel, bias = (np.asarray(value) for value in layer.get_weights())
    # The first place of the first layer's map, by hand: ReLU of one 3 × 3 window.
    first = np.maximum(np.einsum("nijc,ijcf->nf", pixels[:, :3, :3], kernel) + bias, 0)
    cut = keras_network(str(tiny_model), cut="conv_1")
    rows = cut.rows(pixels)
    np.testing.assert_allclose(rows[:, :8], first, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(
        rows, keras.Model(model.inputs, layer.output).predict_on_batch(pixels).reshape(4, -1)
    )
    assert keras_network(str(tiny_model), cut="conv_1", pooling="avg").width == 8
    # Layers after the cut are no part of it.
    assert cut.parameters == (3 * 9 + 1) * 8


@pytest.mark.slow
def test_a_cut_of_a_network_of_the_table() -> None:
    keras, pixels = load_keras(), some_pixels(1)
    full = keras_network("vgg16", "random", pooling="avg", batch_size=1)
    cut = keras_network("vgg16", "random", cut="block1_pool", pooling="none", batch_size=1)
    pooled = keras_network("vgg16", "random", cut="block1_pool", pooling="max", batch_size=1)
    assert (full.width, cut.width, pooled.width) == (512, 16 * 16 * 64, 64)
    np.testing.assert_array_equal(pooled.rows(pixels), cut.rows(pixels).reshape(1, -1, 64).max(axis=1))
    assert cut.parameters == (3 * 9 + 1) * 64 + (64 * 9 + 1) * 64
    assert keras.applications.VGG16(include_top=False, weights=None).count_params() == full.parameters


@pytest.mark.parametrize("pooling", ["none", "avg"])
def test_an_unknown_cut_lists_the_layers(tiny_model: Path, pooling: Pooling) -> None:
    with pytest.raises(
        RecipeError, match=r"no layer 'conv_3' to cut at; its layers are .*conv_1, conv_2\."
    ) as caught:
        keras_network(str(tiny_model), cut="conv_3", pooling=pooling)
    assert caught.value.exit_code == 1


def test_a_cut_at_a_model_inside_the_model(save: Save) -> None:
    keras = load_keras()
    inner_input = keras.Input((32, 32, 3))
    inner = keras.Model(inner_input, keras.layers.Conv2D(2, 3)(inner_input), name="inner")
    inputs = keras.Input((32, 32, 3))
    path = save(inputs, keras.layers.Flatten()(inner(inputs)))
    assert keras_network(path).width == 30 * 30 * 2
    with pytest.raises(RecipeError, match="Layer 'inner' of the backbone is itself a model"):
        keras_network(path, cut="inner")


@pytest.mark.parametrize(
    ("shape", "says"),
    [((64, 64, 3), r"\(64, 64, 3\)"), ((32, 64, 3), r"\(32, 64, 3\)"), ((32, 32, 1), r"\(32, 32, 1\)")],
)
def test_another_input_than_the_recipes_images(shape: tuple[int, int, int], says: str, save: Save) -> None:
    inputs = load_keras().Input(shape)
    path = save(inputs, load_keras().layers.Flatten()(inputs))
    with pytest.raises(
        RecipeError, match=f"but its input has the shape {says}; (set images.size|describe it by a card)"
    ):
        keras_network(path)


def test_a_model_of_several_inputs(save: Save) -> None:
    inputs = [load_keras().Input((32, 32, 3)) for _ in range(2)]
    with pytest.raises(RecipeError, match=r"its input has the shape \(32, 32, 3\) and \(32, 32, 3\)"):
        keras_network(save(inputs, load_keras().layers.Add()(inputs)))


def test_a_model_of_several_outputs_needs_a_cut(save: Save) -> None:
    keras = load_keras()
    inputs = keras.Input((32, 32, 3))
    path = save(inputs, [keras.layers.Conv2D(2, 3, name=name)(inputs) for name in ("left", "right")])
    with pytest.raises(RecipeError, match=r"has several outputs; choose a layer with backbone\.cut"):
        keras_network(path)
    assert keras_network(path, cut="right").width == 30 * 30 * 2


def test_pooling_what_is_no_map(save: Save) -> None:
    inputs = load_keras().Input((32, 32, 3))
    path = save(inputs, load_keras().layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(
        RecipeError, match=r"Pooling 'max' needs a feature map .* has the shape \(3,\); use pooling 'none'"
    ):
        keras_network(path, pooling="max")
    pixels = some_pixels()
    np.testing.assert_allclose(keras_network(path).rows(pixels), pixels.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_a_model_of_any_size_takes_the_recipes(save: Save) -> None:
    inputs = load_keras().Input((None, None, 3))
    path = save(inputs, load_keras().layers.MaxPooling2D(4)(inputs))
    assert keras_network(path, size=32).width == 8 * 8 * 3
    assert keras_network(path, size=20).rows(some_pixels(2, 20)).shape == (2, 5 * 5 * 3)


def test_a_sequential_model(tmp_path: Path) -> None:
    layers = load_keras().layers
    built = load_keras().Sequential([layers.Input((32, 32, 3)), layers.MaxPooling2D(32), layers.Flatten()])
    path = tmp_path / "sequential.keras"
    built.save(path)
    pixels = some_pixels()
    np.testing.assert_array_equal(keras_network(str(path)).rows(pixels), pixels.max(axis=(1, 2)))


def test_a_sequential_model_that_never_saw_an_image(tmp_path: Path) -> None:
    path = tmp_path / "sequential.keras"
    model = load_keras().Sequential([load_keras().layers.Conv2D(2, 3)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving a model that has not yet been built")
        model.save(path)
    with pytest.raises(RecipeError, match="must take RGB images of 32 × 32 pixels, but its input is not known"):
        keras_network(str(path))


@pytest.mark.slow
def test_a_model_that_brings_code_is_refused(save: Save) -> None:
    inputs = load_keras().Input((32, 32, 3))
    path = save(inputs, load_keras().layers.Lambda(lambda x: x * 2)(inputs))
    with pytest.raises(WeightsError, match=r"has a layer of the kind Lambda, which is code") as caught:
        keras_network(path)
    assert caught.value.exit_code == 1


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "text":
        path.write_text("not a network\n" * 100, encoding="utf-8")
    elif how == "empty":
        path.write_bytes(b"")
    else:
        quarter = len(content) // 4
        path.write_bytes(content[:quarter] + bytes(2 * quarter) + content[3 * quarter :])


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("truncated", "is damaged or was cut off"),
        ("text", "is not a zip archive"),
        ("empty", r"is empty \(zero bytes\)"),
        ("zeroed", "is damaged: its parts do not match their checksums"),
    ],
)
def test_a_damaged_model_file(tiny_model: Path, tmp_path: Path, how: str, says: str) -> None:
    path = tmp_path / "damaged.keras"
    path.write_bytes(tiny_model.read_bytes())
    damaged(path, how)
    with pytest.raises(WeightsError, match=rf"Expected a Keras model .*damaged\.keras, which {says}") as caught:
        keras_network(str(path))
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "archive.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(WeightsError, match=r"archive\.keras, which is a zip archive without a Keras model"):
        keras_network(str(path))


# Weights files


@pytest.fixture(scope="module")
def mobilenet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mobilenetv2.weights.h5"
    random_mobilenet(32).save_weights(path)
    return path


@pytest.mark.slow
def test_weights_of_a_file_are_those_that_were_saved(mobilenet_weights: Path) -> None:
    pixels = some_pixels()
    model = random_mobilenet(32)
    model.load_weights(mobilenet_weights)
    rows = keras_network("mobilenetv2", str(mobilenet_weights)).rows(pixels)
    assert rows.std() > 0
    np.testing.assert_array_equal(rows, model.predict_on_batch(pixels).reshape(4, -1))


def test_weights_of_another_network(mobilenet_weights: Path) -> None:
    # Keras warns of layer after layer on the way, which would fail the test here and flood a terminal.
    with pytest.raises(WeightsError, match=r"Expected the weights of vgg16 without .*do not load") as caught:
        keras_network("vgg16", str(mobilenet_weights))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("how", "suffix"),
    [
        ("truncated", ".weights.h5"),
        ("zeroed", ".weights.h5"),
        ("empty", ".weights.h5"),
        ("text", ".weights.h5"),
        ("truncated", ".h5"),
        ("text", ".h5"),
        ("text", ".keras"),
        ("text", ".txt"),
    ],
)
def test_a_damaged_weights_file(mobilenet_weights: Path, tmp_path: Path, how: str, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(mobilenet_weights.read_bytes())
    damaged(path, how)
    with pytest.raises(WeightsError, match=r"Expected the weights of vgg16 .*, but they do not load; ") as caught:
        keras_network("vgg16", str(path))
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_an_image_that_is_too_small_for_the_network() -> None:
    with pytest.raises(RecipeError, match=r"vgg16 cannot take images of 16 × 16 pixels: .*at least 32x32"):
        keras_network("vgg16", "random", size=16)


# Random weights


@pytest.mark.slow
def test_random_weights_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    pixels = some_pixels()
    zero, again, one = (keras_network("vgg16", f"random{seed}").rows(pixels) for seed in ("", ":0", ":1"))
    np.testing.assert_array_equal(zero, again)
    assert np.abs(zero - one).max() > 0.1
    for rows in (zero, one):
        assert np.isfinite(rows).all()
        # They tell images apart.
        assert np.ptp(rows, axis=0).max() > 0.1


def test_random_kernels_are_hes_normal_drawn_by_numpy() -> None:
    pixels = some_pixels()
    rows = keras_network("vgg16", "random:3", cut="block1_conv1").rows(pixels).reshape(4, 32, 32, 64)
    # Cached rows are found by the seed: whoever changes how it is used raises the rule's number too.
    drawn = np.random.Generator(np.random.PCG64(3)).standard_normal((3, 3, 3, 64))
    kernel = drawn * np.sqrt(2 / (3 * 3 * 3))
    expected = np.maximum(np.einsum("nijc,ijcf->nf", pixels[:, :3, :3], kernel), 0)
    np.testing.assert_allclose(rows[:, 1, 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_random_weights_do_not_follow_the_global_generators() -> None:
    rows = []
    for seed in (1, 2):
        load_keras().utils.set_random_seed(seed)
        rows.append(keras_network("vgg16", "random", pooling="avg").rows(some_pixels()))
    np.testing.assert_array_equal(rows[0], rows[1])


# Inference


def normalising(save: Save) -> str:
    """A network whose output depends on batch statistics and chance wherever it is run as in training."""
    layers = load_keras().layers
    x = inputs = load_keras().Input((32, 32, 3))
    drawn = load_keras().initializers.HeNormal(seed=0)
    x = layers.Conv2D(8, 3, strides=2, kernel_initializer=drawn)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.5, seed=0)(x)
    return save(inputs, layers.GlobalAveragePooling2D()(x))


def test_rows_are_those_of_inference_and_nothing_moves(save: Save) -> None:
    path = normalising(save)
    frozen = keras_network(path)
    pixels = 3 * some_pixels() + np.arange(4, dtype=np.float32)[:, None, None, None]
    model = load_keras().models.load_model(path)
    expected = model.predict_on_batch(pixels)
    training = np.asarray(model(pixels, training=True))
    assert np.abs(training - expected).max() > 0.1

    before = frozen.rows(pixels)
    np.testing.assert_allclose(before, expected, rtol=1e-5, atol=1e-6)
    for seed in range(3):
        frozen.rows(100 + some_pixels(seed=seed))
    np.testing.assert_array_equal(frozen.rows(pixels), before)
    # The file is as it was, too: moving averages of a fresh copy give the same.
    np.testing.assert_array_equal(keras_network(path).rows(pixels), before)


def test_the_network_is_traced_once(tiny_model: Path) -> None:
    frozen = keras_network(str(tiny_model))
    for n in (4, 1, 3, 0, 4, 2):
        assert len(frozen.rows(some_pixels(n))) == n
    streamed = list(frozen.stream(some_pixels(n, seed=n) for n in (4, 2)))
    assert [len(rows) for rows in streamed] == [4, 2]
    np.testing.assert_array_equal(streamed[1], frozen.rows(some_pixels(2, seed=2)))
    assert frozen.model.predict_function.experimental_get_tracing_count() == 1


def test_pixels_are_not_changed(tiny_model: Path) -> None:
    pixels = some_pixels(3)
    before = pixels.copy()
    keras_network(str(tiny_model)).rows(pixels)
    np.testing.assert_array_equal(pixels, before)


# Real weights


@pytest.mark.slow
def test_real_vgg16_features_are_those_of_keras(shared_weights: Path) -> None:
    keras = load_keras()
    file = shared_weights / "vgg16_notop.weights.h5"
    # A smooth picture with a hard edge, the same on every machine.
    y, x = np.mgrid[:224, :224]
    image = np.stack([x, y, 255 - (x + y) // 2], axis=-1).astype(np.uint8)
    image[64:128, 64:128] = (200, 30, 60)

    pixels = keras.applications.vgg16.preprocess_input(image[None].astype(np.float32))
    model = keras.applications.VGG16(include_top=False, weights=file, pooling="avg")
    expected = model.predict_on_batch(pixels)[0]

    real = keras_network("vgg16", str(file), size=224, batch_size=2, pooling="avg")
    row = real.rows(Preprocessing("caffe")(image[None]))[0]
    assert row.shape == (512,)
    assert (row > 0).mean() > 0.1
    np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-5 * expected.max())
    # Another rule gives other features: the comparison above would notice.
    assert np.abs(real.rows(Preprocessing("tf")(image[None]))[0] - expected).max() > 0.1 * expected.max()


# Precision


@pytest.mark.slow
def test_mixed_precision_is_near_single_precision_and_not_the_same() -> None:
    single = keras_network("mobilenetv2", "random")
    mixed = keras_network("mobilenetv2", "random", precision="mixed")
    pixels = some_pixels()
    expected, rows = single.rows(pixels), mixed.rows(pixels)
    assert rows.dtype == np.float32
    differences = np.linalg.norm(rows - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert (differences > 1e-5).all()
    assert (differences < 2e-2).all()
    # The weights are the same; only products and maps are in half precision.
    assert {layer.compute_dtype for layer in mixed.model.layers} == {"float16"}
    assert {str(value.dtype) for value in mixed.model.get_weights()} == {"float32"}


@pytest.mark.slow
def test_the_policy_that_the_user_has_set_neither_moves_rows_nor_is_lost() -> None:
    config = load_keras().config
    pixels = some_pixels()
    expected = keras_network("mobilenetv2", "random").rows(pixels)
    before = config.dtype_policy()
    config.set_dtype_policy("mixed_bfloat16")
    try:
        np.testing.assert_array_equal(keras_network("mobilenetv2", "random").rows(pixels), expected)
        assert config.dtype_policy().name == "mixed_bfloat16"
    finally:
        config.set_dtype_policy(before)


def test_the_layers_of_a_model_file_have_their_own_precision(tiny_model: Path) -> None:
    with pytest.raises(RecipeError, match=r"precision 'float32' for the model file tiny\.keras"):
        keras_network(str(tiny_model), precision="mixed")
