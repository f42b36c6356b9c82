from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline_data import small_data, small_recipe

from featx import plots
from featx.runs.fitting import fit_head
from featx.runs.folder import read_run


@pytest.mark.slow
def test_a_run_is_complete_before_its_pictures(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data, out = small_data(tmp_path / "data", train=8, test=3), tmp_path / "run"
    recipe = small_recipe(tiny_model)
    fit_head(data, recipe, out=out, cache=tmp_path / "cache")
    drawn = []

    def failing(name: str, error: Exception) -> Callable[..., None]:
        def draw(*_: object, **__: object) -> None:
            drawn.append(name)
            # What an interruption here would leave: a whole run, and no picture of the earlier one.
            assert len(read_run(out).images) == 44
            assert not (out / "confusion.png").exists()
            raise error

        return draw

    monkeypatch.setattr(plots, "draw_training", failing("curves", OSError(28, "No space left on device")))
    monkeypatch.setattr(plots, "draw_confusion", failing("confusion", MemoryError()))
    caplog.clear()
    fit_head(data, recipe, out=out, cache=tmp_path / "cache")
    assert drawn == ["curves", "confusion"]
    assert not (out / "curves.png").exists()
    notices = [message for message in caplog.messages if "could not be drawn" in message]
    assert ["No space left" in notices[0], "confusion.png" in notices[1]] == [True, True]
    assert len(notices) == 2
