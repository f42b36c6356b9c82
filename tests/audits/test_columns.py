from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit_data import audit_data_of
from numpy.typing import NDArray

from featx.audits.columns.columns import Columns, examine_columns
from featx.audits.columns.left_out_values import leave_values_out
from featx.audits.columns.values import ColumnValues, divide_column
from featx.audits.probes.standard import standard_rows
from featx.errors import DataError
from featx.pages import Page, Section, render

N = 160
Y = np.arange(N) % 2
LABELS = [("ill", "well")[number] for number in Y]


def features(seed: int = 0) -> NDArray[np.float64]:
    """The class is told by the first two of six features, hardly overlapping."""
    X = np.random.default_rng(seed).normal(size=(N, 6))
    X[:, :2] += 2 * Y[:, None]
    return X


def examined(tmp_path: Path, X: NDArray[Any], **columns: Any) -> Columns:
    return examine_columns(audit_data_of(tmp_path, LABELS, X=X, extra=columns))


def mostly(kind: NDArray[Any], share: float, seed: int = 5) -> NDArray[Any]:
    return np.where(np.random.default_rng(seed).random(N) < share, kind, 1 - kind)


def sites(numbers: NDArray[Any]) -> list[str]:
    return [("north", "south")[number] for number in numbers]


# --- what divides the images ---


def test_columns_of_words_are_divided_by_value_and_rare_ones_are_pooled() -> None:
    column = divide_column("site", ["b"] * 8 + ["a"] * 7 + ["c", "d", "c", "d", "e"] + [None, "", "NaN"])
    assert isinstance(column, ColumnValues)
    assert column.values == ("a", "b", "others")
    assert np.bincount(column.number + 1).tolist() == [3, 7, 8, 5]
    assert (column.pooled, column.missing) == (("c", "d", "e"), 3)


def test_columns_of_numbers_are_divided_into_thirds() -> None:
    column = divide_column("age", [str(number) for number in range(1, 31)] + [""])
    assert isinstance(column, ColumnValues)
    assert column.values == ("up to 10", "over 10 to 20", "over 20")
    assert np.bincount(column.number[:-1]).tolist() == [10, 10, 10]
    most = divide_column("age", [90] * 60 + list(range(1, 9)) + [8, 8])
    assert isinstance(most, ColumnValues)
    assert most.values == ("up to 8", "over 8")
    assert np.bincount(most.number).tolist() == [10, 60]
    few = divide_column("grade", [1, 2, 3] * 9)
    assert isinstance(few, ColumnValues)
    assert few.values == ("1", "2", "3")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([f"scan-{number}" for number in range(40)], "nearly every image has a value of its own"),
        (["x"] * 30, "all images have the same value"),
        ([None] * 30, "it is empty"),
        (["x"] * 30 + ["y"] * 3, "fewer than two of its values have 5 or more images"),
    ],
)
def test_other_columns_divide_nothing(cells: list[Any], reason: str) -> None:
    assert divide_column("c", cells) == reason


# --- what they have to do with the class and the features ---


def test_a_column_that_is_the_class_cannot_be_separated_from_it(tmp_path: Path) -> None:
    part = examined(tmp_path, features(), site=sites(Y))
    (sentence,) = part.alarms()
    assert "site and the class go together (Cramér's V 1.00): no statistic can separate the two here" in sentence
    assert "site north has ill; site south has well" in sentence
    assert part.to_json()[0]["auc"] is None


def test_a_column_that_goes_with_the_class_and_is_told_is_an_alarm(tmp_path: Path) -> None:
    site = mostly(Y, 0.8)
    X = features()
    X[:, 5] += 3 * site
    part = examined(tmp_path, X, site=sites(site))
    (document,) = part.to_json()
    assert list(document)[:3] == ["column", "cramers_v", "auc"]
    assert 0.4 < document["cramers_v"] < 0.8
    assert document["auc"] > 0.9
    assert document["alarm"]
    assert "among images of the same class with AUC 0.9" in part.alarms()[0]


def test_neither_alone_is_an_alarm(tmp_path: Path) -> None:
    """A scanner that is told but has both classes alike; a column that goes with the class but cannot be told."""
    scanner, sex = mostly(np.arange(N) // 2 % 2, 1), mostly(Y, 0.8)
    X = features()
    X[:, 5] += 3 * scanner
    part = examined(tmp_path, X, scanner=sites(scanner), sex=sites(sex))
    told, untold = part.to_json()
    assert told["cramers_v"] < 0.2
    assert told["auc"] > 0.9
    assert untold["cramers_v"] > 0.4
    assert untold["corrected_p"] > 0.05
    assert part.alarms() == ()
    assert "The features tell, among images of the same class: scanner" in part.summary()[1]


def test_a_column_of_numbers_is_told_by_its_upper_half(tmp_path: Path) -> None:
    age = np.random.default_rng(8).uniform(20, 90, N).round(1)
    X = features()
    X[:, 4] = age / 10
    (document,) = examined(tmp_path, X, age=age.tolist()).to_json()
    assert document["value"] == "above the median"
    assert document["auc"] > 0.9
    assert document["cramers_v"] < 0.3


def test_a_value_that_was_not_trained_on_is_classified_worse(tmp_path: Path) -> None:
    """In the north the features say the class; in the south the other way round, and one feature tells the site."""
    site = np.arange(N) // 2 % 2
    X = features()
    X[:, :2] = np.where(site[:, None] == 1, -X[:, :2], X[:, :2])
    X[:, 5] += 6 * site
    part = examined(tmp_path, X, site=sites(site))
    for left in part.results[0].left_out:
        assert left.worse
        assert left.mixed.accuracy is not None
        assert left.without.accuracy is not None
        assert left.without.accuracy + 0.3 < left.mixed.accuracy
    assert "Without images of site north in training" in part.alarms()[0]


def test_a_value_that_is_like_the_others_is_not() -> None:
    column = divide_column("site", sites(np.arange(N) // 2 % 2))
    assert isinstance(column, ColumnValues)
    results = leave_values_out(standard_rows(features().astype(np.float32)), Y, column, np.arange(N), 0)
    assert [one.value for one in results] == ["north", "south"]
    assert not any(one.worse for one in results)
    assert all(one.without.n == N // 2 for one in results)


def test_groups_with_two_values_do_not_take_part() -> None:
    """Else images of the patient that is tested were trained on."""
    site = np.arange(N) // 2 % 2
    column = divide_column("site", sites(site))
    assert isinstance(column, ColumnValues)
    groups = np.r_[np.zeros(20, np.int64), np.arange(1, N - 19)]
    results = leave_values_out(standard_rows(features().astype(np.float32)), Y, column, groups, 0)
    assert sum(one.without.n for one in results) == N - 20


def test_of_several_labels_the_one_that_goes_with_the_column_is_named(tmp_path: Path) -> None:
    targets = np.stack([np.arange(N) // 2 % 2, Y], axis=1).astype(np.float32)
    data = audit_data_of(
        tmp_path,
        [None] * N,
        X=features(),
        extra={"site": sites(Y)},
        targets=targets,
        label_names=("effusion", "mass"),
    )
    (document,) = examine_columns(data).to_json()
    assert (document["label"], document["alarm"]) == ("mass", True)


def test_the_page_shows_every_column(tmp_path: Path) -> None:
    data = audit_data_of(
        tmp_path, LABELS, X=features(), extra={"site": sites(Y), "sex": sites(mostly(Y, 0.5)), "file": range(N)}
    )
    part = examine_columns(data)
    text = render(Page("t", part.summary(), (Section("c", "c", part.blocks(data, "c-")),), ()))
    assert "site !" in text
    assert "sex" in text


def test_without_columns_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none in images; add them"):
        examined(tmp_path, features())
    with pytest.raises(DataError, match="file: nearly every image"):
        examined(tmp_path, features(), file=[f"scan-{number}" for number in range(N)])


# --- classes that have a value of their own ---


def hospitals(n: int, groups: int = 1) -> tuple[list[str], dict[str, list[str]]]:
    """Labels of four classes, of which `c` has a hospital of its own and the others share two; a value per group."""
    labels = [("a", "b", "c", "d")[number // groups % 4] for number in range(n)]
    names = [
        "north" if labels[number] == "c" else ("south", "west")[number // groups // 4 % 2] for number in range(n)
    ]
    return labels, {"hospital": names}


def test_a_class_with_a_hospital_of_its_own_is_an_alarm_though_other_classes_share_hospitals(tmp_path: Path) -> None:
    labels, extra = hospitals(N)
    part = examine_columns(audit_data_of(tmp_path, labels, X=features(), extra=extra))
    (document,) = part.to_json()
    assert document["cramers_v"] < 0.8
    assert document["separated"] == [["a", "c"], ["b", "c"], ["c", "d"]]
    (sentence,) = part.alarms()
    assert sentence.startswith("hospital separates c from a, b and d: ")
    assert "hospital north has c" in sentence
    assert part.summary()[0] == "hospital may explain the class."


def test_classes_of_few_groups_are_not_called_separated(tmp_path: Path) -> None:
    """Seven patients of each class: too few to say that a hospital is the class."""
    labels, extra = hospitals(84, groups=3)
    groups = [str(number // 3) for number in range(84)]
    data = audit_data_of(tmp_path, labels, X=features()[:84], extra=extra, groups=groups)
    assert examine_columns(data).to_json()[0]["separated"] == []
    more, extra = hospitals(96, groups=3)
    data = audit_data_of(
        tmp_path, more, X=features()[:96], extra=extra, groups=[str(number // 3) for number in range(96)]
    )
    assert len(examine_columns(data).to_json()[0]["separated"]) == 3
