from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from pipeline_data import files_of, read_table, small_data, small_recipe, write_manifest
from sklearn.metrics import silhouette_score

from featx.errors import DataError, RunError, UsageError
from featx.features import extract
from featx.maps.mapping import draw_map, visualize
from featx.maps.parameters import map_parameters
from featx.maps.quality import stability, trustworthiness
from featx.maps.result import Map
from featx.maps.stored import load_map
from featx.prediction import predict
from featx.runs import FitResult, fit_head, read_source

N_TRAIN, N_TEST = 24, 8
Draw = Callable[..., Map]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    root = tmp_path_factory.mktemp("mapping")
    small_data(root / "data", train=6, test=2)
    return fit_head(root / "data", small_recipe(tiny_model), out=root / "run", cache=root / "cache")


@pytest.fixture
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


@pytest.fixture
def draw(fitted: FitResult, cache: Path) -> Draw:
    """Draw a map of the run."""
    return partial(visualize, fitted.run, cache=cache)


def test_a_map_is_three_files_of_the_training_images(draw: Draw, fitted: FitResult, tmp_path: Path) -> None:
    found = draw(out=tmp_path / "map", perplexity=5)
    json = found.to_json()
    assert (json["n"], json["method"]) == (N_TRAIN, "tsne")
    written = {Path(path).name for path in [*json["files"], json["stored"]]}
    assert written == {path.name for path in (tmp_path / "map").iterdir()}
    png, svg, page, table = (Path(path) for path in json["files"])
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    text = page.read_text("utf-8")
    assert all(image in text for image in found.points.ids)
    assert "data:image/" in text
    rows = read_table(table)
    known = {row["path"]: row for row in read_table(fitted.run / "predictions.csv") if row["split"] == "train"}
    assert {row["path"] for row in rows} == set(known)
    points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    np.testing.assert_allclose(points, found.embedding.points, rtol=1e-5)
    for row in rows:
        assert (row["label"], row["predicted"]) == (known[row["path"]]["label"], known[row["path"]]["predicted"])
    assert 0 <= json["trustworthiness"] <= 1
    assert 0 <= json["stability"] <= 1
    assert json["k"] == (N_TRAIN - 1) // 2


def test_silhouettes_are_those_of_the_features_and_of_the_map(draw: Draw, fitted: FitResult, tmp_path: Path) -> None:
    found = draw(layer="backbone", out=tmp_path, perplexity=5)
    table = fitted.extraction.table("train")
    row = dict(zip(table.ids, table.X, strict=True))
    features = np.stack([row[name] for name in found.points.ids])
    labels = found.points.labels
    assert found.silhouette["features"] == pytest.approx(silhouette_score(features, labels), rel=1e-5)
    assert found.silhouette["map"] == pytest.approx(silhouette_score(found.embedding.points, labels), rel=1e-6)


def test_a_map_is_drawn_on_axes_and_in_a_notebook(draw: Draw, fitted: FitResult) -> None:
    from matplotlib.figure import Figure

    found = draw(method="pca", add_split="test", formats=())
    ax = Figure().subplots()
    assert found.draw(ax) is ax
    assert ax.get_title() == "run: penultimate features, training and test images"
    assert ax.get_xlabel().startswith("component 1 (")
    assert "<img" in found._repr_html_()
    assert len(repr(found)) < 300


def test_rows_that_are_open_are_drawn_without_files(draw: Draw, fitted: FitResult, cache: Path) -> None:
    before = set(fitted.run.iterdir())
    drawn = draw_map(read_source(fitted.run, cache=cache), map_parameters("pca"), add_split="test")
    theirs = draw(method="pca", add_split="test", formats=())
    np.testing.assert_array_equal(drawn.points.xy, theirs.points.xy)
    assert (drawn.files, drawn.stored) == ((), None)
    assert set(fitted.run.iterdir()) == before


@pytest.mark.slow
def test_layers_and_splits_have_maps_of_their_own(draw: Draw, tmp_path: Path) -> None:
    counts = {"train": N_TRAIN, "test": N_TEST, "all": N_TRAIN + N_TEST}
    for split, n in counts.items():
        found = draw(layer="backbone", split=split, out=tmp_path, perplexity=2)
        assert found.n == len(found.points) == len(found.embedding.points) == n
    one = draw(split="all", out=tmp_path, perplexity=2)
    assert not np.allclose(one.embedding.points, found.embedding.points)
    assert len(list(tmp_path.iterdir())) == 4 * 5


@pytest.mark.slow
def test_the_same_seed_gives_the_same_map_and_another_seed_another(draw: Draw, tmp_path: Path) -> None:
    one, two = (draw(out=tmp_path / name, perplexity=5) for name in ("one", "two"))
    for ours, theirs in zip(one.files, two.files, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    other = draw(out=tmp_path / "other", perplexity=5, seed=1)
    assert not np.array_equal(other.embedding.points, one.embedding.points)


def test_the_perplexity_is_lowered_to_what_the_images_allow(
    draw: Draw, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw(split="test", out=tmp_path)
    assert [f"perplexity 30 is lowered to {(N_TEST - 1) / 3:.3g}" in record.getMessage() for record in caplog.records]


def test_files_go_into_the_run_where_no_folder_is_named(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(fitted.run, tmp_path / "run"))
    found = visualize(run, perplexity=5, cache=cache)
    assert {path.parent for path in found.files} == {run}


def test_a_moved_run_and_other_rows_in_the_cache_do_not_matter(
    draw: Draw, fitted: FitResult, cache: Path, tmp_path: Path, tiny_model: Path
) -> None:
    cache = Path(shutil.copytree(cache, tmp_path / "cache"))
    extract(small_data(tmp_path / "more", train=2, test=1, seed=4), small_recipe(tiny_model), cache=cache)
    run = Path(shutil.copytree(fitted.run, tmp_path / "moved"))
    ours = visualize(run, out=tmp_path / "ours", perplexity=5, cache=cache)
    theirs = draw(out=tmp_path / "theirs", perplexity=5)
    np.testing.assert_array_equal(ours.embedding.points, theirs.embedding.points)


def test_a_part_of_the_features_is_not_enough(fitted: FitResult, tmp_path: Path) -> None:
    data = Path(shutil.copytree(fitted.extraction.dataset.root, tmp_path / "data"))
    shutil.rmtree(data / "train" / "covid")
    part = extract(data, fitted.recipe, cache=tmp_path / "part")
    assert part.space.plain.id == fitted.extraction.space.plain.id
    with pytest.raises(RunError, match=r"backbone features .* are not all in the cache"):
        visualize(fitted.run, layer="backbone", out=tmp_path / "out", cache=tmp_path / "part")


def test_a_head_without_a_penultimate_layer_has_a_map_of_the_backbone(
    fitted: FitResult, cache: Path, tmp_path: Path, tiny_model: Path
) -> None:
    plain = small_recipe(tiny_model, {"head": {"layers": ()}, "fit.epochs": 1})
    fit_head(fitted.extraction.dataset.root, plain, out=tmp_path / "run", cache=cache)
    with pytest.raises(RunError, match='names no penultimate layer; use layer="backbone"'):
        visualize(tmp_path / "run", layer="penultimate", cache=cache)
    found = visualize(tmp_path / "run", perplexity=5, cache=cache)
    assert (found.n, found.layer) == (N_TRAIN, "backbone")


# --- data ---


def test_a_map_of_data_needs_a_folder_or_writes_nothing(
    draw: Draw, fitted: FitResult, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = fitted.extraction.dataset.root
    with pytest.raises(UsageError, match="which is data and not a run; pass one with out"):
        visualize(data, recipe=fitted.recipe, cache=cache)
    with pytest.raises(UsageError, match=r"for the map of .*png, which is data"):
        visualize(f"{data}/train/*/*.png", recipe=fitted.recipe, cache=cache)  # no folder is named like a pattern
    with pytest.raises(UsageError, match="for the map of these images, which is data"):
        visualize([data / "train", data / "test"], recipe=fitted.recipe, cache=cache)
    monkeypatch.chdir(tmp_path)
    ours = visualize(data, recipe=fitted.recipe, perplexity=5, formats=(), cache=cache)
    assert (ours.files, ours.stored, ours.points.predicted) == ((), None, None)
    assert list(tmp_path.iterdir()) == []
    theirs = draw(layer="backbone", perplexity=5, out=tmp_path)
    np.testing.assert_array_equal(ours.embedding.points, theirs.embedding.points)


def test_images_in_memory_have_thumbnails(
    fitted: FitResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 20, 30), np.uint8)
    with caplog.at_level("INFO", "featx"):
        drawn = visualize(
            images, labels=list("ab" * 4), recipe=fitted.recipe, method="pca", out=tmp_path, cache=tmp_path / "cache"
        )
    assert sorted(drawn.points.ids) == [f"image {number}" for number in range(8)]
    page = next(path for path in drawn.files if path.suffix == ".html").read_text("utf-8")
    assert "data:image/jpeg" in page
    assert '"blank":[]' in page
    assert "no thumbnail" not in caplog.text


def test_a_map_coloured_by_a_column_of_the_manifest(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    root = fitted.extraction.dataset.root
    images = files_of(root / "train")
    site = {path: ("", "A", "B")[number % 3] for number, path in enumerate(images)}
    age = {path: str(number) for number, path in enumerate(images)}
    columns = {"scanner site": site.__getitem__, "age": age.__getitem__}
    manifest = write_manifest(root.parent / "manifest.csv", root, images, columns)
    found = visualize(
        manifest, by="scanner site", recipe=fitted.recipe, perplexity=5, out=tmp_path / "map", cache=cache
    )
    assert {path.name for path in found.files} == {
        f"tsne-backbone-train-by-scanner_site.{ending}" for ending in ("png", "svg", "html", "csv")
    }
    rows = read_table(found.files[-1])
    assert {root.parent / row["path"]: row["scanner site"] for row in rows} == site
    table = found.to_frame()
    assert {root.parent / name: number for name, number in zip(table["path"], table["age"], strict=True)} == {
        path: int(text) for path, text in age.items()
    }
    known = [number for number, row in enumerate(rows) if row["scanner site"]]
    sites = [rows[number]["scanner site"] for number in known]
    assert found.silhouette["map"] == pytest.approx(silhouette_score(found.embedding.points[known], sites))
    with pytest.raises(DataError, match="Expected a column 'site'"):
        visualize(manifest, by="site", recipe=fitted.recipe, out=tmp_path / "map", cache=cache)


def test_images_of_data_that_cannot_be_used_are_listed(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(fitted.extraction.dataset.root, tmp_path / "data"))
    (data / "train" / "covid" / "broken.png").write_bytes(b"no image")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "empty.png").write_bytes(b"")
    shutil.copy(next((data / "test" / "normal").iterdir()), tmp_path / "new" / "whole.png")
    found = visualize(
        data,
        recipe=fitted.recipe,
        perplexity=5,
        add=[tmp_path / "new"],
        formats=(),
        cache=Path(shutil.copytree(cache, tmp_path / "cache")),
        on_error="skip",
    )
    assert [Path(failure.path).name for failure in found.failed] == ["broken.png", "empty.png"]
    assert (found.n, len(found.points)) == (N_TRAIN, N_TRAIN + 1)


# --- placing ---


def test_another_split_is_placed_and_the_map_stays(draw: Draw, fitted: FitResult, tmp_path: Path) -> None:
    alone = draw(method="pca", out=tmp_path)
    found = draw(method="pca", add_split="test", out=tmp_path)
    np.testing.assert_array_equal(found.points.xy[:N_TRAIN], alone.points.xy)
    assert found.points.added == (False,) * N_TRAIN + (True,) * N_TEST
    assert set(found.points.splits[N_TRAIN:]) == {"test"}
    assert found.trustworthiness == alone.trustworthiness
    assert "run: penultimate features, training and test images" in found.files[-2].read_text("utf-8")
    rows = read_table(found.files[-1])
    assert found.files[-1].name == "pca-penultimate-train-added.csv"
    assert [row["added"] for row in rows] == ["false"] * N_TRAIN + ["true"] * N_TEST
    assert found.to_json()["added"] == N_TEST
    table = {row["path"]: row for row in read_table(fitted.run / "predictions.csv")}
    assert all(row["predicted"] == table[row["path"]]["predicted"] for row in rows)
    for other, split in (("train", "train"), ("all", "train"), ("test", "all")):
        with pytest.raises(UsageError, match="Expected another split to place"):
            draw(split=split, add_split=other, out=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["penultimate", "backbone"])
def test_files_are_placed_where_the_same_images_of_a_split_are(
    draw: Draw, fitted: FitResult, cache: Path, tmp_path: Path, layer: str
) -> None:
    """The rows of new files are made as the run's were, and the head is asked about them."""
    cache = Path(shutil.copytree(cache, tmp_path / "cache"))
    folder = fitted.extraction.dataset.root / "test"
    by_split = draw(layer=layer, perplexity=5, add_split="test", out=tmp_path / "a", cache=cache)
    by_path = draw(layer=layer, perplexity=5, add=[folder], out=tmp_path / "b", cache=cache)
    assert by_path.points.digests == by_split.points.digests
    np.testing.assert_allclose(by_path.points.xy, by_split.points.xy, atol=1e-3)
    assert by_path.points.predicted == by_split.points.predicted
    assert by_path.points.confidence == pytest.approx(by_split.points.confidence, abs=1e-5)
    assert set(by_path.points.labels[N_TRAIN:]) == set(by_path.points.splits[N_TRAIN:]) == {""}
    said = {row.path: row.label for row in predict(fitted.run, [folder], cache=cache).rows}
    assert by_path.points.predicted is not None
    assert dict(zip(by_path.points.ids[N_TRAIN:], by_path.points.predicted[N_TRAIN:], strict=True)) == said
    # Whether an image without a label is misclassified is not known.
    assert by_path.points.wrong is not None
    assert not any(by_path.points.wrong[N_TRAIN:])


def test_files_are_placed_on_a_map_of_data_made_with_its_statistics(
    fitted: FitResult, tmp_path: Path, tiny_model: Path
) -> None:
    """Channel statistics are those of the map's images; with others the same images would lie elsewhere."""
    spec = small_recipe(tiny_model, {"preprocess.mode": "featurewise"})
    data = fitted.extraction.dataset.root
    found = visualize(data, recipe=spec, method="pca", add=[data / "train"], formats=(), cache=tmp_path / "cache")
    own = dict(zip(found.points.digests[:N_TRAIN], found.points.xy[:N_TRAIN], strict=True))
    for digest, place_ in list(zip(found.points.digests, found.points.xy, strict=True))[N_TRAIN:]:
        np.testing.assert_allclose(place_, own[digest], atol=1e-4)


# --- the stored map ---


@pytest.mark.slow
def test_a_stored_map_is_used_again_and_a_map_of_other_images_is_not(draw: Draw, tmp_path: Path) -> None:
    first = draw(perplexity=5, out=tmp_path)
    assert first.stored is not None
    moved = np.load(first.stored)
    arrays = {name: moved[name] for name in moved.files} | {"points": moved["points"] + 1000}
    moved.close()
    np.savez(first.stored, **arrays)
    again = draw(perplexity=5, out=tmp_path)
    np.testing.assert_allclose(again.points.xy, first.points.xy + 1000)
    other = draw(perplexity=5, seed=1, out=tmp_path)
    assert np.abs(other.points.xy).max() < 900
    assert load_map(first.stored).embedding.parameters.seed == 1


def test_rows_that_are_open_are_drawn_on_a_known_map_which_stays_as_it_is(
    draw: Draw, fitted: FitResult, cache: Path, tmp_path: Path
) -> None:
    source, parameters = read_source(fitted.run, cache=cache), map_parameters("pca")
    assert draw_map(source, parameters, known=tmp_path).stored is None
    assert list(tmp_path.iterdir()) == []
    first = draw(method="pca", out=tmp_path, formats=())
    assert first.stored is not None
    before = first.stored.read_bytes()
    again = draw_map(source, parameters, known=tmp_path)
    assert (again.stored, again.files) == (first.stored, ())
    np.testing.assert_array_equal(again.points.xy, first.points.xy)
    assert draw_map(source, map_parameters("pca", seed=1), known=tmp_path).stored is None
    assert first.stored.read_bytes() == before


def test_a_damaged_stored_map_is_reported_and_made_again(
    draw: Draw, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = draw(perplexity=5, out=tmp_path)
    assert first.stored is not None
    first.stored.write_bytes(b"PK damaged")
    again = draw(perplexity=5, out=tmp_path)
    np.testing.assert_array_equal(again.points.xy, first.points.xy)
    assert len(caplog.messages) == 1
    assert "cannot be read" in caplog.messages[0]
    np.testing.assert_array_equal(load_map(first.stored).embedding.points, first.points.xy)


# --- figures and formats ---


def test_trust_is_measured_on_the_rows_and_against_the_next_seed(draw: Draw, fitted: FitResult, cache: Path) -> None:
    one, next_ = (draw(setting="2020", split="all", seed=seed, formats=()) for seed in (0, 1))
    assert one.stability == stability(one.points.xy, next_.points.xy)
    assert one.stability is not None
    assert one.stability < 1
    table = read_source(fitted.run, cache=cache).table
    assert one.trustworthiness == trustworthiness(table.X, one.points.xy)
    pca = draw(method="pca", formats=())
    assert (pca.stability, pca.to_json()["stability"]) == (None, None)


def test_the_frame_has_the_columns_of_the_table(draw: Draw, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = draw(method="pca", add_split="test", out=tmp_path, formats=["csv"])
    pandas.testing.assert_frame_equal(found.to_frame(), pandas.read_csv(found.files[0]), rtol=1e-5, check_dtype=False)
