from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from featx.errors import DataError
from featx.features.table import FeatureTable

COLUMNS: dict[str, Any] = {
    "X": np.zeros((3, 5), np.float32),
    "ids": ("a.png", "b.png", "c.png"),
    "labels": ("x", "y", None),
    "splits": ("train", "train", "test"),
    "groups": (None, "p", "q"),
    "digests": ("1", "2", "3"),
    "views": (0, 0, 1),
}


def test_a_table_is_as_long_as_its_columns() -> None:
    assert len(FeatureTable(**COLUMNS)) == 3
    assert len(FeatureTable(np.empty((0, 5), np.float32), (), (), (), (), (), ())) == 0


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "X"])
@pytest.mark.parametrize("change", ["shorter", "longer"])
def test_every_column_must_be_as_long_as_the_others(name: str, change: str) -> None:
    column = COLUMNS[name]
    other = column[:2] if change == "shorter" else (*column, column[0])
    with pytest.raises(DataError, match=rf"columns of the same length, received X 3, .*{name} {len(other)}[,.]"):
        FeatureTable(**COLUMNS | {name: other})


@pytest.mark.parametrize("shape", [(2, 5), (4, 5), (3,), (3, 5, 1)])
def test_features_are_a_matrix_with_a_row_each(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=rf"^Expected a matrix of features .* received X {shape[0]}, ids 3, labels 3"):
        FeatureTable(**COLUMNS | {"X": np.zeros(shape, np.float32)})


def test_columns_are_not_exchanged_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        FeatureTable(**COLUMNS).ids = ()  # type: ignore[misc]
