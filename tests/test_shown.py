"""How results show themselves in Python and in notebooks: in one line, and as a small table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pipeline_data import small_data, small_recipe

import featx
from featx.frames import Shown, html_table
from featx.runs import FitResult

LONGEST = 400  # letters of a line


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    folder = tmp_path_factory.mktemp("shown")
    data = small_data(folder / "data", classes=2)
    return featx.fit_head(data, small_recipe(tiny_model), out=folder / "run", cache=folder / "cache")


def test_a_fit_shows_its_test_result_in_one_line(fitted: FitResult) -> None:
    line = repr(fitted)
    assert line.startswith("<FitResult: ")
    assert str(fitted.run) in line
    assert f"test {fitted.test}" in line
    assert len(line) < LONGEST
    assert "\n" not in line
    page = fitted._repr_html_()
    assert f"<td>{fitted.test}</td>" in page
    assert '<table class="dataframe">' in page


def test_an_extraction_shows_how_many_images_there_are_of_each_class(fitted: FitResult) -> None:
    extraction = fitted.extraction
    images, dim = len(extraction.images), extraction.dim
    assert f"{images} images" in repr(extraction)
    assert f"of {dim} features" in repr(extraction)
    assert len(repr(extraction)) < LONGEST
    page = extraction._repr_html_()
    assert "<th>class</th><th>train</th><th>test</th>" in page
    assert f"<td>{extraction.dataset.classes[0]}</td>" in page
    assert repr(extraction.table()) == f"<FeatureTable: {images} rows of {dim} features>"
    assert repr(extraction.dataset) == f"<Dataset: {images} images of data, 2 classes>"


def test_clusters_and_comparisons_show_their_table(fitted: FitResult) -> None:
    cache = fitted.extraction.store.root
    measured = featx.clusters(fitted.run, cache=cache, permutations=9)
    assert "classes by label, silhouette" in repr(measured)
    assert len(repr(measured)) < LONGEST
    assert "<td>silhouette</td>" in measured._repr_html_()
    compared = featx.compare(fitted.run, cache=cache, classifiers=["knn"], folds=2, repeats=1)
    assert re.search(
        r": \d classifiers on backbone features, best \w+ \(\S+ % in folds, \S+ % in the test\)>$", repr(compared)
    )
    assert len(repr(compared)) < LONGEST
    assert "<td>knn</td>" in compared._repr_html_()
    assert "<th>folds (95 %)</th>" in compared._repr_html_()


def test_a_map_shows_its_picture(fitted: FitResult) -> None:
    drawn = featx.visualize(fitted.run, method="pca", formats=[], cache=fitted.extraction.store.root)
    images = len(fitted.extraction.select("train"))
    assert repr(drawn).startswith(f"<Map: run: {images} images by PCA")
    assert len(repr(drawn)) < LONGEST
    assert '<img alt="" src="data:image/png;base64,iVBORw0KGgo' in drawn._repr_html_()


def test_html_is_escaped_and_left_out_where_there_are_no_rows() -> None:
    class Odd(Shown):
        def headline(self) -> str:
            return "<b> & co"

        def overview(self) -> tuple[list[str], list[list[str]]]:
            return ["<h>"], [["<script>"]]

    assert repr(Odd()) == "<Odd: <b> & co>"
    page = Odd()._repr_html_()
    assert page.startswith("<p>&lt;b&gt; &amp; co</p>")
    assert "<th>&lt;h&gt;</th>" in page
    assert "<td>&lt;script&gt;</td>" in page
    assert html_table(["a"], []) == ""
