"""How often a report reads what it is about."""

from __future__ import annotations

import builtins
import io
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from report_pages import read_json

from featx.classifiers import compare_source
from featx.reports.reporting import report
from featx.runs import FitResult
from featx.store import RowKey, Rows, Space

FILES = ("manifest.json", "recipe.toml", "metrics.json", "history.csv", "predictions.csv")


def test_a_report_reads_each_file_and_the_rows_of_each_layer_once(
    fitted: FitResult, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(compare_source, classifiers=["logreg", "pixels"], folds=2, repeats=1)
    monkeypatch.setattr("featx.reports.classifiers.compare_source", few)
    opened, read = Counter[str](), Counter[str]()
    open_file, rows_of = io.open, Space.rows

    def counted_open(file: Any, *args: Any, **kwargs: Any) -> Any:
        if Path(str(file)).parent == fitted.run:
            opened[Path(str(file)).name] += 1
        return open_file(file, *args, **kwargs)

    def counted_rows(space: Space, keys: list[RowKey]) -> Rows:
        read[space.id] += 1
        return rows_of(space, keys)

    monkeypatch.setattr(io, "open", counted_open)
    monkeypatch.setattr(builtins, "open", counted_open)
    monkeypatch.setattr(Space, "rows", counted_rows)
    written = report(fitted.run, out=tmp_path / "page.html", cache=cache)
    assert written.left_out == {}
    assert opened == dict.fromkeys(FILES, 1)
    manifest = read_json(fitted.run / "manifest.json")
    layers = {manifest["features"]["feature_set"], manifest["head"]["penultimate"]["feature_set"]}
    assert layers <= read.keys()
    assert set(read.values()) == {1}
