"""Data as a script or notebook has it, through every verb: data frames, lists of paths, images in memory."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pipeline_data import files_of, read_table, small_data, small_recipe

import featx
from featx.errors import DataError, UsageError
from featx.images import decode
from featx.recipes import Recipe
from featx.runs import FitResult

N = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("given")


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model)


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    """Images in an order that is neither that of their names nor of their classes."""
    files = files_of(small_data(root / "data", train=N // 2, test=0, classes=2))
    return [files[number] for number in np.random.default_rng(1).permutation(len(files))]


@pytest.fixture(scope="module")
def labels(files: list[Path]) -> list[str]:
    return [path.parent.name for path in files]


@pytest.fixture(scope="module")
def pixels(files: list[Path]) -> NDArray[np.uint8]:
    return np.stack([decode(path.read_bytes(), path.name) for path in files])


@pytest.fixture
def cache(root: Path) -> Path:
    return root / "cache"


@pytest.fixture(scope="module")
def run(root: Path, pixels: NDArray[np.uint8], labels: list[str], recipe: Recipe) -> FitResult:
    """A run whose images are in memory."""
    return featx.fit_head(pixels, recipe, out=root / "run", cache=root / "cache", labels=labels, test=0.25)


def test_all_kinds_of_data_have_the_rows_of_the_files_in_their_order(
    root: Path, files: list[Path], labels: list[str], recipe: Recipe, cache: Path
) -> None:
    by_digest = featx.extract(root / "data", recipe, cache=cache).table()
    rows = dict(zip(by_digest.digests, by_digest.X, strict=True))
    columns = {"path": list(map(str, files)), "label": labels, "age": list(range(N))}
    texts = list(map(str, files))
    given: list[tuple[Any, dict[str, Any]]] = [
        (pd.DataFrame(columns), {}),
        (pd.DataFrame(columns).rename(columns={"path": "Image Index", "label": "class"}), {}),
        (pa.table(columns), {}),
        (featx.read_data(pd.DataFrame(columns)), {}),
        (files, {"labels": labels}),
        (tuple(texts), {"labels": tuple(labels)}),
        (pd.Series(texts, index=range(N, 2 * N)), {"labels": pd.Series(labels, index=range(3, N + 3))}),
        (np.array(texts), {"labels": np.array(labels)}),
        ((path for path in files), {"labels": (label for label in labels)}),
    ]
    for data, further in given:
        extraction = featx.extract(data, recipe, cache=cache, **further)
        table = extraction.table()
        assert (extraction.computed, table.ids, table.labels) == (0, tuple(texts), tuple(labels))
        np.testing.assert_array_equal(table.X, [rows[digest] for digest in table.digests])
    frame = featx.extract(pd.DataFrame(columns), recipe, cache=cache).table().to_frame()
    assert frame["age"].tolist() == columns["age"]
    assert set(featx.extract(set(files), recipe, cache=cache).table().ids) == set(texts)


def test_images_in_memory_have_the_values_of_their_files(
    files: list[Path], labels: list[str], pixels: NDArray[np.uint8], recipe: Recipe, cache: Path
) -> None:
    expected = featx.extract(files, recipe, cache=cache).table().X
    for data in (pixels, list(pixels), (image for image in pixels)):
        table = featx.extract(data, recipe, cache=cache, labels=labels).table()
        np.testing.assert_array_equal(table.X, expected)
        assert table.ids == tuple(f"image {number:02}" for number in range(N))
    # The digest is that of the pixels: in another order, nothing is computed again.
    assert featx.extract(pixels[::-1], recipe, cache=cache).computed == 0


def test_a_run_of_images_in_memory_says_what_it_was_made_of(run: FitResult, labels: list[str]) -> None:
    assert (run.test.n, run.validation.n + run.test.n + run.train.n) == (6, N)
    manifest = json.loads((run.run / "manifest.json").read_text("utf-8"))
    assert manifest["data"]["test"] == {"share": 0.25, "seed": 0}
    assert manifest["data"]["counts"]["test"] == {"covid": 3, "normal": 3}
    rows = {row["path"]: row for row in read_table(run.run / "predictions.csv")}
    assert [rows[f"image {number:02}"]["label"] for number in range(N)] == labels
    assert sum(row["split"] == "test" for row in rows.values()) == 6


def test_the_verbs_of_a_run_use_its_split(run: FitResult, cache: Path, tmp_path: Path) -> None:
    comparison = featx.compare(run.run, classifiers=["majority"], folds=2, repeats=1, cache=cache)
    assert (len(comparison.y_train), len(comparison.y_test)) == (18, 6)
    assert featx.clusters(run.run, cache=cache, permutations=1).to_json()["n"] == 18
    drawn = featx.visualize(run.run, method="pca", out=tmp_path / "map", cache=cache)
    assert drawn.n == 18
    page = featx.report(run.run, out=tmp_path / "r.html", without=["comparison"], cache=cache)
    text = page.file.read_text("utf-8")
    assert "image 0" in text
    assert "a share of 0.25 set aside, split seed 0" in text


def test_no_file_of_the_working_folder_is_taken_for_an_image_in_memory(
    run: FitResult, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(N):
        (tmp_path / f"image {number:02}").write_bytes(b"another file")
    page = featx.report(run.run, out=tmp_path / "r.html", without=["comparison"], cache=cache)
    assert page.file.stat().st_size > 0


def test_images_in_memory_through_verbs_of_data(
    pixels: NDArray[np.uint8], labels: list[str], recipe: Recipe, cache: Path, tmp_path: Path
) -> None:
    chosen: dict[str, Any] = {"recipe": recipe, "labels": labels, "cache": cache}
    comparison = featx.compare(pixels, classifiers=["pixels", "majority"], folds=2, repeats=1, test=0.25, **chosen)
    assert {row.name for row in comparison.rows} == {"pixels", "majority"}
    assert featx.clusters(pixels, permutations=1, **chosen).to_json()["n"] == N
    drawn = featx.visualize(list(pixels), method="pca", add=pixels[:3] // 2, out=tmp_path / "map", **chosen)
    assert (drawn.n, sum(drawn.points.added)) == (N, 3)
    found = featx.search(pixels, pixels[3:4], k=1, **chosen)
    assert [near.path for near in found.results[0].neighbours] == ["image 03"]


def test_predictions_are_in_the_order_given(
    run: FitResult, files: list[Path], pixels: NDArray[np.uint8], cache: Path, tmp_path: Path
) -> None:
    texts = list(map(str, files))
    manifest = tmp_path / "m.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["Image", "age"], *([text, str(number)] for number, text in enumerate(texts))])
    expected = [row.probabilities["covid"] for row in featx.predict(run.run, texts, cache=cache).rows]
    for given in (pixels, list(pixels), pd.DataFrame({"file": files}), pd.Series(texts), manifest, iter(files)):
        rows = featx.predict(run.run, given, cache=cache).rows
        assert [row.probabilities["covid"] for row in rows] == pytest.approx(expected, abs=1e-5)
    assert featx.predict(run.run, manifest, cache=cache).to_frame()["age"].tolist() == list(range(N))
    assert [row.path for row in featx.predict(run.run, texts[0], cache=cache).rows] == texts[:1]


def test_images_without_a_class_are_refused_where_one_is_needed(
    pixels: NDArray[np.uint8], labels: list[str], recipe: Recipe, cache: Path
) -> None:
    with pytest.raises(DataError, match=r"to compare classifiers, found 1 of 24 images without one \(image 00\)"):
        featx.compare(pixels, recipe=recipe, cache=cache, labels=[None, *labels[1:]])


def test_sentences_about_images_in_memory_name_no_folder(pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    dataset = featx.read_data(pixels, labels=["a"] * len(pixels))
    assert repr(dataset) == f"<Dataset: {N} images in memory, 1 class>"
    with pytest.raises(DataError, match="training images of at least two classes in the images in memory, found a;"):
        featx.fit_head(dataset, out=tmp_path / "run")


def test_a_head_needs_the_class_of_each_image(
    pixels: NDArray[np.uint8], labels: list[str], recipe: Recipe, cache: Path, tmp_path: Path
) -> None:
    for given, found in (
        (None, "24 images without labels"),
        ([None, *labels[1:]], r"1 of 24 images without one \(image 00\)"),
    ):
        with pytest.raises(DataError, match=f"a label for each image to train a head, found {found}"):
            featx.fit_head(pixels, recipe, out=tmp_path / "run", cache=cache, labels=given)


@pytest.mark.parametrize(
    ("further", "error", "message"),
    [
        ({"labels": ["a"]}, DataError, "Expected 24 labels, one for each image, received 1"),
        ({"groups": ["a"] * 25}, DataError, "Expected 24 groups, one for each image, received 25"),
        ({"labels": "covid"}, UsageError, "or labels and images as lists or arrays in the same order"),
        ({"labels": 3}, UsageError, "a value of type int"),
        ({"label_column": "x"}, UsageError, "Expected names of columns with a manifest or data frame"),
        ({"label": ["a"] * 24}, TypeError, "did you mean 'labels'"),
        ({"labels": np.eye(24)}, DataError, r"labels of shape \(24,\), .* received the shape \(24, 24\); .*argmax"),
        ({"groups": [["a"], ["b", "c"]] * 12}, DataError, r"groups of shape \(24,\)"),
    ],
)
def test_labels_that_do_not_fit(
    further: dict[str, Any], error: type[Exception], message: str, pixels: NDArray[np.uint8]
) -> None:
    with pytest.raises(error, match=message):
        featx.read_data(pixels, **further)


def test_labels_are_texts_and_empty_ones_are_none(pixels: NDArray[np.uint8]) -> None:
    labels = [1, 2.0, np.float32(3), np.nan, None, pd.NA, "", " e\u0301 "]
    dataset = featx.read_data(pixels[:8], labels=labels)
    assert [item.label for item in dataset.items] == ["1", "2", "3", None, None, None, None, "\u00e9"]


@pytest.mark.parametrize(
    "labels",
    [np.array([[1], [2]]), pa.array([1, 2]), pd.Series([1, 2], dtype="Int64"), pd.DataFrame({"y": [1, 2]})],
    ids=["one-column", "arrow", "nullable", "frame"],
)
def test_labels_of_other_kinds_of_arrays(labels: Any, pixels: NDArray[np.uint8]) -> None:
    assert [item.label for item in featx.read_data(pixels[:2], labels=labels).items] == ["1", "2"]


def test_an_empty_cell_of_arrow_is_no_class(pixels: NDArray[np.uint8]) -> None:
    assert featx.read_data(pixels[:3], labels=pa.array(["a", None, "b"])).classes == ("a", "b")


def test_numbers_of_numpy_say_how_a_test_split_is_made(pixels: NDArray[np.uint8], labels: list[str]) -> None:
    numbers: dict[str, Any] = {"test": np.float32(0.25), "split_seed": np.int64(3)}
    test = featx.read_data(pixels, labels=labels, **numbers).test
    assert test is not None
    assert json.dumps(test.to_json()) == '{"share": 0.25, "seed": 3}'


def test_refusals_do_not_print_the_data(pixels: NDArray[np.uint8], labels: list[str]) -> None:
    dataset = featx.read_data(pixels, labels=labels)
    with pytest.raises(UsageError, match="Expected no labels with a Dataset; leave it out, because it is chosen"):
        featx.read_data(dataset, labels=labels)


def test_nothing_is_set_aside_of_images_to_predict(
    run: FitResult, pixels: NDArray[np.uint8], labels: list[str], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A share that cannot be had of so few images.
    few = featx.read_data(pixels[:2], labels=labels[:2], test=0.3)
    with caplog.at_level("INFO", "featx"):
        assert len(featx.predict(run.run, few, cache=cache).rows) == 2
    assert "Set aside" not in caplog.text


def test_no_images_at_all_are_refused(run: FitResult, cache: Path) -> None:
    for verb in (featx.predict, featx.search):
        with pytest.raises(
            DataError, match="Expected images, folders or manifests, received none; pass at least one"
        ):
            verb(run.run, [], cache=cache)


def test_a_path_that_is_there_twice_has_one_label(files: list[Path]) -> None:
    assert len(featx.read_data([files[0], files[0]], labels=["a", "a"]).items) == 1
    with pytest.raises(DataError, match="one label and one group for"):
        featx.read_data([files[0], files[0]], labels=["a", "b"])
    with pytest.raises(UsageError, match="a value of type set"):
        featx.read_data({files[0]}, labels=["a"])


def test_without_test_images_it_is_said_once(
    pixels: NDArray[np.uint8],
    labels: list[str],
    recipe: Recipe,
    cache: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    featx.extract(pixels, recipe, cache=cache, labels=labels)
    assert "no test images" not in caplog.text
    featx.fit_head(pixels, recipe, out=tmp_path / "run", cache=cache, labels=labels)
    featx.compare(pixels, recipe=recipe, cache=cache, labels=labels, classifiers=["majority"], folds=2, repeats=1)
    start, end = "The data has no test images, so ", "; test=0.2 sets a fifth of them aside."
    assert [message for message in caplog.messages if "no test images" in message] == [
        f"{start}the head is scored on validation images only{end}",
        f"{start}classifiers are compared by cross-validation only{end}",
    ]
