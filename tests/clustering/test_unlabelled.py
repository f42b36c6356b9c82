from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from blob_sources import blob_source
from blobs import blobs
from command_line import Featx
from numpy.typing import NDArray
from pipeline_data import files_of, read_table, small_data, small_recipe
from sklearn.metrics import adjusted_rand_score, calinski_harabasz_score, davies_bouldin_score

from featx import files
from featx.clustering import ImageClusters, clusters, find_clusters
from featx.clustering.unlabelled import NOT_MEASURED, remarks, structure
from featx.errors import DataError, UsageError
from featx.recipes import dump_recipe
from featx.runs import FitResult, Source, fit_head

Numbers = NDArray[np.int64]
FILES = {
    "clusters.csv", "numbers.csv", "per_image.csv", "clusters.html",
    "silhouette.png", "silhouette.svg", "numbers.png", "numbers.svg",
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Numbers]:
    """Images without labels in three clusters of 40, 30 and 20."""
    return blob_source(tmp_path_factory.mktemp("photos") / "photos", (40, 30, 20))


@pytest.fixture(scope="module")
def found(photos: tuple[Source, object], tmp_path_factory: pytest.TempPathFactory) -> ImageClusters:
    return find_clusters(photos[0], k="2..5", out=tmp_path_factory.mktemp("found"))


def test_clusters_are_found_without_labels(found: ImageClusters, photos: tuple[Source, Numbers]) -> None:
    source, numbers = photos
    assert adjusted_rand_score(numbers, found.partition.clusters) == 1
    assert [one["n"] for one in found.clusters()] == [40, 30, 20]
    document = found.to_json()
    assert (document["n"], document["kmeans"]["k"], document["classes"], document["per_class"]) == (90, 3, [], {})
    assert document["kmeans"]["ari"] is document["hdbscan"]["nmi"] is document["knn_purity"] is None
    assert document["hdbscan"]["clusters"] == 3
    assert document["silhouette"] > document["without_clusters"]["range"][1]
    X = source.table.X.astype(np.float64)
    assert document["davies_bouldin"] == pytest.approx(davies_bouldin_score(X, numbers), rel=1e-6)
    assert document["calinski_harabasz"] == pytest.approx(calinski_harabasz_score(X, numbers), rel=1e-6)
    assert json.loads(json.dumps(files.finite(document), allow_nan=False))
    assert found.notes == ()


def test_the_nearest_images_are_those_nearest_to_the_centre(
    found: ImageClusters, photos: tuple[Source, Numbers]
) -> None:
    source, numbers = photos
    X = source.table.X.astype(np.float64)
    for one, number in zip(found.clusters(), (0, 1, 2), strict=True):
        members = np.flatnonzero(numbers == number)
        away = np.linalg.norm(X[members] - X[members].mean(axis=0), axis=1)
        assert one["nearest"] == [source.table.ids[i] for i in members[np.argsort(away)][:8]]
        assert one["radius"] == pytest.approx(np.sqrt(np.mean(away**2)))


def test_an_image_far_away_is_an_outlier_and_copies_are_shown_once() -> None:
    X, _ = blobs((30, 30), apart=6)
    X[7] += 12
    X = np.concatenate([X, X[:1], X[:1]])
    digests = [*map(str, range(60)), "0", "0"]
    known = structure(X, digests, k=2)
    assert known.outliers(digests)[0] == 7
    cluster = int(known.partition.clusters[0])
    listed = known.nearest(cluster, digests, 40)
    assert 0 in listed
    assert not {60, 61} & set(listed)


def test_files_have_what_was_found(found: ImageClusters) -> None:
    folder = found.files[0].parent
    assert {path.name for path in found.files} == {path.name for path in folder.iterdir()} == FILES
    rows = read_table(folder / "per_image.csv")
    assert list(rows[0]) == ["path", "cluster", "distance", "silhouette", "hdbscan"]
    assert [int(row["cluster"]) for row in rows] == found.partition.clusters.tolist()
    assert [float(row["silhouette"]) for row in rows] == pytest.approx(found.structure.silhouettes, abs=1e-5)
    assert [row["chosen"] for row in read_table(folder / "numbers.csv")] == ["false", "true", "false", "false"]
    assert [row["n"] for row in read_table(folder / "clusters.csv")] == ["40", "30", "20"]
    page = (folder / "clusters.html").read_text("utf-8")
    shown = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]+)"', page)
    nearest = [name for one in found.clusters() for name in one["nearest"]]
    assert shown == [*nearest, *(one["path"] for one in found.outliers())]
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("<svg") == 2


def test_many_images_are_measured_by_a_sample() -> None:
    X, numbers = blobs((200, 150, 100), apart=6)
    known = structure(X, list(map(str, range(450))), sample=90, k="2..4")
    assert adjusted_rand_score(numbers, known.partition.clusters) == 1
    assert np.sum(known.dense != NOT_MEASURED) == 90
    assert "by a sample of 90 of 450 images" in next(remarks(known, "2..4"))
    whole = structure(X, list(map(str, range(450))), k=3)
    assert known.silhouette.value == pytest.approx(whole.silhouette.value, abs=0.02)


def test_the_same_seed_gives_the_same_clusters(photos: tuple[Source, object]) -> None:
    source = photos[0]
    one, other = (find_clusters(source, k=4, seed=3).to_json() for _ in range(2))
    assert one == other


def test_clusters_of_noise_come_with_notes(tmp_path: Path) -> None:
    source, _ = blob_source(tmp_path / "noise", (60,), apart=0)
    notes = " ".join(find_clusters(source, k="2..5").notes)
    assert "No number of clusters that was tried is stable" in notes
    assert "no higher than in data of the same spread without clusters" in notes


def _alone(sizes: tuple[int, ...]) -> list[str]:
    return list(map(str, range(sum(sizes))))


def test_more_clusters_than_are_tried_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.clustering.unlabelled.MOST_CLUSTERS", 3)
    five, two = (structure(blobs(sizes, apart=9)[0], _alone(sizes), k="2..3") for sizes in ((9,) * 5, (20,) * 2))
    more = "There may be more clusters than 3, the largest number that was tried; try more of them, with --k 2..30."
    assert more in remarks(five, None)
    assert not any("more clusters" in remark for remark in (*remarks(five, "2..3"), *remarks(two, None)))


def test_many_columns_are_reduced_first() -> None:
    rng = np.random.default_rng(0)
    X, numbers = blobs((30, 30), columns=80, apart=3)
    known = structure(X, list(map(str, range(60))), k=2)
    assert known.partition.rows.shape == (60, 50)
    assert adjusted_rand_score(numbers, known.partition.clusters) == 1
    new = X + rng.normal(size=X.shape).astype(np.float32) / 10
    assert known.partition.clusters_of(new).tolist() == known.partition.clusters.tolist()


# --- the verb ---


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    root = tmp_path_factory.mktemp("unlabelled")
    data = small_data(root / "data", train=6, test=2)
    return fit_head(data, small_recipe(tiny_model), out=root / "run", cache=root / "cache")


def test_files_without_labels_and_labels_not_used_give_clusters(
    fitted: FitResult, tiny_model: Path, tmp_path: Path
) -> None:
    cache, data = fitted.extraction.store.root, fitted.run.parent / "data"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(dump_recipe(small_recipe(tiny_model)), "utf-8")
    listed = clusters(files_of(data / "train"), recipe=recipe, cache=cache, k=3)
    ignored = clusters(data, labels="none", recipe=recipe, cache=cache, k=3)
    of_run = clusters(fitted.run, labels="none", cache=cache, k=3)
    for one in (listed, ignored, of_run):
        assert isinstance(one, ImageClusters)
        assert (one.layer, len(one.ids)) == ("backbone", 24)
    assert listed.to_json()["silhouette"] == ignored.to_json()["silhouette"] == of_run.to_json()["silhouette"]
    penultimate = clusters(fitted.run, labels="none", layer="penultimate", cache=cache, k=3)
    assert "was trained with the labels" in penultimate.notes[0]


def test_options_of_clusters_without_labels_need_data_without(fitted: FitResult) -> None:
    cache = fitted.extraction.store.root
    with pytest.raises(UsageError, match="a number of clusters for images without labels only"):
        clusters(fitted.run, cache=cache, k=4)
    with pytest.raises(UsageError, match="a number of clusters from 2"):
        clusters("nowhere", cache=cache, k="few")
    with pytest.raises(UsageError, match="at least 2, received 1"):
        clusters(fitted.run, cache=cache, labels="none", min_cluster_size=1)


def test_on_the_command_line(featx: Featx, fitted: FitResult, tmp_path: Path) -> None:
    cache = str(fitted.extraction.store.root)
    options = ["clusters", str(fitted.run), "--labels", "none", "--cache", cache, "--k", "2..3"]
    document = featx(*options, "--out", str(tmp_path / "out"), "--json").json
    assert document["n"] == 24
    assert len(document["files"]) == len(FILES)
    shown = featx(*options).out
    assert re.search(r"24 images in \d clusters of k-means, found without labels, in", shown)
    assert re.search(r"k +silhouette +stability", shown)


def test_too_few_images_are_refused_in_one_sentence(tmp_path: Path) -> None:
    source, _ = blob_source(tmp_path / "few", (3,))
    with pytest.raises(DataError, match="Expected at least 4 images"):
        find_clusters(source)
