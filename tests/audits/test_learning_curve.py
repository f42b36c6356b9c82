from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audit_data import audit_data_of
from numpy.typing import NDArray

from featx.audits.logistic.curve_points import CurvePoints, measure_points
from featx.audits.logistic.learning_curve import curve_of, examine_learning_curve
from featx.errors import DataError
from featx.pages import Page, Section, render
from featx.stats import wilson

NAMES = ("ill", "well")


def rows_of(n: int, distance: float = 2.2, width: int = 30, seed: int = 1) -> tuple[NDArray[np.float32], list[str]]:
    """Normal rows of two classes; the more of them, the better the direction between the classes is known."""
    y = np.arange(n) % 2
    X = np.random.default_rng(seed).normal(size=(n, width))
    X[:, 0] += distance * y
    return X.astype(np.float32), [NAMES[number] for number in y]


def law_points(sizes: list[float], accuracies: list[float], n: int = 2000) -> CurvePoints:
    """Points with exactly these accuracies."""
    correct = np.zeros((len(sizes), 1, n), bool)
    for place, accuracy in enumerate(accuracies):
        correct[place, 0, : round(accuracy * n)] = True
    return CurvePoints(np.array(sizes), correct, np.arange(n))


def test_the_forecast_holds_on_more_images_of_the_same_kind(tmp_path: Path) -> None:
    X, labels = rows_of(200)
    part = examine_learning_curve(audit_data_of(tmp_path, labels, X=X))
    assert part.sizes[-1] == 160
    assert list(part.sizes) == sorted(part.sizes)
    forecast = next(one for one in part.forecasts if one.per_class == 100)
    assert forecast.n == 400
    many, of_many = rows_of(400, seed=2)
    more = examine_learning_curve(audit_data_of(tmp_path, of_many, X=many))
    assert forecast.interval[0] <= more.now.accuracy <= forecast.interval[1]
    assert part.accuracies[-1] > part.accuracies[0] + 0.1
    assert forecast.gain > 0


def test_json_table_and_section(tmp_path: Path) -> None:
    X, labels = rows_of(120)
    data = audit_data_of(tmp_path, labels, X=X)
    part = examine_learning_curve(data)
    document = part.to_json()
    assert set(document) == {"sizes", "accuracy", "interval", "fit", "now", "forecast", "verdict"}
    assert [one["per_class"] for one in document["forecast"]] == [20, 50, 100]
    assert len(document["sizes"]) == len(document["accuracy"]) == len(document["interval"]) == 7
    header, rows = part.table()
    assert len(rows) == 7 + 1 + 3
    assert all(len(row) == len(header) for row in rows)
    page = render(Page("t", part.summary(), (Section("s", "s", part.blocks(data, "s-")),), ()))
    assert "<svg" in page
    assert part.alarms() == ()


@pytest.mark.parametrize(
    ("accuracies", "verdict", "words"),
    [
        ([0.70, 0.78, 0.84, 0.88, 0.91], "rises", "Another 200 per class would give about 9"),
        ([0.80, 0.88, 0.90, 0.90, 0.90], "little more", "would change little"),
    ],
)
def test_the_verdict_follows_the_curve(accuracies: list[float], verdict: str, words: str) -> None:
    points = law_points([25, 50, 100, 200, 400], accuracies)
    curve = curve_of(points, np.arange(400) % 2, 0)
    assert curve.verdict == verdict
    assert words in curve.summary()[1]


def test_few_images_whose_accuracy_does_not_rise_tell_nothing() -> None:
    curve = curve_of(law_points([10, 20, 40], [0.6, 0.7, 0.65], n=40), np.arange(40) % 2, 0)
    assert curve.verdict == "cannot tell"
    assert "too few" in curve.summary()[1]


def test_images_that_are_all_right_still_have_an_interval() -> None:
    curve = curve_of(law_points([10, 20, 40], [1.0, 1.0, 1.0], n=40), np.arange(40) % 2, 0)
    assert curve.intervals[-1] == pytest.approx(wilson(40, 40))
    assert curve.forecasts[0].interval[0] == pytest.approx(wilson(40, 40)[0])
    assert curve.verdict == "little more"


def test_images_of_a_group_make_intervals_wider() -> None:
    single = law_points([10, 20, 40], [0.6, 0.7, 0.8], n=200)
    grouped = CurvePoints(single.sizes, single.correct, np.arange(200) // 10)
    narrow, wide = single.interval(2, 0.8), grouped.interval(2, 0.8)
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])
    assert np.std(grouped.samples(0)[:, 2]) > 1.5 * np.std(single.samples(0)[:, 2])


def test_groups_stay_whole_and_classes_keep_their_shares() -> None:
    generator = np.random.default_rng(5)
    groups = np.arange(240) // 4
    y = (groups % 3 == 0).astype(np.int64)  # one group in three
    X = generator.normal(size=(60, 30))[groups].astype(np.float32)  # rows tell the group and nothing else
    points = measure_points(X, y, groups, ("a", "b"), 0.1, 2, 0)
    assert 192 - 8 <= points.sizes[-1] <= 192 + 8
    # With groups cut into pieces, labels of a group's other images would be known.
    assert points.accuracies[-1] < 0.75


def test_an_uneven_mix_is_said(tmp_path: Path) -> None:
    X, _ = rows_of(150)
    labels = ["ill" if i % 5 == 0 else "well" for i in range(150)]
    part = examine_learning_curve(audit_data_of(tmp_path, labels, X=X))
    assert not part.balanced
    assert "in the same mix of classes" in part.summary()[1]


def test_too_few_images_or_several_labels_are_refused(tmp_path: Path) -> None:
    X, labels = rows_of(12)
    with pytest.raises(DataError, match=r"at least 8 groups .* ill \(6\)"):
        examine_learning_curve(audit_data_of(tmp_path, labels, X=X))
    targets = np.zeros((12, 2), np.float32)
    several = audit_data_of(tmp_path, [None] * 12, X=X, targets=targets, label_names=("a", "b"))
    with pytest.raises(DataError, match="one label"):
        examine_learning_curve(several)
