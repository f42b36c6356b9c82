from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pipeline_data import files_of, read_table, small_data, small_recipe, write_manifest, write_model

from featx.errors import DataError, ImageError, RunError, UntrustedError, UnwrittenError, UsageError
from featx.recipes import Recipe, dump_recipe, load_recipe
from featx.runs import FitResult, fit_head, read_source
from featx.searching.result import SearchResult
from featx.searching.searching import search

N = 24


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model, {"preprocess.mode": "featurewise", "views.count": 2, "views.rotation": 10.0})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> FitResult:
    """A run in `run`, with its `data` and `cache` beside it."""
    root = tmp_path_factory.mktemp("searching")
    small_data(root / "data", train=4, test=2)
    return fit_head(root / "data", recipe, out=root / "run", cache=root / "cache")


@pytest.fixture
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


@pytest.fixture
def data(fitted: FitResult) -> Path:
    return fitted.extraction.dataset.root


@pytest.fixture
def picture(data: Path, tmp_path: Path) -> Path:
    """A new image, which is in no data."""
    path = tmp_path / "new.png"
    with Image.open(files_of(data)[0]) as image:
        image.rotate(90).save(path)
    return path


def check_by_hand(result: SearchResult, run: Path, layer: str, cache: Path) -> None:
    """The neighbours of images of the run are those of the stored rows, by the formula."""
    source = read_source(run, layer="penultimate" if layer == "penultimate" else "backbone", cache=cache)
    X = source.table.X.astype(float)
    lengths = np.sqrt((X**2).sum(axis=1))
    for one in result.results:
        number = source.table.digests.index(one.digest)
        cosines = np.array(
            [x @ X[number] / (a * lengths[number]) if a else 0 for x, a in zip(X, lengths, strict=True)]
        )
        by_path = dict(zip(source.table.ids, cosines, strict=True))
        assert len({near.path for near in one.neighbours}) == result.k
        for near in one.neighbours:
            assert near.cosine == pytest.approx(by_path[near.path], abs=1e-9)
        assert min(near.cosine for near in one.neighbours) == pytest.approx(np.sort(cosines)[-result.k], abs=1e-9)


@pytest.mark.parametrize("layer", ["penultimate", "backbone"])
def test_images_of_a_run_find_the_nearest_of_it(fitted: FitResult, data: Path, cache: Path, layer: str) -> None:
    found = search(fitted.run, [data / "test"], k=6, layer="backbone" if layer == "backbone" else None, cache=cache)
    assert (found.n, found.layer, len(found.results)) == (N, layer, 8)
    check_by_hand(found, fitted.run, layer, cache)
    for one in found.results:
        first = one.neighbours[0]
        assert (first.same_file, first.cosine, first.label) == (True, 1.0, Path(one.query).parent.name)
        assert one.query.endswith(first.path)
        assert not any(near.same_file for near in one.neighbours[1:])
        assert sum(one.label_counts().values()) == 5


def test_an_image_of_the_data_is_left_out_if_wanted(fitted: FitResult, data: Path, cache: Path) -> None:
    query = files_of(data / "train")[3]
    whole = search(fitted.run, query, k=6, cache=cache).results[0]
    others = search(fitted.run, query, k=5, exclude_same=True, cache=cache).results[0]
    assert others.neighbours == whole.neighbours[1:]


def test_every_copy_of_the_image_is_left_out(recipe: Recipe, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=3, test=0, classes=2)
    query = files_of(data)[0]
    for name in ("copy-1", "copy-2"):
        shutil.copy(query, query.with_stem(name))
    found = [
        search(data, query, k=4, exclude_same=exclude, recipe=recipe, cache=tmp_path / "cache").results[0]
        for exclude in (False, True)
    ]
    assert [near.same_file for near in found[0].neighbours] == [True, True, True, False]
    # Of the same cosine and the same bytes, the order is that of the names.
    assert [Path(near.path).stem for near in found[0].neighbours[:3]] == ["copy-1", "copy-2", query.stem]
    assert [near.same_file for near in found[1].neighbours] == [False] * 4
    assert found[1].neighbours[0] == found[0].neighbours[3]


@pytest.mark.parametrize("layer", ["penultimate", "backbone"])
def test_a_new_file_with_the_same_pixels_is_as_near_as_can_be(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path, layer: str
) -> None:
    known = files_of(data / "train")[5]
    with Image.open(known) as image:
        image.save(tmp_path / "again.bmp")
    for query in (tmp_path / "again.bmp", known):
        one = search(fitted.run, query, k=3, layer="backbone" if layer == "backbone" else None, cache=cache).results[
            0
        ]
        first = one.neighbours[0]
        assert first.path == known.relative_to(data).as_posix()
        assert first.cosine == pytest.approx(1, abs=1e-6)
        assert first.same_file == (query == known)


def test_features_of_data_are_made_with_the_statistics_of_its_training_images(
    data: Path, recipe: Recipe, picture: Path, tmp_path: Path
) -> None:
    # Alone, the image has other channel statistics, and so other features.
    one = search(data, picture, k=N, recipe=recipe, cache=tmp_path / "cache").results[0]
    with_new = shutil.copytree(data, tmp_path / "data")
    shutil.copy(picture, with_new / "test" / "covid" / picture.name)
    two = search(with_new, picture, k=N + 1, recipe=recipe, cache=tmp_path / "cache").results[0]
    assert two.neighbours[0].path == f"test/covid/{picture.name}"
    assert [near.path for near in one.neighbours] == [near.path for near in two.neighbours[1:]]
    np.testing.assert_allclose(
        [near.cosine for near in one.neighbours], [near.cosine for near in two.neighbours[1:]], atol=1e-6
    )


def test_names_and_order_of_files_change_nothing(data: Path, recipe: Recipe, picture: Path, tmp_path: Path) -> None:
    renamed = shutil.copytree(data, tmp_path / "renamed")
    for number, path in enumerate(sorted(files_of(renamed), reverse=True)):
        path.rename(path.with_stem(f"{number:03d}"))
    found = [search(each, picture, k=N, recipe=recipe, cache=tmp_path / "cache") for each in (data, renamed)]
    ours, theirs = ([(near.digest, near.cosine) for near in one.results[0].neighbours] for one in found)
    assert ours == theirs


def test_images_in_memory_are_searched_and_shown(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    files = files_of(data)
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    labels = [path.parent.name for path in files]
    found = search(pixels, pixels[2:4], k=3, labels=labels, recipe=recipe, cache=tmp_path / "cache")
    assert [one.query for one in found.results] == ["image 0", "image 1"]
    for one, number in zip(found.results, (2, 3), strict=True):
        first = one.neighbours[0]
        assert (first.label, first.same_file, first.cosine) == (labels[number], True, 1.0)
        assert first.path == f"image {number:02}"
    assert found._repr_html_().count("<img ") == 2 * (1 + 3)


def test_a_split_is_searched(fitted: FitResult, data: Path, cache: Path) -> None:
    found = search(fitted.run, data / "train", k=3, split="test", cache=cache)
    assert (found.n, len(found.results)) == (8, 16)
    assert {near.split for one in found.results for near in one.neighbours} == {"test"}
    with pytest.raises(UsageError, match="received 'tests'"):
        search(fitted.run, data / "train", split="tests", cache=cache)


def test_fewer_images_than_wanted_are_said(
    fitted: FitResult, data: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    query = files_of(data / "test")[0]
    assert len(search(fitted.run, query, k=50, cache=cache).results[0].neighbours) == N
    assert "Only 24 images can be neighbours, fewer than the 50 wanted" in caplog.text
    found = search(fitted.run, query, k=N, exclude_same=True, cache=cache)
    assert len(found.results[0].neighbours) == N - 1
    with pytest.raises(UsageError, match="at least 1, received 0"):
        search(fitted.run, query, k=0, cache=cache)


def test_queries_are_in_their_order_and_bad_ones_fail_or_are_skipped(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_text("not an image")
    given = [*files_of(data / "train")[::-3], tmp_path / "bad.png"]
    with pytest.raises(ImageError, match=r"bad\.png"):
        search(fitted.run, given, cache=cache)
    found = search(fitted.run, given, cache=cache, on_error="skip")
    assert [one.query for one in found.results] == [path.as_posix() for path in given[:-1]]
    assert [row["path"] for row in found.to_json()["failed"]] == [given[-1].as_posix()]
    with pytest.raises(DataError, match="found nothing"):
        search(fitted.run, tmp_path / "nowhere.png", cache=cache)


def test_the_head_is_loaded_for_penultimate_features_of_new_images_alone(
    fitted: FitResult, data: Path, cache: Path, picture: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(fitted.run, tmp_path / "run")
    (run / "head.keras").unlink()
    check_by_hand(search(run, data / "test", k=3, cache=cache), run, "penultimate", cache)
    assert search(run, picture, layer="backbone", cache=cache).results[0].neighbours
    with pytest.raises(RunError, match="head"):
        search(run, picture, cache=cache)


def test_a_run_without_its_features_or_weights_is_refused(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path
) -> None:
    query = files_of(data)[0]
    with pytest.raises(RunError, match="not all in the cache"):
        search(fitted.run, query, cache=tmp_path / "cache")
    run = shutil.copytree(fitted.run, tmp_path / "run")
    other = write_model(tmp_path / "other.keras", seed=9)
    changed = load_recipe(run / "recipe.toml").replaced({"backbone.name": str(other)})
    (run / "recipe.toml").write_text(dump_recipe(changed), "utf-8")
    with pytest.raises(UntrustedError, match="found others"):
        search(run, query, layer="backbone", cache=cache)


def test_a_run_whose_recipe_makes_other_features_is_refused(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(fitted.run, tmp_path / "run")
    changed = load_recipe(run / "recipe.toml").replaced({"images.resize": "box"})
    (run / "recipe.toml").write_text(dump_recipe(changed), "utf-8")
    with pytest.raises(UntrustedError, match="cannot be compared"):
        search(run, files_of(data)[0], layer="backbone", cache=cache)


def test_the_table_the_json_and_the_frame_say_the_same(
    data: Path, recipe: Recipe, picture: Path, tmp_path: Path
) -> None:
    columns = {"group": lambda path: path.stem[-1], "age": lambda path: path.stem[-1], "rank": lambda path: "x"}
    data = shutil.copytree(data, tmp_path / "data")
    manifest = write_manifest(tmp_path / "data.csv", data, files_of(data), columns)
    queries = tmp_path / "queries.csv"
    queries.write_text(f"path,label\n{picture},covid\n{files_of(data)[2]},\n", "utf-8")
    found = search(manifest, queries, k=4, recipe=recipe, out=tmp_path / "near.csv", cache=tmp_path / "cache")
    assert found.files == (tmp_path / "near.csv",)
    table = read_table(tmp_path / "near.csv")
    frame = found.to_frame()
    own = ["query", "rank", "path", "label", "split", "group", "cosine", "same_file"]
    assert list(frame.columns) == list(table[0]) == [*own, "age", "extra_rank"]
    flat = [(one, near) for one in found.to_json()["results"] for near in one["neighbours"]]
    assert len(flat) == len(table) == len(frame) == 8
    assert {one["query"]: one["label"] for one, _ in flat} == {str(picture): "covid", str(files_of(data)[2]): None}
    for (one, near), line, row in zip(flat, table, frame.to_dict("records"), strict=True):
        assert (line["query"], line["path"], line["label"]) == (one["query"], near["path"], near["label"])
        assert (row["query"], row["path"], row["cosine"]) == (one["query"], near["path"], near["cosine"])
        assert float(line["cosine"]) == pytest.approx(near["cosine"], abs=1e-6)
        assert line["same_file"] == str(near["same_file"])
        assert line["group"] == near["group"] == line["age"] == Path(near["path"]).stem[-1]
        assert line["extra_rank"] == "x"
    assert [line["rank"] for line in table] == ["1", "2", "3", "4"] * 2
    assert {type(age) for age in frame["age"].tolist()} == {int}  # numbers stay numbers


def test_the_result_is_short_where_it_is_shown(fitted: FitResult, data: Path, cache: Path) -> None:
    found = search(fitted.run, data, k=20, cache=cache)
    assert repr(found) == "<SearchResult: run: 24 queries, 20 nearest of 24 images, penultimate features>"


def test_files_that_cannot_be_written_do_not_lose_the_result(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwrittenError) as caught:
        search(fitted.run, data / "test", out=tmp_path / "a.csv", html=tmp_path / "file" / "b.html", cache=cache)
    assert caught.value.result.files == (tmp_path / "a.csv",)
    assert len(caught.value.result.results) == 8


@pytest.mark.slow
def test_images_whose_features_are_stored_are_searched_without_tensorflow(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path
) -> None:
    script = (
        "import sys\nfrom featx.searching import search\n"
        f"search({str(fitted.run)!r}, {str(data / 'test')!r}, html={str(tmp_path / 'a.html')!r}, "
        f"cache={str(cache)!r})\n"
        "assert not {'tensorflow', 'keras', 'openvino', 'sklearn', 'matplotlib'} & set(sys.modules), sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / "a.html").is_file()
