from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx import files as cache_files
from featx.errors import StoreError
from featx.store.documents import load_document, save_document, space_id
from featx.store.store import Store


# When this changes, so must the schema number.
def test_space_id_is_fixed() -> None:
    assert space_id({"b": [1, 2.5, None], "a": {"y": True, "x": "é"}}) == "9a902c78771e11fecad54e7f497750fe"
    assert space_id({"a": {"x": "é", "y": True}, "b": [1, 2.5, None]}) == "9a902c78771e11fecad54e7f497750fe"
    assert cache_files.SCHEMA == 1


@pytest.mark.parametrize("value", [float("nan"), np.float32(1), {1, 2}, "\ud800"])
def test_a_description_must_be_json(tmp_path: Path, value: Any) -> None:
    with pytest.raises(StoreError, match="plain JSON"):
        Store(tmp_path).space({"a": value})


def test_documents_come_back_and_damage_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    document = {"mean": [0.1, 2.5e-8], "über": {"n": 3}}
    save_document(tmp_path, "statistics", "ab-1.0", document)
    path = tmp_path / "statistics" / "ab-1.0.json"
    good = path.read_text(encoding="utf-8")
    assert load_document(tmp_path, "statistics", "ab-1.0") == document
    for text in ("", "[]", "{}", good[:-3], good.replace("2.5e-08", "2.6e-08"), good.replace("3", "NaN")):
        caplog.clear()
        path.write_text(text, encoding="utf-8")
        assert load_document(tmp_path, "statistics", "ab-1.0") is None
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
    save_document(tmp_path, "statistics", "ab-1.0", document)
    assert load_document(tmp_path, "statistics", "ab-1.0") == document
    assert load_document(tmp_path, "statistics", "other") is None


@pytest.mark.parametrize(("kind", "key"), [("features", "a"), ("..", "a"), ("a/b", "a"), ("a", "../a"), ("a", "")])
def test_a_document_stays_in_its_folder(tmp_path: Path, kind: str, key: str) -> None:
    with pytest.raises(StoreError, match="plain names"):
        save_document(tmp_path, kind, key, {})
