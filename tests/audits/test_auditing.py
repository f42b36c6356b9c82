from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audit_data import audit_data_of

from featx import audit
from featx.audits import audit_sections, audit_source
from featx.audits.auditing import EXAMINATIONS
from featx.errors import UsageError
from featx.pages import Points

LEFT_OUT = ("duplicates", "shortcuts")


def test_a_reason_of_several_examinations_is_named_once(tmp_path: Path) -> None:
    result = audit_source(audit_data_of(tmp_path, [None] * 30), without=(*LEFT_OUT, "atypical"))
    reasons = result.reasons()
    assert len({reason for _, reason in reasons}) == len(reasons) < len(result.left_out)
    assert {name for names, _ in reasons for name in names.split(", ")} == {
        key.replace("_", " ") for key in result.left_out
    }
    (points,) = next(section.blocks for section in audit_sections(result) if section.title == "Not examined")
    assert isinstance(points, Points)
    assert "label doubts, subgroups" in points.items[0][0]


def test_images_without_labels_are_not_called_training_images(tmp_path: Path) -> None:
    result = audit_source(audit_data_of(tmp_path, [None] * 30), without=LEFT_OUT)
    assert " of 30 images " in result.part("atypical").summary()[0]
    split = audit_source(audit_data_of(tmp_path, [None] * 30, splits=["train"] * 25 + ["test"] * 5), without=LEFT_OUT)
    assert " of 25 training images " in split.part("atypical").summary()[0]


def test_of_several_labels_it_is_said_what_to_do(tmp_path: Path) -> None:
    targets = np.random.default_rng(0).integers(0, 2, (60, 2)).astype(np.float32)
    data = audit_data_of(
        tmp_path, [None] * 60, targets=targets, label_names=("a", "b"), extra={"site": ["north", "south"] * 30}
    )
    left_out = audit_source(data, without=(*LEFT_OUT, "label_doubts", "atypical", "columns")).left_out
    assert "fit a head and audit its run" in left_out["subgroups"]
    assert "fit a head and audit its run" in left_out["calibration"]


def test_an_audit_without_any_examination_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one examination"):
        audit(tmp_path, without=list(EXAMINATIONS), cache=tmp_path / "cache")
