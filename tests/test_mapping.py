from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from pipeline_data import read_table, small_data, small_recipe
from sklearn.metrics import silhouette_score

from featx.errors import DataError, RunError, UsageError
from featx.pipeline.extraction import extract
from featx.pipeline.fitting import FitResult, fit_head
from featx.pipeline.mapping import visualize

N_TRAIN, N_TEST = 24, 8


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    root = tmp_path_factory.mktemp("mapping")
    small_data(root / "data", train=6, test=2)
    return fit_head(root / "data", small_recipe(tiny_model), root / "run", cache=root / "cache")


@pytest.fixture
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


def test_a_map_is_three_files_of_the_training_images(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    found = visualize(fitted.run, out=tmp_path / "map", perplexity=5, cache=cache)
    json = found.to_json()
    assert (json["n"], json["method"]) == (N_TRAIN, "tsne")
    assert {Path(path).name for path in json["files"]} == {path.name for path in (tmp_path / "map").iterdir()}
    png, svg, table = (Path(path) for path in json["files"])
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    rows = read_table(table)
    known = {row["path"]: row for row in read_table(fitted.run / "predictions.csv") if row["split"] == "train"}
    assert {row["path"] for row in rows} == set(known)
    points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    np.testing.assert_allclose(points, found.embedding.points, rtol=1e-5)
    for row in rows:
        assert (row["label"], row["predicted"]) == (known[row["path"]]["label"], known[row["path"]]["predicted"])
    assert 0 <= json["trustworthiness"] <= 1


def test_coefficients_are_of_the_features_and_of_the_map(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    found = visualize(fitted.run, layer="backbone", out=tmp_path, perplexity=5, cache=cache)
    table = fitted.extraction.table("train")
    row = dict(zip(table.ids, table.X, strict=True))
    features = np.stack([row[image.path] for image in found.images])
    labels = [image.label for image in found.images]
    assert found.silhouette["features"] == pytest.approx(silhouette_score(features, labels), rel=1e-5)
    assert found.silhouette["map"] == pytest.approx(silhouette_score(found.embedding.points, labels), rel=1e-6)


def test_layers_and_splits_have_maps_of_their_own(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    counts = {"train": N_TRAIN, "test": N_TEST, "all": N_TRAIN + N_TEST}
    for split, n in counts.items():
        found = visualize(fitted.run, layer="backbone", split=split, out=tmp_path, perplexity=2, cache=cache)
        assert len(found.images) == len(found.embedding.points) == n
    one = visualize(fitted.run, split="all", out=tmp_path, perplexity=2, cache=cache)
    assert not np.allclose(one.embedding.points, found.embedding.points)
    assert len(list(tmp_path.iterdir())) == 3 * 4


def test_the_same_seed_gives_the_same_map_and_another_seed_another(
    fitted: FitResult, cache: Path, tmp_path: Path
) -> None:
    one, two = (visualize(fitted.run, out=tmp_path / name, perplexity=5, cache=cache) for name in ("one", "two"))
    for ours, theirs in zip(one.files, two.files, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    other = visualize(fitted.run, out=tmp_path / "other", perplexity=5, seed=1, cache=cache)
    assert not np.array_equal(other.embedding.points, one.embedding.points)


def test_the_perplexity_is_lowered_to_what_the_images_allow(
    fitted: FitResult, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    visualize(fitted.run, split="test", out=tmp_path, cache=cache)
    assert [f"perplexity 30 is lowered to {(N_TEST - 1) / 3:.3g}" in record.getMessage() for record in caplog.records]


def test_files_go_into_the_run_where_no_folder_is_named(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(fitted.run, tmp_path / "run"))
    found = visualize(run, perplexity=5, cache=cache)
    assert {path.parent for path in found.files} == {run}


def test_a_moved_run_and_other_rows_in_the_cache_do_not_matter(
    fitted: FitResult, cache: Path, tmp_path: Path, tiny_model: Path
) -> None:
    cache = Path(shutil.copytree(cache, tmp_path / "cache"))
    extract(small_data(tmp_path / "more", train=2, test=1, seed=4), small_recipe(tiny_model), cache=cache)
    run = Path(shutil.copytree(fitted.run, tmp_path / "moved"))
    ours = visualize(run, out=tmp_path / "ours", perplexity=5, cache=cache)
    theirs = visualize(fitted.run, out=tmp_path / "theirs", perplexity=5, cache=cache)
    np.testing.assert_array_equal(ours.embedding.points, theirs.embedding.points)


def test_a_split_without_images_is_said(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images of the split 'val'; choose another --split"):
        visualize(fitted.run, split="val", out=tmp_path, cache=cache)


def test_features_that_are_not_in_the_cache_are_said(fitted: FitResult, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"penultimate features .* are not all in the cache .* pass the cache"):
        visualize(fitted.run, out=tmp_path, cache=tmp_path / "empty")
    with pytest.raises(RunError, match="backbone features"):
        visualize(fitted.run, layer="backbone", out=tmp_path, cache=tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


def test_a_part_of_the_features_is_not_enough(fitted: FitResult, tmp_path: Path) -> None:
    data = Path(shutil.copytree(fitted.extraction.dataset.root, tmp_path / "data"))
    shutil.rmtree(data / "train" / "covid")
    part = extract(data, fitted.recipe, cache=tmp_path / "part")
    assert part.spaces.plain.id == fitted.extraction.spaces.plain.id
    with pytest.raises(RunError, match=r"backbone features .* are not all in the cache"):
        visualize(fitted.run, layer="backbone", out=tmp_path / "out", cache=tmp_path / "part")


def test_an_unknown_layer_is_said(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="penultimate or backbone, received 'first'"):
        visualize(fitted.run, layer="first", out=tmp_path, cache=cache)  # type: ignore[arg-type]


def test_a_head_without_a_penultimate_layer_has_a_map_of_the_backbone(
    fitted: FitResult, cache: Path, tmp_path: Path, tiny_model: Path
) -> None:
    plain = small_recipe(tiny_model, {"head": {"layers": ()}, "fit.epochs": 1})
    fit_head(fitted.extraction.dataset.root, plain, tmp_path / "run", cache=cache)
    with pytest.raises(RunError, match="names no penultimate layer; use --layer backbone"):
        visualize(tmp_path / "run", cache=cache)
    assert len(visualize(tmp_path / "run", layer="backbone", perplexity=5, cache=cache).images) == N_TRAIN
