from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.audits import AuditData, AuditOptions
from featx.audits.probabilities.calibration import CalibrationPart, examine_calibration
from featx.errors import DataError
from featx.features import FeatureTable, default_recipe
from featx.pages import Table
from featx.runs import Predicted, Source
from featx.stats import GroupedShare
from featx.store import Store

CLASSES = ("covid", "normal", "virus")


def run_data(
    tmp_path: Path,
    power: float,
    *,
    roles: tuple[tuple[str, int], ...] = (("validation", 200), ("test", 400)),
    classes: tuple[str, ...] = CLASSES,
    size: int = 1,
    **options: Any,
) -> AuditData:
    """A run whose head is calibrated but for a power of its probabilities; patients have `size` equal images."""
    generator = np.random.default_rng(0)
    n = sum(number for _, number in roles)
    z = 1.5 * generator.normal(size=(n // size, len(classes)))
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = np.repeat((generator.random(len(P))[:, None] > P.cumsum(axis=1)).sum(axis=1), size)
    P = np.repeat(P**power / (P**power).sum(axis=1, keepdims=True), size, axis=0)
    role = tuple(name for name, number in roles for _ in range(number))
    digests = tuple(f"{number:064x}" for number in range(n))
    table = FeatureTable(
        generator.normal(size=(n, 4)).astype(np.float32),
        ids=digests,
        labels=tuple(classes[number] for number in y),
        splits=tuple("test" if name == "test" else "train" for name in role),
        groups=tuple(f"patient {number // size}" for number in range(n)),
        digests=digests,
        views=(0,) * n,
    )
    source = Source(
        "run", "backbone", "0" * 32, table, tuple(map(Path, digests)), predicted=Predicted(classes, P, role)
    )
    return AuditData(source, default_recipe("efficientnetlite0"), Store(tmp_path), options=AuditOptions(**options))


def test_a_head_that_is_too_sure_is_an_alarm_and_the_temperature_mends_it(tmp_path: Path) -> None:
    part = examine_calibration(run_data(tmp_path, 3.0))
    assert part.subject.temperature.temperature == pytest.approx(3.0, rel=0.15)
    assert part.before.ece > 0.15 > 0.08 > part.after.ece
    assert part.after.log_loss < part.before.log_loss
    (alarm,) = part.alarms()
    assert "surer than it is right" in alarm
    assert f"{part.before.confidence:.2f}" in alarm


def test_a_calibrated_head_is_none(tmp_path: Path) -> None:
    part = examine_calibration(run_data(tmp_path, 1.0))
    assert part.alarms() == ()
    assert part.before.p_value > 0.05
    assert part.subject.temperature.temperature == pytest.approx(1.0, abs=0.2)
    assert "chance alone" in part.summary()[0]


def test_a_few_patients_with_many_images_each_raise_no_alarm(tmp_path: Path) -> None:
    roles = (("validation", 200), ("test", 200))
    alone = examine_calibration(run_data(tmp_path, 1.4, roles=roles))
    together = examine_calibration(run_data(tmp_path, 1.4, roles=roles, size=20))
    assert together.accuracy.groups == 10
    assert alone.accuracy.groups is None
    assert together.alarms() == ()
    low, high = together.accuracy.interval
    assert high - low > 2 * (alone.accuracy.interval[1] - alone.accuracy.interval[0])


def test_prediction_sets_keep_their_promise_on_the_test_images(tmp_path: Path) -> None:
    part = examine_calibration(run_data(tmp_path, 3.0, coverage=0.8))
    sets = part.sets
    assert sets is not None
    assert (sets.crossed, sets.calibrated_on, sets.calibrated_groups) == (False, 200, 200)
    assert sets.covered.share == pytest.approx(0.8, abs=0.08)
    assert 1 <= sets.mean_size < 3


def test_without_test_images_folds_of_the_validation_images_are_used(tmp_path: Path) -> None:
    part = examine_calibration(run_data(tmp_path, 3.0, roles=(("fit", 20), ("validation", 300)), size=2))
    assert part.subject.on == "validation images"
    assert part.before.n == 300
    assert part.sets is not None
    assert part.sets.crossed
    fold, groups = part.subject.fold, part.subject.scored.groups
    assert all(len(set(fold[groups == number])) == 1 for number in np.unique(groups))
    assert part.after.ece < part.before.ece
    assert "the other folds" in part.summary()[1]
    with pytest.raises(DataError, match="training images only"):
        examine_calibration(run_data(tmp_path, 3.0, roles=(("fit", 20),)))


def test_data_without_a_run_has_out_of_fold_probabilities_and_no_alarm(tmp_path: Path) -> None:
    data = run_data(tmp_path, 1.0, roles=(("fit", 90), ("test", 10)))
    generator = np.random.default_rng(1)
    X = (generator.normal(size=(100, 4)) + np.repeat(data.y, 1)[:, None]).astype(np.float32)
    source = replace(data.source, predicted=None, table=replace(data.source.table, X=X))
    part = examine_calibration(replace(data, source=source))
    assert part.before.n == 90
    assert part.alarms() == ()
    assert part.sets is not None
    assert part.sets.covered.share > 0.75


def test_operating_points_of_two_classes_are_of_the_one_not_called_normal(tmp_path: Path) -> None:
    options: dict[str, Any] = {"specificity": 0.8, "sensitivity": 0.7, "prevalence": 0.05}
    data = run_data(tmp_path, 1.0, classes=("normal", "covid"), **options)
    (one,) = examine_calibration(data).points
    assert one.name == "covid"
    assert one.at_specificity.specificity.value >= 0.8
    assert one.at_sensitivity.sensitivity.value >= 0.7
    assert one.at_specificity.prevalence == 0.05
    chosen = run_data(tmp_path, 1.0, classes=("normal", "covid"), positive="normal")
    assert [point.name for point in examine_calibration(chosen).points] == ["normal"]


def test_deciding_on_fewer_images_is_more_accurate(tmp_path: Path) -> None:
    part = examine_calibration(run_data(tmp_path, 1.0))
    every, half = part.decided[0], next(row for row in part.decided if row.coverage == 0.5)
    assert every.share.n == 400
    assert half.share.n == 200
    assert half.share.share > every.share.share + 0.1


def test_sets_that_miss_their_promise_are_named_with_what_few_images_allow(tmp_path: Path) -> None:
    roles = (("validation", 40), ("test", 400))
    data = run_data(tmp_path, 1.0, roles=roles)
    sets = examine_calibration(data).sets
    assert sets is not None
    low, high = sets.by_chance() or (0.0, 0.0)
    # Quantiles of Beta(37, 4), by simulation.
    drawn = np.quantile(np.random.default_rng(0).beta(37, 4, 100_000), [0.025, 0.975])
    assert (low, high) == pytest.approx(tuple(drawn), abs=0.003)
    part = examine_calibration(data)
    missed = replace(part, sets=replace(sets, covered=GroupedShare(400, 328)))
    assert "less than promised. A threshold from only 40 validation images covers 79.6–97.2 %" in missed.summary()[-1]
    assert examine_calibration(run_data(tmp_path, 1.0, roles=roles, size=4)).sets.by_chance() is None  # type: ignore[union-attr]


def test_sets_of_all_classes_tell_nothing(tmp_path: Path) -> None:
    """Eight validation images cannot promise 90 %, so that no class can be left out of a set."""
    part = examine_calibration(run_data(tmp_path, 1.0, roles=(("validation", 8), ("test", 100))))
    assert part.sets is not None
    assert part.sets.covered.share == 1
    assert part.summary()[-1].endswith(
        "Each set holds all classes, so it tells nothing: a promise needs more images."
    )


def test_the_section_and_the_json_have_the_numbers(tmp_path: Path) -> None:
    data = run_data(tmp_path, 3.0, roles=(("validation", 60), ("test", 60)))
    part = examine_calibration(data)
    assert isinstance(part, CalibrationPart)
    document = part.to_json()
    assert {"ece", "expected_ece", "debiased_ece", "brier", "temperature", "after", "sets"} <= set(document)
    assert document["temperature"]["kept"] is False
    assert [one["class"] for one in document["operating_points"]] == list(CLASSES)
    blocks = part.blocks(data, "calibration-")
    tables = [block for block in blocks if isinstance(block, Table)]
    assert len(tables) == 4
    assert ("accuracy", f"{part.before.accuracy:.3f}", f"{part.after.accuracy:.3f}") in tables[0].rows
    header, rows = part.table() or ((), ())
    assert len(rows) == 6
    assert all(len(row) == len(header) for row in rows)


def test_the_order_of_the_images_changes_nothing(tmp_path: Path) -> None:
    data = run_data(tmp_path, 2.0, roles=(("validation", 60), ("test", 60)))
    reverse = replace(data, source=data.source.take(np.arange(120)[::-1]))
    one, other = (examine_calibration(some).to_json() for some in (data, reverse))
    assert one["temperature"] == pytest.approx(other["temperature"])
    assert one["ece"] == pytest.approx(other["ece"])
    assert one["operating_points"][0]["at_specificity"] == other["operating_points"][0]["at_specificity"]


def test_several_labels_are_examined_one_by_one(tmp_path: Path) -> None:
    data = run_data(tmp_path, 1.0, roles=(("validation", 100), ("test", 200)))
    generator = np.random.default_rng(3)
    z = 2 * generator.normal(size=(300, 3))
    targets: Any = (generator.random((300, 3)) < 1 / (1 + np.exp(-z))).astype(np.float32)
    targets[:50, 0] = np.nan
    predicted = replace(data.source.predicted, probabilities=1 / (1 + np.exp(-3 * z)), multilabel=True)  # type: ignore[type-var]
    table = replace(data.source.table, targets=targets, label_names=CLASSES, labels=(None,) * 300)
    part = examine_calibration(replace(data, source=replace(data.source, predicted=predicted, table=table)))
    assert part.subject.temperature.temperature == pytest.approx(3.0, rel=0.25)
    assert part.after.ece < part.before.ece
    assert (part.decided, part.sets, part.alarms()) == ((), None, ())
    assert [one.name for one in part.points] == list(CLASSES)
    assert len(part.blocks(data, "x-")) == 6
