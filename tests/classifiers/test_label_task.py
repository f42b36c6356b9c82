from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from label_data import LABELS, label_source
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from featx.classifiers import Comparison, compare_source, fit_winner, save_best, write_pictures, write_tables
from featx.classifiers.models import CLASSIFIERS
from featx.classifiers.winning import check_savable
from featx.errors import DataError, UntrustedError, UsageError
from featx.runs import Predicted, Source


@pytest.fixture(scope="module")
def source() -> Source:
    """A run's rows, whose head is certain and wrong about every fifth image."""
    source = label_source()
    shares = np.nan_to_num(np.asarray(source.table.targets), nan=0.5).astype(np.float64)
    shares[::5] = 1 - shares[::5]
    return replace(source, predicted=Predicted(LABELS, shares, ("fit",) * 120 + ("test",) * 60, multilabel=True))


@pytest.fixture(scope="module")
def compared(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    cache = tmp_path_factory.mktemp("cache")
    return compare_source(source, classifiers=["logreg", "svm-linear", "lda"], folds=3, repeats=1, cache=cache)


def test_each_label_is_as_scikit_learn_alone_has_it(compared: Comparison, source: Source) -> None:
    """One classifier for each label, on the training images where it is known, all standardised alike."""
    row, X, Y = compared.row("logreg"), source.table.X.astype(float), np.asarray(source.table.targets)
    assert row.test is not None
    assert row.test_probabilities is not None
    areas = []
    Z = StandardScaler().fit(X[:120]).transform(X)
    for number, label in enumerate(LABELS):
        known = np.isfinite(Y[:120, number])
        model = LogisticRegression(**row.parameters[label], tol=1e-5, max_iter=1000)
        shares = model.fit(Z[:120][known], Y[:120][known, number]).predict_proba(Z[120:])[:, 1]
        np.testing.assert_allclose(row.test_probabilities[:, number], shares, atol=1e-4)
        tested = np.isfinite(Y[120:, number])
        areas.append(roc_auc_score(Y[120:][tested, number], shares[tested]))
    assert row.test["roc_auc"].value == pytest.approx(np.mean(areas), abs=1e-4)
    assert [each.label for each in row.per_label] == list(LABELS)
    assert row.per_label[1].n == np.isfinite(Y[120:, 1]).sum()


def test_rows_are_ranked_by_their_mean_area(compared: Comparison) -> None:
    assert (compared.multilabel, compared.measure) == (True, "roc_auc")
    assert {row.name for row in compared.rows} == {"logreg", "svm-linear", "lda", "majority", "head"}
    means = [row.cv["roc_auc"].value for row in compared.rows if row.cv]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.85
    majority = compared.row("majority")
    assert majority.cv is not None
    assert (majority.cv["roc_auc"].value, majority.verdict) == (0.5, "worse")


def test_the_head_is_compared_on_the_test_images(compared: Comparison) -> None:
    head = compared.rows[-1]
    assert (head.name, head.cv) == ("head", None)
    assert (compared.tested, compared.correct(head)) == (60, 48)
    assert head.p_value_vs_best == head.test_p_value_vs_best
    assert head.p_value_vs_best is not None
    line = compared.to_json()["rows"][-1]
    assert line["test"]["n"] == 60
    assert line["test"]["auc"] == pytest.approx(0.8, abs=0.1)
    assert len(line["per_label"]) == 3


def test_results_do_not_depend_on_the_workers(compared: Comparison, source: Source, tmp_path: Path) -> None:
    again = compare_source(source, classifiers=["lda"], folds=3, repeats=1, jobs=1, cache=tmp_path)
    one, other = compared.row("lda").cv_probabilities, again.row("lda").cv_probabilities
    assert one is not None
    assert other is not None
    assert one.tolist() == other.tolist()


def test_tables_and_pictures(compared: Comparison, tmp_path: Path) -> None:
    (tmp_path / "confusion.png").write_bytes(b"of an earlier comparison")
    write_tables(compared, tmp_path)
    names = {path.name for path in write_pictures(compared, tmp_path)}
    assert names == {"comparison.png", "comparison.svg", "labels.png", "roc.png", "calibration.png"}
    assert not (tmp_path / "confusion.png").exists()
    tables = {}
    for name in ("comparison", "labels", "folds", "predictions"):
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            tables[name] = list(csv.DictReader(file))
    assert len(tables["labels"]) == 5 * 3
    assert tables["labels"][0]["images"] == "test"
    assert float(tables["comparison"][0]["cv_roc_auc"]) == pytest.approx(
        compared.rows[0].cv_mean("roc_auc"), abs=1e-5
    )
    assert {row["label:half"] for row in tables["predictions"]} == {"0", "1", ""}
    assert "common:C=" in next(row["parameters"] for row in tables["folds"] if row["classifier"] == "logreg")


def test_a_rare_label_is_left_out_aloud(tmp_path: Path) -> None:
    source = label_source(60, 0)
    targets = np.asarray(source.table.targets).copy()
    targets[:, 2] = 0
    targets[:2, 2] = 1
    rare = replace(source, table=replace(source.table, targets=targets))
    found = compare_source(rare, classifiers=["lda"], folds=3, repeats=1, cache=tmp_path)
    assert found.classes == ("common", "half")
    assert "rare (2 with, 58 without)" in found.notes[0]
    # Without test images, metrics by label are of the held-out ones.
    assert found.rows[0].test is None
    assert found.rows[0].per_label[0].n == 60
    targets[2:] = np.nan
    with pytest.raises(DataError, match="Expected a label that at least 3 groups of training images"):
        compare_source(rare, classifiers=["lda"], folds=3, repeats=1, cache=tmp_path)


def test_patients_stay_in_one_fold(tmp_path: Path) -> None:
    found = compare_source(label_source(120, 0, groups=3), classifiers=["lda"], folds=4, repeats=1, cache=tmp_path)
    of_patient: dict[str | None, set[int]] = {}
    for patient, fold in zip(found.train.table.groups, found.fold_of[0].tolist(), strict=True):
        of_patient.setdefault(patient, set()).add(fold)
    assert {len(folds) for folds in of_patient.values()} == {1}


def test_a_patient_on_both_sides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UntrustedError, match="is in both parts"):
        compare_source(label_source(119, 61, groups=3), classifiers=["lda"], folds=3, repeats=1, cache=tmp_path)


def test_several_labels_cannot_be_saved(compared: Comparison, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images with one label each to save a classifier"):
        save_best(compared, tmp_path / "saved")
    with pytest.raises(UsageError, match="images with several"):
        fit_winner(compared)
    with pytest.raises(UsageError, match="compare without --save-best"):
        check_savable(True, [CLASSIFIERS["logreg"]])
    assert not (tmp_path / "saved").exists()
