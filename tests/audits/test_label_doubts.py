from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audit_data import audit_data_of
from numpy.typing import NDArray

from featx.audits import AuditData
from featx.audits.logistic.label_doubts import LabelDoubts, examine_label_doubts
from featx.errors import DataError
from featx.pages import Gallery, Page, Section, render

N = 240
NAMES = ("bird", "cat", "dog")
Y = np.arange(N) % 3
PLANTED = np.arange(0, N, 16)


def rows_of(y: NDArray[np.int64], distance: float, width: int = 20, seed: int = 1) -> NDArray[np.float64]:
    """Normal rows whose classes are so far apart."""
    generator = np.random.default_rng(seed)
    centres = np.eye(3, width) * distance
    return centres[y] + generator.normal(size=(len(y), width))


def with_labels(tmp_path: Path, X: NDArray[np.float64], y: NDArray[np.int64], **more: object) -> AuditData:
    data = audit_data_of(tmp_path, [NAMES[number] for number in y], X=X, **more)  # type: ignore[arg-type]
    source = replace(data.source, files=tuple(tmp_path / name for name in data.source.table.ids))
    return replace(data, source=source)


def section(part: LabelDoubts, data: AuditData) -> str:
    return render(Page("t", part.summary(), (Section("s", "s", part.blocks(data, "s-")),), ()))


def test_planted_wrong_labels_are_in_doubt_and_hardly_others(tmp_path: Path) -> None:
    given = Y.copy()
    given[PLANTED] = (Y[PLANTED] + 1) % 3
    data = with_labels(tmp_path, rows_of(Y, 6.0), given, splits=["test" if i % 5 == 0 else "train" for i in range(N)])
    part = examine_label_doubts(data)
    rows = [one.row for one in part.doubts]
    assert len(set(rows) & set(PLANTED.tolist())) >= len(PLANTED) - 1
    assert len(set(rows) - set(PLANTED.tolist())) <= 1
    first = part.doubts[0]
    assert (first.path, first.label) == (f"{first.row:04d}.png", NAMES[given[first.row]])
    assert first.suggested == NAMES[Y[first.row]]
    probabilities = [one.label_probability for one in part.doubts]
    assert probabilities == sorted(probabilities)
    (alarm,) = part.alarms()
    assert "of 240 labels" in alarm
    assert "strong doubt" in alarm


def test_doubts_are_columns_json_table_and_pictures(tmp_path: Path) -> None:
    given = Y.copy()
    given[PLANTED] = (Y[PLANTED] + 1) % 3
    data = with_labels(tmp_path, rows_of(Y, 6.0), given)
    part = examine_label_doubts(data)
    assert set(part.to_json()[0]) == {"path", "split", "label", "suggested", "probability", "label_probability"}
    columns = part.columns()
    assert len(columns["label_doubt"]) == N
    assert columns["label_doubt"][PLANTED[0]] > 0.9
    assert columns["label_suggested"][PLANTED[0]] == NAMES[Y[PLANTED[0]]]
    assert columns["label_doubt"][1] < 0.1
    assert columns["label_suggested"][1] is None
    header, rows = part.table()
    assert rows[0][header.index("label_probability")] == part.doubts[0].label_probability
    (gallery,) = [block for block in part.blocks(data, "s-") if isinstance(block, Gallery)]
    assert len(gallery.pictures) == len(part.doubts)
    assert gallery.pictures[0].title == f"labelled {part.doubts[0].label}, looks like {part.doubts[0].suggested}"
    assert "question to a reader" in section(part, data)


def test_right_labels_of_separate_classes_are_not_in_doubt(tmp_path: Path) -> None:
    data = with_labels(tmp_path, rows_of(Y, 6.0), Y)
    part = examine_label_doubts(data)
    assert part.doubts == ()
    assert part.alarms() == ()
    assert part.summary()[0].startswith("None of 240 labels is in doubt")
    assert section(part, data)


def test_classes_that_overlap_are_hard_images_and_no_alarm(tmp_path: Path) -> None:
    data = with_labels(tmp_path, rows_of(Y, 1.0), Y)
    part = examine_label_doubts(data)
    assert len(part.doubts) > 10
    assert part.alarms() == ()
    assert any("hardly tell apart" in sentence for sentence in part.summary())


def test_wrong_labels_of_a_whole_patient_do_not_support_each_other(tmp_path: Path) -> None:
    """Eight nearly equal images of one patient have the same wrong label: only whole groups in folds find them."""
    patient = np.arange(N) // 8
    true = patient % 3
    X = 2 * rows_of(true, 4.0, 80)[::8].repeat(8, axis=0) + 0.3 * rows_of(true, 0.0, 80, seed=2)
    given = true.copy()
    given[patient == 4] = (true[patient == 4] + 1) % 3
    groups = [f"patient {number}" for number in patient]
    found = examine_label_doubts(with_labels(tmp_path, X, given, groups=groups))
    assert {one.row for one in found.doubts} >= set(np.flatnonzero(patient == 4).tolist())
    alone = examine_label_doubts(with_labels(tmp_path, X, given))
    assert not {one.row for one in alone.doubts} & set(np.flatnonzero(patient == 4).tolist())


def test_images_without_a_label_are_not_examined(tmp_path: Path) -> None:
    data = audit_data_of(tmp_path, [None if i < 6 else NAMES[Y[i]] for i in range(N)], X=rows_of(Y, 6.0))
    part = examine_label_doubts(data)
    assert part.examined == N - 6
    assert part.columns()["label_doubt"][:6] == (None,) * 6


def test_a_class_of_two_images_is_refused(tmp_path: Path) -> None:
    labels = ["rare" if i < 2 else NAMES[Y[i]] for i in range(N)]
    with pytest.raises(DataError, match=r"at least 3 groups .* rare \(2\)"):
        examine_label_doubts(audit_data_of(tmp_path, labels, X=rows_of(Y, 6.0)))
    with pytest.raises(DataError, match="at least two classes"):
        examine_label_doubts(audit_data_of(tmp_path, ["one"] * N))


def test_of_several_labels_each_is_examined(tmp_path: Path) -> None:
    X = rows_of(Y, 6.0)
    true = np.column_stack([Y == 1, Y == 2, np.zeros(N)]).astype(np.float32)
    given = true.copy()
    given[PLANTED, 0] = 1 - given[PLANTED, 0]
    given[5:9, 1] = np.nan
    names = ("calm", "loud", "never")
    data = audit_data_of(tmp_path, [None] * N, X=X, targets=given, label_names=names)
    part = examine_label_doubts(data)
    calm = [one for one in part.doubts if one.label.startswith("calm")]
    assert {one.row for one in calm} >= set(PLANTED.tolist())
    assert len(calm) <= len(PLANTED) + 1
    row = next(one for one in calm if one.row == 0)
    assert (row.label, row.suggested) == ("calm: there", "calm: not there")
    assert part.left_out == ("never",)
    assert part.examined == 2 * N - 4
    assert part.columns()["label_doubt"][0] > 0.9
