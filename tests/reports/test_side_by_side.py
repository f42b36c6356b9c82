"""Reports of several runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from html_page import read_page
from report_pages import CLASSES, SLOW, edited, section_ids, three_digits
from scipy.stats import binomtest
from sklearn.metrics import silhouette_score

from featx.reports.reporting import report
from featx.runs import FitResult

pytestmark = pytest.mark.slow


def test_several_runs_are_compared(root: Path, cache: Path, fitted: FitResult, brief: FitResult) -> None:
    without = ["audit", "clusters", "comparison"]
    written = report(fitted.run, brief.run, out=root / "both.html", without=without, cache=cache)
    page = read_page(written.file)
    assert section_ids(page, 2) == ["models", "data", "run1-run", "run2-run", "limits"]
    assert section_ids(page, 3)[:3] == ["run1-results", "run1-errors", "run1-maps"]
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    models = page.id("models")
    for row, fit in zip(models.table("Accuracy on each")[1:], (fitted, brief), strict=True):
        assert row[:2] == [fit.run.name, f"{fit.test.correct}/12"]
    for row, fit in zip(models.table("Parameters")[1:], (fitted, brief), strict=True):
        assert row[3:] == [f"{fit.parameters[name]:,}" for name in ("trainable", "non_trainable", "total")]
    assert [row[2] for row in models.table("Training")[1:]] == ["4", "1"]
    table = fitted.extraction.table("train")
    silhouette = three_digits(silhouette_score(table.X, table.labels))
    assert [row[1] for row in models.table("Separation")[1:]] == [silhouette, silhouette]
    # The thumbnails of the same images are there once.
    assert len(re.findall(r"\{background-image:url\(", written.file.read_text("utf-8"))) == 1


def test_pairs_of_runs_are_tested_on_the_images_that_both_have(fitted: FitResult, tmp_path: Path) -> None:
    """One run is right for all 12, the other for 6 only: McNemar's exact p is 2 / 2^6."""

    def right(row: dict[str, str]) -> None:
        row["predicted"] = row["label"]

    def half_right(row: dict[str, str]) -> None:
        row["predicted"] = row["label"] if row["label"] in CLASSES[:2] else "covid"

    one = edited(fitted.run, tmp_path / "one", right)
    two = edited(fitted.run, tmp_path / "two", half_right)
    three = edited(fitted.run, tmp_path / "three", lambda row: row.update(sha256=row["sha256"][::-1]))
    page = read_page(report(one, two, three, out=tmp_path / "page.html", without=SLOW).file)
    rows = page.id("models").table("Pairs")[1:]
    assert binomtest(6, 6).pvalue == 2 / 2**6
    assert rows[0] == ["one – two", "12", "6", "0", "+50.0 (+13.6 to +74.6)", "0.031", "distinguishable"]
    assert rows[1] == ["one – three", "0", "–", "–", "–", "–", "no test image in common"]
    four = edited(two, tmp_path / "four", half_right)
    again = read_page(report(two, four, out=tmp_path / "b.html", without=SLOW).file)
    assert again.id("models").table("Pairs")[1][1:5] == ["12", "0", "0", "0.0 (\N{MINUS SIGN}24.2 to +24.2)"]
