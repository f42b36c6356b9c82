"""Results as data frames, with pandas and without."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pipeline_data import read_table, small_data, small_recipe

import featx
from featx.errors import UsageError
from featx.features import FeatureTable
from featx.frames import frame
from featx.runs import FitResult


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    folder = tmp_path_factory.mktemp("fitted")
    data = small_data(folder / "data", classes=2)
    return featx.fit_head(data, small_recipe(tiny_model), out=folder / "run", cache=folder / "cache")


def test_columns_keep_their_order_and_types() -> None:
    found = frame({"b": ["x", None], "a": (1, 2), "c": list(np.array([0.5, 1.5], np.float32))})
    assert found.columns.tolist() == ["b", "a", "c"]
    assert found["a"].tolist() == [1, 2]
    assert found["b"].isna().tolist() == [False, True]
    assert found["c"].dtype == np.float32


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # makes the import fail
    with pytest.raises(UsageError, match=r"pip install 'featx\[pandas\]'"):
        frame({"a": [1]})


def test_features_with_what_is_known_of_each_image() -> None:
    X = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = FeatureTable(X, ("a", "b"), ("cat", None), ("train", "test"), (None, "p1"), ("0" * 64, "1" * 64), (0, 0))
    found = table.to_frame()
    assert found.columns.tolist() == ["id", "label", "split", "group", "view", "sha256", "x0", "x1", "x2"]
    np.testing.assert_array_equal(found[["x0", "x1", "x2"]].to_numpy(), X)
    assert found["x0"].dtype == np.float32
    assert (found["label"][0], found["label"].isna()[1], found["group"][1]) == ("cat", True, "p1")


def test_predictions_have_the_columns_of_a_frame(fitted: FitResult, tmp_path: Path) -> None:
    paths = sorted((fitted.extraction.dataset.root / "test").rglob("*.*"), reverse=True)
    given = pd.DataFrame({"file": paths, "species": ["x", None] * (len(paths) // 2), "age": range(len(paths))})
    given["path_id"], given["p_covid"], given["group"] = "q", 1.5, "g"
    predictions = featx.predict(fitted.run, given, cache=fitted.extraction.store.root)
    found = predictions.to_frame()
    names = ["path", "label", "p_covid", "p_normal", "true_label", "group", "age", "path_id", "extra_p_covid"]
    assert found.columns.tolist() == names
    assert found["path"].tolist() == [str(path) for path in paths]
    assert found["age"].tolist() == given["age"].tolist()
    assert found["true_label"].isna().tolist() == [False, True] * (len(paths) // 2)
    rows = read_table(predictions.write(tmp_path / "p.csv"))
    assert [(row["true_label"], row["age"]) for row in rows[:2]] == [("x", "0"), ("", "1")]
    assert list(rows[0]) == names
    assert set(predictions.to_json()["predictions"][0]) == {"path", "label", "probabilities", "typicality"}


def test_the_history_is_that_of_the_run(fitted: FitResult) -> None:
    rows = read_table(fitted.run / "history.csv")
    found = fitted.to_frame()
    assert found.columns.tolist() == list(rows[0])
    assert found["epoch"].tolist() == [0, 1, 2, 3]
    assert found["val_loss"].tolist() == pytest.approx([float(row["val_loss"]) for row in rows])


def test_predictions_are_those_of_the_file(fitted: FitResult, tmp_path: Path) -> None:
    test = fitted.extraction.dataset.root / "test"
    predictions = featx.predict(fitted.run, [test], cache=fitted.extraction.store.root)
    rows = read_table(predictions.write(tmp_path / "p.csv"))
    found = predictions.to_frame()
    assert found.columns.tolist() == list(rows[0])
    assert found["path"].tolist() == [row["path"] for row in rows]
    assert found["p_covid"].tolist() == pytest.approx([float(row["p_covid"]) for row in rows], rel=1e-4)
