from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from featx.errors import StoreError
from featx.maps import writing
from featx.maps.writing import write_map


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A map whose pictures cannot be drawn, and whose table can be written."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(writing, "file_stem", lambda _: "map")
    columns = {"path": ["a.png"], "x": [1.0], "y": [2.0], "added": [False]}
    points = SimpleNamespace(columns=lambda: dict(columns))
    return cast(Any, SimpleNamespace(points=points, draw=fail))


def test_a_map_whose_picture_fails_has_its_table(
    failing: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "map.png").write_bytes(b"an earlier map")
    assert write_map(failing, ("png", "csv"), tmp_path) == (tmp_path / "map.csv",)
    assert [path.name for path in tmp_path.iterdir()] == ["map.csv"]
    assert "map.png could not be drawn (MemoryError)" in caplog.text


def test_a_map_without_any_file_is_an_error(failing: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"map\.png"):
        write_map(failing, ("png",), tmp_path)
