from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from featx import plots


def curve() -> Axes:
    return plots.draw_curve([1.0, 0.5], [None, None], "loss")


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(28, "No space left"), ValueError("odd"), RuntimeError("font")]
)
def test_a_picture_that_fails_costs_a_notice_and_leaves_no_earlier_one(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Axes:
        raise error

    (tmp_path / "a.png").write_bytes(b"an earlier picture")
    assert plots.draw_files([tmp_path / "a.png"], fail) == []
    assert list(tmp_path.iterdir()) == []
    (notice,) = caplog.messages
    assert "a.png could not be drawn" in notice
    assert caplog.records[0].levelno == logging.WARNING
    assert plots.draw_svg(fail, "one") is None


def test_what_was_written_before_a_failure_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [tmp_path / "a.png", tmp_path / "a.nonsense"]
    assert plots.draw_files(paths, curve) == paths[:1]
    (notice,) = caplog.messages
    assert "a.nonsense could not be drawn" in notice
    assert "a.png" not in notice


def test_all_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [tmp_path / "new" / "a.png", tmp_path / "new" / "a.svg"]
    assert plots.draw_files(paths, curve) == paths
    assert all(path.stat().st_size > 1000 for path in paths)
    assert (plots.draw_svg(curve, "one") or "").startswith("<svg")
    assert caplog.messages == []


@pytest.mark.parametrize(
    "values",
    [[np.inf] * 3, [np.nan, 1.0, np.nan], [1e30, 1.0, 1e-30], [-np.inf, 1e300, 0.0], [0.0]],
)
def test_curves_of_odd_values_are_drawn(values: list[float], tmp_path: Path) -> None:
    axes = plots.draw_curve(values, [None] * len(values), "loss")
    axes.set_ylim(bottom=0)
    plots.save(axes, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()
