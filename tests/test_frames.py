from __future__ import annotations

import sys

import pytest

from featx.errors import UsageError
from featx.frames import frame


def test_columns_become_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas")
    found = frame({"path": ("a", "b"), "x": [0.5, 1.5]})
    pandas.testing.assert_frame_equal(found, pandas.DataFrame({"path": ["a", "b"], "x": [0.5, 1.5]}))


def test_without_pandas_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'featx\[pandas\]'"):
        frame({"x": [1]})
