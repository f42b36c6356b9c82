from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blob_sources import blob_source
from numpy.typing import NDArray
from pipeline_data import read_table
from sklearn.metrics import adjusted_rand_score

from featx.errors import DataError, UsageError
from featx.maps import draw_map, map_parameters, visualize
from featx.maps.colouring import GREY, Colouring, colouring_of, numbers_of
from featx.maps.interactive import page
from featx.maps.result import Map
from featx.maps.writing import map_data
from featx.plots import COLOURS
from featx.runs import Predicted, Source

SIZES = (20, 15, 10)
N = sum(SIZES)
Numbers = NDArray[np.int64]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Numbers]:
    """Images without labels in three clusters, with an age that is not always known, and one of 45 sites."""
    ages = ["" if i % 9 == 0 else str(20 + i) for i in range(N)]
    sites = [f"site {i if i < 30 else i % 5:02d}" for i in range(N)]
    return blob_source(tmp_path_factory.mktemp("photos") / "photos", SIZES, extra={"age": ages, "site": sites})


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Images with two labels, of which one is not always known."""
    _, numbers = blob_source(tmp_path_factory.mktemp("numbers") / "photos", SIZES)
    targets = np.stack([numbers == 0, numbers > 0], axis=1).astype(np.float32)
    targets[:4, 1] = np.nan
    names = ("round", "square")
    folder = tmp_path_factory.mktemp("several") / "photos"
    return blob_source(folder, SIZES, targets=targets, label_names=names)[0]


def drawn(source: Source, by: str = "label", out: Path | None = None, **options: object) -> Map:
    return draw_map(source, map_parameters("pca"), by=by, out=out, **options)  # type: ignore[arg-type]


def script_data(html: str) -> dict[str, object]:
    """The data of a page's map."""
    match = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert match is not None
    document = json.loads(match[1])
    assert isinstance(document, dict)
    return document


def test_images_without_labels_have_one_colour(
    photos: tuple[Source, Numbers], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "featx")
    one = drawn(photos[0], out=tmp_path)
    assert one.to_json()["silhouette"] == {"features": None, "map": None}
    assert "The images have no labels, so all have one colour." in caplog.text
    assert (one.notes[-1], one.title) == (caplog.messages[-1], "photos: backbone features, all images")
    axes = one.draw()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"images ({N})"]  # type: ignore[union-attr]
    html = next(path for path in one.files if path.suffix == ".html").read_text("utf-8")
    assert f'<span class="featx-name">images</span> <span class="featx-count">{N}</span>' in html
    assert 'placeholder="file"' in html
    assert script_data(html)["by"] == ""
    assert {row["label"] for row in read_table(next(path for path in one.files if path.suffix == ".csv"))} == {""}


def test_clusters_colour_a_map_and_placed_images_get_the_nearest(
    photos: tuple[Source, Numbers], tmp_path: Path
) -> None:
    source, numbers = photos
    some = source.take(np.arange(0, N, 4))
    one = drawn(source, "cluster", tmp_path, added=[some])
    found = [category.removeprefix("cluster ") for category in one.points.categories]
    assert adjusted_rand_score(numbers, found[:N]) == 1
    assert [found[:N].count(name) for name in "123"] == list(SIZES)
    assert found[N:] == [found[i] for i in range(0, N, 4)]
    rows = read_table(next(path for path in one.files if path.suffix == ".csv"))
    assert [row["cluster"] for row in rows] == found
    assert "3 clusters of k-means, stability 1.00" in one.notes[-1]
    assert one.silhouette["features"] is not None
    assert len(set(drawn(source, "cluster:5").points.categories)) == 5


def test_numbers_colour_a_map_with_a_bar(photos: tuple[Source, Numbers], tmp_path: Path) -> None:
    one = drawn(photos[0], "age", tmp_path)
    assert one.silhouette == {"features": None, "map": None}
    axes = one.draw()
    bar = next(ax for ax in axes.get_figure().axes if ax is not axes)  # type: ignore[union-attr]
    assert bar.get_ylabel() == "age"
    names = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert names == ["on the map (40)", "no value (5)"]
    data = map_data(one, "ages", "", None)
    assert list(Counter(data.labels)) != []
    for age, step in zip(one.points.categories, data.labels, strict=True):
        if age:
            low, high = map(float, step.split(" to "))
            assert low <= float(age) <= high
        else:
            assert step == ""
    shown = script_data(page(data))
    assert shown["values"] == [age or "no value" for age in one.points.categories]


def test_of_many_values_the_most_frequent_have_colours(photos: tuple[Source, Numbers]) -> None:
    one = drawn(photos[0], "site")
    few = one.points.colouring.few()
    assert few.looks is not None
    assert len(few.looks) == 21
    assert few.looks["others (10 values)"] == (GREY, "o")
    assert sum(value == "others (10 values)" for value in few.categories) == 10
    data = map_data(one, "sites", "", None)
    assert set(data.labels) == set(one.points.categories)
    assert "10 more" in page(data)


def test_one_of_several_labels_is_there_not_there_or_unknown(several: Source, tmp_path: Path) -> None:
    one = drawn(several, "label:square", tmp_path)
    targets = several.table.targets
    assert targets is not None
    for category, target in zip(one.points.categories, targets[:, 1], strict=True):
        assert category == ("" if math.isnan(target) else "there" if target else "not there")
    entries = [text.get_text() for text in one.draw().get_legend().get_texts()]  # type: ignore[union-attr]
    assert [entry.split(" (")[0] for entry in entries] == ["there", "not there", "unknown"]
    rows = read_table(next(path for path in one.files if path.suffix == ".csv"))
    assert {row["label:square"] for row in rows} == {"1", "0", ""}
    assert {row["label"] for row in rows} == {"round", "square", ""}
    html = next(path for path in one.files if path.suffix == ".html").read_text("utf-8")
    assert re.findall(r'<span class="featx-name">([^<]*)<', html) == ["there", "not there", "unknown"]


def test_several_labels_without_one_of_them_say_how_to_choose(
    several: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "featx")
    assert drawn(several).points.colouring.one
    assert "such as label:round" in caplog.text
    with pytest.raises(
        DataError, match="Expected a column 'label:oval' in the manifest of photos, found label:round"
    ):
        drawn(several, "label:oval")


def test_steps_of_long_numbers_have_names_of_their_own() -> None:
    days = tuple(20_200_101.0 + day for day in range(30))
    steps = Colouring("day", "day", tuple(map(str, days)), numbers=days).in_steps()
    assert steps.looks is not None
    assert len(steps.looks) > 4
    assert "20200105 to 20200110" in steps.looks


def test_groups_and_splits_colour_a_map(photos: tuple[Source, Numbers]) -> None:
    assert set(drawn(photos[0], "split").points.categories) == {"train"}
    table = replace(photos[0].table, groups=("patient", *(None,) * (N - 1)))
    assert set(drawn(replace(photos[0], table=table), "group").points.categories) == {"patient", ""}


def test_labels_have_the_colours_of_classes(tmp_path: Path) -> None:
    labels = ["a" if i % 2 else "b" for i in range(N)]
    source, _ = blob_source(tmp_path / "photos", SIZES, labels=labels)
    colouring = colouring_of(source, [], "label", 0)
    assert (colouring.looks, colouring.missing, colouring.note) == (None, "no label", "")
    assert colouring.few() is colouring.in_steps() is colouring
    axes = drawn(source).draw()
    shades = {tuple(part.get_facecolors()[0][:3]) for part in axes.collections}  # type: ignore[attr-defined]
    assert len(shades) == 2
    assert COLOURS[0] == "#0072B2"


def test_columns_of_numbers() -> None:
    many = [str(i / 2) for i in range(12)]
    assert numbers_of(many) == tuple(i / 2 for i in range(12))
    assert math.isnan((numbers_of([*many, ""]) or (0.0,))[-1])
    assert numbers_of(["1", "2", "3"] * 9) is None  # grades
    assert numbers_of([f"{i:03d}" for i in range(20)]) is None  # codes
    assert numbers_of([f"{i}_1" for i in range(20)]) is None
    assert numbers_of([*many, "old"]) is None
    assert numbers_of([*many, "inf"]) is None


def test_a_number_of_clusters_is_checked_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a number of clusters from 2"):
        visualize(tmp_path, by="cluster:few", out=tmp_path)


def test_predictions_of_several_labels_are_wrong_where_a_known_label_is(several: Source) -> None:
    targets = several.table.targets
    assert targets is not None
    shares = np.where(np.nan_to_num(targets) == 1, 0.9, 0.2)
    shares[5, 1] = 1 - shares[5, 1]  # a mistake
    shares[0, 1] = 0.8  # of a label that is not known
    # The head has its labels in another order than the data.
    head = Predicted(("square", "round"), shares[:, ::-1], ("fit",) * N, multilabel=True)
    of_run = replace(several, predicted=head)
    whole = drawn(of_run).points
    assert whole.wrong is not None
    assert np.flatnonzero(whole.wrong).tolist() == [5]
    assert whole.confidence is None
    assert whole.predicted == head.labels
    one = drawn(of_run, "label:square").points
    assert one.wrong == whole.wrong
    assert one.predicted == tuple("there" if share >= 0.5 else "not there" for share in shares[:, 1])
    assert one.confidence == pytest.approx(np.maximum(shares[:, 1], 1 - shares[:, 1]))
    other = drawn(of_run, "label:round").points
    assert other.wrong == (False,) * N
    assert "1 misclassified (ringed)" in page(map_data(drawn(of_run, "label:square"), "", "", None))


def test_a_column_without_values_colours_nothing(photos: tuple[Source, Numbers]) -> None:
    with pytest.raises(DataError, match=r"Expected values of group by which to colour the images of p.*, found none"):
        colouring_of(photos[0], [], "group", 0)
