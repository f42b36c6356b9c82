from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit_data import audit_data_of
from numpy.typing import NDArray

from featx.audits import subgroup_scores
from featx.audits.columns.subgroups import Subgroups, examine_subgroups
from featx.errors import DataError
from featx.pages import Page, Section, render
from featx.runs import Predicted
from featx.stats import wilson

N = 120
Y = np.arange(N) % 2
LABELS = [("ill", "well")[number] for number in Y]
SITE = np.arange(N) // 2 % 2
SITES = [("north", "south")[number] for number in SITE]


def run_part(
    tmp_path: Path, correct: NDArray[Any], roles: tuple[str, ...] = ("test",) * N, **extra: Any
) -> Subgroups:
    P = np.full((N, 2), 0.1)
    P[np.arange(N), np.where(correct, Y, 1 - Y)] = 0.9
    predicted = Predicted(("ill", "well"), P, roles)
    data = audit_data_of(tmp_path, LABELS, extra=extra, predicted=predicted)
    part = examine_subgroups(data)
    render(Page("t", part.summary(), (Section("s", "s", part.blocks(data, "s-")),), ()))
    return part


def test_scores_by_value_and_the_worst_of_them() -> None:
    correct = (SITE == 0) | (np.arange(N) % 3 == 0)
    (column,) = subgroup_scores(correct, {"site": SITES, "file": [f"f{i}" for i in range(N)]})
    north, south = column.subgroups
    assert (north.score.n, north.score.correct) == (60, 60)
    assert (south.score.n, south.score.correct) == (60, 20)
    assert south.score.interval == wilson(20, 60)
    assert column.worst is south
    assert column.differs
    assert column.to_json()["worst"] == "south"
    assert column.to_json()["subgroups"][1]["correct"] == 20


def test_groups_make_intervals_wider_and_differences_rarer() -> None:
    """All images of a patient are right, or all are wrong: four patients a site show no difference."""
    patient = np.arange(N) // 15
    site = ["north" if number < 4 else "south" for number in patient]
    correct = np.isin(patient, [0, 1, 2, 4])
    (alone,) = subgroup_scores(correct, {"site": site})
    (grouped,) = subgroup_scores(correct, {"site": site}, patient)
    assert alone.differs
    assert not grouped.differs
    assert grouped.subgroups[0].score.groups == 4
    wide, narrow = (one.subgroups[0].score.interval for one in (grouped, alone))
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_a_harder_class_is_no_difference_between_values_of_the_same_class() -> None:
    correct = (Y == 0) | (np.arange(N) % 3 == 0)
    columns = {"site": [("north", "south")[number] for number in np.where(np.arange(N) % 10 < 8, Y, 1 - Y)]}
    assert subgroup_scores(correct, columns)[0].differs
    assert not subgroup_scores(correct, columns, classes=Y)[0].differs


def test_equal_accuracy_is_rarely_called_different() -> None:
    generator = np.random.default_rng(0)
    drawn = [subgroup_scores(generator.random(N) < 0.8, {"site": SITES}, classes=Y)[0].p_value for _ in range(60)]
    assert np.mean(np.array(drawn) < 0.05) < 0.15
    assert 0.3 < np.mean(drawn) < 0.7


def test_p_values_are_corrected_for_the_columns() -> None:
    correct = (SITE == 0) | (np.arange(N) % 2 == 0)
    columns: dict[str, list[Any]] = {
        "site": SITES,
        "a": [number % 3 for number in range(N)],
        "b": [number // 40 for number in range(N)],
    }
    site, *_ = subgroup_scores(correct, columns)
    assert site.corrected_p == pytest.approx(3 * site.p_value)


def test_of_a_run_the_test_images_are_compared(tmp_path: Path) -> None:
    roles = ("fit",) * 40 + ("test",) * 80
    part = run_part(tmp_path, (np.arange(N) < 40) | (SITE == 0), roles, site=SITES)
    assert part.score.n == 80
    assert part.on == "the head on test images"
    (sentence,) = part.alarms()
    assert "0.0 %" in sentence
    assert "for south and 100.0 %" in sentence
    assert part.to_json()[0]["differs"]
    assert run_part(tmp_path, np.arange(N) % 5 > 0, site=SITES).alarms() == ()


def test_of_data_predictions_are_out_of_fold(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(N, 4))
    X[:, 0] += 8 * Y
    part = examine_subgroups(audit_data_of(tmp_path, LABELS, X=X, extra={"site": SITES}))
    assert part.score.correct == N
    assert part.alarms() == ()
    assert "out-of-fold" in part.summary()[0]


def test_what_is_needed_is_said(tmp_path: Path) -> None:
    right = np.ones(N, bool)
    with pytest.raises(DataError, match="found none in images; add them"):
        run_part(tmp_path, right)
    with pytest.raises(DataError, match="site: all images have the same value"):
        run_part(tmp_path, right, site=["north"] * N)
    with pytest.raises(DataError, match="found training images only"):
        run_part(tmp_path, right, ("fit",) * N, site=SITES)
