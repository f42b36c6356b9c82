from __future__ import annotations

from pathlib import Path

from label_data import label_manifest

from featx import audit

OTHERS = ("duplicates", "shortcuts", "columns", "subgroups", "calibration", "learning_curve")


def test_tables_of_an_earlier_audit_do_not_stay(tmp_path: Path) -> None:
    """A table that this audit did not make would be taken for one of its results."""
    data, out = label_manifest(tmp_path, train=30, test=0), tmp_path / "audit"
    audit(data, out=out, without=(*OTHERS, "label_doubts"), cache=tmp_path / "cache")
    assert (out / "atypical.csv").is_file()
    (out / "claim.md").write_text("mine", "utf-8")
    result = audit(data, out=out, without=[*OTHERS[1:], "label_doubts", "atypical"], cache=tmp_path / "cache")
    assert not (out / "atypical.csv").exists()
    assert (out / "claim.md").read_text("utf-8") == "mine"
    assert all(path.is_file() for path in result.files)
