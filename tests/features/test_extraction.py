from __future__ import annotations

import logging
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline_data import (
    SIZE,
    VIEWS,
    check_same_rows,
    digest,
    expected_rows,
    files_of,
    resized,
    rows_by_digest,
    small_data,
    small_recipe,
    write_manifest,
    write_model,
)

from featx.errors import RecipeError, UsageError
from featx.features import compute as computing
from featx.features import decoding, hashing
from featx.features.choice import default_recipe
from featx.features.decoding import Work, decoded_views
from featx.features.extraction import extract
from featx.images import ViewSpec, view
from featx.networks import build as networks
from featx.networks import chosen_engine, load_keras
from featx.recipes import Recipe

N_TRAIN, N_TEST = 12, 4
N = N_TRAIN + N_TEST


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> tuple[Path, Path]:
    """Data and a cache that holds its rows."""
    root = tmp_path_factory.mktemp("first")
    small_data(root / "data", train=3, test=1)
    assert extract(root / "data", recipe, cache=root / "cache").computed == N
    return root / "data", root / "cache"


@pytest.fixture
def data(first: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(first[0], tmp_path / "data"))


@pytest.fixture
def cache(first: tuple[Path, Path], tmp_path: Path) -> Path:
    """The rows of `data` are in it."""
    return Path(shutil.copytree(first[1], tmp_path / "cache"))


# What the rows are.


def test_rows_are_those_of_pillow_numpy_and_plain_keras(first: tuple[Path, Path], recipe: Recipe) -> None:
    data, cache = first
    found = extract(data, recipe, cache=cache)
    table = found.table()
    paths = [data / name for name in table.ids]
    assert sorted(paths) == files_of(data)
    expected = expected_rows(Path(recipe.backbone.name), [resized(path) for path in paths])
    np.testing.assert_allclose(table.X, expected, rtol=1e-5, atol=1e-6)
    assert found.dim == expected.shape[1]
    assert table.X.std(axis=0).max() > 1e-3
    for path, label, split, key in zip(paths, table.labels, table.splits, table.digests, strict=True):
        assert (path.parent.name, path.parent.parent.name) == (label, split)
        assert key == digest(path)
    assert [len(found.table(split)) for split in ("train", "val", "test")] == [N_TRAIN, 0, N_TEST]


def test_views_are_those_of_the_resized_image(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    spec = recipe.model_copy(update={"views": recipe.views.model_copy(update={**VIEWS, "count": 3})})
    found = extract(data, spec, cache=tmp_path / "cache")
    train = found.select("train")
    rows = found.view_rows(train, 3)[np.arange(3 * N_TRAIN)]
    how = ViewSpec(rotation=20.0, shift=0.1, horizontal_flip=True)
    images = [view(resized(image.item.path), how, image.digest, k) for image in train for k in range(3)]
    expected = expected_rows(Path(recipe.backbone.name), images)
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(rows[0], rows[1], rtol=1e-3)
    shuffled = np.random.default_rng(0).permutation(3 * N_TRAIN)
    np.testing.assert_array_equal(found.view_rows(train, 3)[shuffled], rows[shuffled])


def test_train_has_all_views_and_test_one(data: Path, tmp_path: Path, recipe: Recipe, decoded: list[str]) -> None:
    cache = tmp_path / "cache"
    fields = {f"views.{name}": value for name, value in VIEWS.items()}
    two = extract(data, recipe.replaced({**fields, "views.count": 2}), cache=cache)
    assert (two.rows, two.computed, len(two.images)) == (2 * N_TRAIN + N_TEST, 2 * N_TRAIN + N_TEST, N)
    assert len(decoded) == N
    five = extract(data, recipe.replaced({**fields, "views.count": 5}), cache=cache)
    assert (five.rows, five.computed) == (5 * N_TRAIN + N_TEST, 3 * N_TRAIN)
    assert len(decoded) == N + N_TRAIN
    assert five.space.augmented.id == two.space.augmented.id
    assert extract(data, recipe.replaced({**fields, "views.count": 3}), cache=cache).computed == 0
    assert extract(data, recipe, cache=cache).computed == 0


def test_half_precision_is_stored_rounded(data: Path, cache: Path, recipe: Recipe) -> None:
    single = extract(data, recipe, cache=cache)
    half = extract(data, recipe.replaced({"features.dtype": "float16"}), cache=cache)
    assert half.computed == N
    assert half.space.plain.shards()[0].dtype == "float16"
    np.testing.assert_array_equal(half.table().X, single.table().X.astype(np.float16).astype(np.float32))


def test_a_row_does_not_depend_on_its_neighbours(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    whole = rows_by_digest(extract(data, recipe, cache=tmp_path / "whole", batch_size=5))
    # The same images in another order and number, and so with others in their batches.
    other = tmp_path / "other" / "train" / "all"
    other.mkdir(parents=True)
    chosen = files_of(data)[::-1][:11]
    for number, path in enumerate(chosen):
        shutil.copy(path, other / f"{number:02d}.png")
    part = rows_by_digest(extract(tmp_path / "other", recipe, cache=tmp_path / "part", batch_size=5))
    assert list(part) == [digest(path) for path in chosen]
    for key, row in part.items():
        np.testing.assert_array_equal(row, whole[key])
    alone = rows_by_digest(extract(data, recipe, cache=tmp_path / "alone", batch_size=1))
    for key, row in alone.items():
        np.testing.assert_allclose(row, whole[key], rtol=1e-5, atol=1e-6)


# What is computed again, and what is not.


def forbid_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KerasNetwork", "OpenVINONetwork"):
        monkeypatch.delattr(networks, name)


def test_a_second_call_computes_nothing(
    data: Path, cache: Path, recipe: Recipe, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_networks(monkeypatch)
    found = extract(data, recipe, cache=cache)
    json = found.to_json()
    assert (json["images"], json["rows"], json["computed"], json["reused"], json["failed"]) == (N, N, 0, N, [])
    assert (json["dim"], json["engine"]) == (found.table().X.shape[1], chosen_engine("auto"))
    assert decoded == []
    assert found.parameters > 0


def move(data: Path) -> Path:
    return data.rename(data.parent / "elsewhere")


def rename(data: Path) -> Path:
    for number, path in enumerate(reversed(files_of(data))):
        path.rename(path.with_name(f"{number:03d}{path.suffix.upper()}"))
    return data


def touch(data: Path) -> Path:
    for path in files_of(data):
        os.utime(path, (1, 1))
    return data


def hard_link(data: Path) -> Path:
    return Path(shutil.copytree(data, data.parent / "linked", copy_function=os.link))


def soft_link(data: Path) -> Path:
    return Path(shutil.copytree(data, data.parent / "linked", copy_function=os.symlink))


def list_shuffled(data: Path) -> Path:
    images = files_of(data)
    random.Random(0).shuffle(images)
    return write_manifest(data / "manifest.csv", data, images)


@pytest.mark.parametrize("change", [move, rename, touch, hard_link, soft_link, list_shuffled])
def test_another_place_name_or_time_of_files_computes_nothing(
    change: Callable[[Path], Path], data: Path, cache: Path, recipe: Recipe, decoded: list[str]
) -> None:
    before = extract(data, recipe, cache=cache)
    rows = rows_by_digest(before)
    after = extract(change(data), recipe, cache=cache)
    assert (after.rows, after.computed, decoded) == (N, 0, [])
    assert after.space.plain.id == before.space.plain.id
    table = after.table()
    for item, key, row in zip(after.images, table.digests, table.X, strict=True):
        assert digest(item.item.path) == key
        np.testing.assert_array_equal(row, rows[key])


def test_added_images_are_the_only_ones_computed(
    data: Path, cache: Path, tmp_path: Path, recipe: Recipe, decoded: list[str]
) -> None:
    more = files_of(small_data(tmp_path / "more", train=5, test=0, classes=1, seed=9))
    for path in more:
        shutil.copy(path, data / "train" / "covid" / f"new-{path.name}")
    found = extract(data, recipe, cache=cache)
    assert (found.rows, found.computed, len(decoded)) == (N + 5, 5, 5)
    check_same_rows(found, extract(data, recipe, cache=tmp_path / "afresh"))


def test_copies_are_computed_once(data: Path, tmp_path: Path, recipe: Recipe, decoded: list[str]) -> None:
    original = files_of(data / "train" / "covid")[0]
    shutil.copy(original, original.with_name("copy.png"))
    found = extract(data, recipe, cache=tmp_path / "cache")
    assert (len(found.images), found.rows, found.computed, len(decoded)) == (N + 1, N, N, N)
    table = found.table("train")
    places = [table.digests.index(digest(original)), table.ids.index("train/covid/copy.png")]
    np.testing.assert_array_equal(*table.X[places])


def test_neither_batches_nor_the_models_place_are_part_of_the_key(
    data: Path, cache: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = shutil.copy(recipe.backbone.name, tmp_path / "another name.keras")
    os.utime(moved, (1, 1))
    forbid_networks(monkeypatch)
    assert extract(data, recipe.replaced({"backbone.name": str(moved)}), cache=cache, batch_size=3).computed == 0


def test_the_number_of_threads_changes_no_bit(
    data: Path, cache: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = extract(data, recipe, cache=cache)
    for module in (computing, decoding, hashing):
        monkeypatch.setattr(module, "WORKERS", 1)
    assert extract(data, recipe, cache=cache).computed == 0
    check_same_rows(extract(data, recipe, cache=tmp_path / "one"), many)


KEY = [
    {"images.size": 40},
    {"images.resize": "lanczos"},
    {"preprocess.mode": "featurewise"},
    {"preprocess": {"mode": "featurewise", "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}},
    {"backbone.pooling": "avg"},
    {"backbone.pooling": "max"},
    {"backbone.cut": "conv_1"},
    {"features.dtype": "float16"},
]


@pytest.fixture(scope="module")
def any_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A network for images of any size, data, and a cache with the data's rows and some views."""
    root = tmp_path_factory.mktemp("any_size")
    model = write_model(root / "model.keras", size=None)
    small_data(root / "data", train=2, test=1, classes=2)
    changes = {"views.count": 2, "views.rotation": 20.0}
    assert extract(root / "data", small_recipe(model, changes), cache=root / "cache").computed == 10
    return model, root / "data", root / "cache"


@pytest.mark.parametrize("change", KEY, ids=lambda change: "-".join(map(str, change)))
def test_each_part_of_the_key_gives_other_features(change: dict[str, Any], any_size: tuple[Path, Path, Path]) -> None:
    model, data, cache = any_size
    one = extract(data, small_recipe(model), cache=cache)
    other = extract(data, small_recipe(model, change), cache=cache)
    assert (one.computed, other.computed) == (0, 6)
    assert one.space.plain.id != other.space.plain.id
    assert one.space.augmented.id != other.space.augmented.id
    ours, theirs = one.table().X, other.table().X
    assert ours.shape != theirs.shape or not np.array_equal(ours, theirs)


def test_other_weights_give_other_features(any_size: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, data, cache = any_size
    other = write_model(tmp_path / model.name, seed=7, size=None)
    found = extract(data, small_recipe(other), cache=cache)
    assert found.computed == 6
    assert not np.allclose(found.table().X, extract(data, small_recipe(model), cache=cache).table().X)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rotation", 30.0),
        ("shift", 0.1),
        ("shear", 5.0),
        ("zoom", 0.1),
        ("channel_shift", 10.0),
        ("horizontal_flip", True),
        ("vertical_flip", True),
        ("fill", 99),
        ("seed", 1),
    ],
)
def test_other_views_leave_the_images_themselves(
    field: str, value: object, any_size: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    model, data, cache = any_size
    changes = {"views.count": 2, "views.rotation": 20.0, f"views.{field}": value}
    one = extract(data, small_recipe(model), cache=cache)
    other = extract(data, small_recipe(model, changes), cache=cache)
    assert (other.rows, other.computed) == (10, 4)
    assert other.space.plain.id == one.space.plain.id


# Statistics of the training images.


def notices(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [text for text in texts if "channel statistics" in text]


def test_statistics_are_those_of_the_training_pixels(data: Path, tmp_path: Path, featurewise: Recipe) -> None:
    found = extract(data, featurewise, cache=tmp_path / "cache")
    pixels = np.stack([resized(path) for path in files_of(data / "train")]).astype(np.float64) / 255
    mean, std = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    kept = found.spec.preprocess
    assert kept.mean == pytest.approx(mean, rel=1e-12)
    assert kept.std == pytest.approx(std, rel=1e-12)
    table = found.table()
    images = [(resized(data / name) / 255 - mean) / std for name in table.ids]
    # `expected_rows` divides by 255 once more.
    expected = expected_rows(Path(featurewise.backbone.name), [np.float32(255) * image for image in images])
    np.testing.assert_allclose(table.X, expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_kept(data: Path, tmp_path: Path, featurewise: Recipe, decoded: list[str]) -> None:
    one = extract(data, featurewise, cache=tmp_path / "cache")
    # Training images twice, once for the statistics.
    assert len(decoded) == N + N_TRAIN
    decoded.clear()
    two = extract(rename(data), featurewise, cache=tmp_path / "cache")
    assert (two.computed, decoded, two.spec) == (0, [], one.spec)


def test_a_new_test_image_leaves_the_statistics(
    data: Path, tmp_path: Path, featurewise: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    extract(data, featurewise, cache=tmp_path / "cache")
    new = files_of(small_data(tmp_path / "more", train=0, test=1, classes=1, seed=9))[0]
    shutil.copy(new, data / "test" / "covid" / "new.png")
    assert extract(data, featurewise, cache=tmp_path / "cache").computed == 1
    assert notices(caplog) == []


def test_a_new_training_image_changes_all_rows_unless_the_statistics_are_fixed(
    data: Path, tmp_path: Path, featurewise: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    one = extract(data, featurewise, cache=tmp_path / "cache")
    assert notices(caplog) == []
    new = files_of(small_data(tmp_path / "more", train=1, test=0, classes=1, seed=9))[0]
    shutil.copy(new, data / "train" / "covid" / "new.png")
    fixed = extract(data, featurewise.replaced({"preprocess": one.spec.preprocess}), cache=tmp_path / "cache")
    assert (fixed.computed, notices(caplog)) == (1, [])
    again = extract(data, featurewise, cache=tmp_path / "cache")
    assert (again.computed, len(notices(caplog))) == (N + 1, 1)
    assert "set preprocess.mean and preprocess.std in the recipe" in notices(caplog)[0]


def test_images_never_extracted_with_statistics_give_no_notice(
    data: Path, cache: Path, tmp_path: Path, featurewise: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    # The cache has these images rescaled, and then others with statistics.
    extract(data, featurewise, cache=cache)
    others = small_data(tmp_path / "others", train=2, test=1, classes=2, seed=5)
    assert extract(others, featurewise, cache=cache).computed == 6
    assert notices(caplog) == []


# Labels, progress and memory.


def test_groups_and_labels_stay_with_their_rows(data: Path, cache: Path, recipe: Recipe) -> None:
    groups = {"group": lambda path: f"patient of {path.name}"}
    write_manifest(data / "groups.csv", data, reversed(files_of(data / "train")), groups)
    table = extract(data / "groups.csv", recipe, cache=cache).table()
    assert list(table.ids) == sorted(table.ids)
    for name, label, group, key in zip(table.ids, table.labels, table.groups, table.digests, strict=True):
        path = data / name
        assert (label, group, key) == (path.parent.name, f"patient of {path.name}", digest(path))


def test_progress_reaches_its_end(data: Path, tmp_path: Path, featurewise: Recipe) -> None:
    reported: dict[str, list[tuple[int, int]]] = {}

    def progress(stage: str, done: int, total: int) -> None:
        reported.setdefault(stage, []).append((done, total))

    extract(data, featurewise, cache=tmp_path / "cache", batch_size=3, progress=progress)
    assert {stage: steps[-1] for stage, steps in reported.items()} == {
        "reading": (N, N),
        "bit depths": (N, N),
        "channel statistics": (N_TRAIN, N_TRAIN),
        "loading the network": (1, 1),
        "extracting": (N, N),
    }
    assert all(steps == sorted(steps) for steps in reported.values())


class SlowNetwork:
    """Stands in for a network that is slower than the decoding."""

    name, width, parameters, raw, takes_pixels = "keras", 2, 1, False, False
    seen = 0

    def __init__(self, *arguments: Any) -> None:
        self.batch_size = arguments[-1]

    def rows(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(0.05)
        SlowNetwork.seen += len(images)
        return np.zeros((len(images), 2), np.float32)

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        return map(self.rows, batches)


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 3])
def test_decoding_stays_three_batches_ahead_at_most(
    views: int, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=15, test=0, classes=4)
    made, lead, lock = 0, [0], threading.Lock()

    def counted(work: Work, *arguments: Any) -> Any:
        nonlocal made
        outcome = decoded_views(work, *arguments)
        with lock:
            made += len(work.views)
            lead.append(made - SlowNetwork.seen)
        return outcome

    SlowNetwork.seen = 0
    monkeypatch.setattr(networks, "KerasNetwork", SlowNetwork)
    monkeypatch.setattr(computing, "decoded_views", counted)
    spec = recipe.replaced({"views.count": views})
    assert extract(data, spec, cache=tmp_path / "cache", engine="keras", batch_size=6).computed == 60 * views
    # The batch that is in the network, and the image of which only some views have been taken.
    assert 6 < max(lead) <= 3 * 6 + 6 + views


# Arguments.


def test_a_recipe_by_its_path_and_the_default_cache(
    data: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    text = f'[images]\nsize = {SIZE}\n[preprocess]\nmode = "rescale"\n[backbone]\nname = "{tiny_model}"\n'
    Path("mine.toml").write_text(text)
    one = extract(data, "mine.toml")
    assert (one.computed, one.store.root) == (N, Path("cache"))
    assert sorted(path.name for path in folder.iterdir()) == ["cache", "mine.toml"]
    other = extract(data, default_recipe(str(tiny_model)).replaced({"images.size": SIZE}))
    assert (other.computed, other.space.plain.id) == (0, one.space.plain.id)


def test_a_default_recipe_has_the_backbones_default_settings() -> None:
    recipe = default_recipe("MobileNetV2")
    assert (recipe.backbone.name, recipe.backbone.pooling) == ("mobilenetv2", "avg")
    assert (recipe.images.size, recipe.preprocess.mode, recipe.views.count) == (224, "imagenet", 1)
    with pytest.raises(UsageError, match="did you mean resnet50"):
        default_recipe("resnet5")


def test_an_engine_or_size_that_does_not_exist_is_refused(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(UsageError, match="Expected auto, keras, openvino, onnxruntime for engine, received 'torch'"):
        extract(data, recipe, cache=tmp_path / "cache", engine="torch")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="64 × 64"):
        extract(data, recipe.replaced({"images.size": 64}), cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_sequential_model_is_a_backbone_too(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    keras = load_keras()
    layers = [keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(4, 3, strides=5), keras.layers.Flatten()]
    keras.Sequential(layers).save(tmp_path / "sequential.keras")
    found = extract(data, recipe.replaced({"backbone.name": str(tmp_path / "sequential.keras")}), cache=tmp_path)
    table = found.table()
    expected = expected_rows(tmp_path / "sequential.keras", [resized(data / name) for name in table.ids])
    np.testing.assert_allclose(table.X, expected, rtol=1e-5, atol=1e-6)


def test_a_group_in_two_splits_is_named(
    first: tuple[Path, Path], tmp_path: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    files = [next((first[0] / split).rglob("*.*")) for split in ("train", "test")]
    rows = [f"{file},a,{split},{{}}" for file, split in zip(files, ("train", "test"), strict=True)]
    table = tmp_path / "table.csv"
    for groups, said in ((("p", "q"), False), (("p", "p"), True)):
        lines = [row.format(group) for row, group in zip(rows, groups, strict=True)]
        table.write_text("\n".join(["path,label,split,group", *lines]))
        extract(table, recipe, cache=first[1])
        assert ("1 of 1 group (2 of 2 images) is in train and in test, such as p (" in caplog.text) is said


def test_an_image_under_two_labels_is_named(
    first: tuple[Path, Path], tmp_path: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    data = Path(shutil.copytree(first[0], tmp_path / "data"))
    one, *_, other = sorted((data / "train").iterdir())
    image = min(one.iterdir())
    shutil.copy(image, one / f"again{image.suffix}")  # under the same label: nothing to say
    extract(data, recipe, cache=first[1])
    assert "two labels" not in caplog.text
    shutil.copy(image, other / f"copy{image.suffix}")
    extract(data, recipe, cache=first[1])
    assert [record.message for record in caplog.records if "two labels" in record.message] == [
        f"Images are there under two labels (1), such as train/{one.name}/again{image.suffix}, which is {one.name}, "
        f"and train/{other.name}/copy{image.suffix}, which is {other.name}; keep one of each."
    ]


def test_the_json_counts_images_by_split_and_class(first: tuple[Path, Path], recipe: Recipe) -> None:
    splits = extract(first[0], recipe, cache=first[1]).to_json()["splits"]
    assert {split: sum(counts.values()) for split, counts in splits.items()} == {"train": N_TRAIN, "test": N_TEST}
    assert set(splits["train"].values()) == {3}
