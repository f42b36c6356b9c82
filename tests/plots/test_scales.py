from __future__ import annotations

from pathlib import Path

import numpy as np

from featx import plots

POINTS = np.random.default_rng(0).normal(size=(30, 2))
VALUES = [*np.linspace(20, 80, 27), np.nan, np.nan, np.nan]


def test_points_have_the_colours_of_their_numbers(tmp_path: Path) -> None:
    axes = plots.draw_scale(POINTS, VALUES, "age", "title", "note")
    known = axes.collections[0]
    np.testing.assert_allclose(known.get_array(), VALUES[:27])  # type: ignore[arg-type]
    assert known.get_clim() == (20, 80)
    names = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert names == ["on the map (27)", "no value (3)"]
    plots.save(axes, tmp_path / "scale.png")
    plots.save(axes, tmp_path / "scale.svg")


def test_placed_images_are_squares_on_the_same_scale() -> None:
    placed = ["test" if i % 3 == 0 else "" for i in range(27)]
    axes = plots.draw_scale(POINTS[:27], VALUES[:27], "age", "", placed=placed)
    own, late = axes.collections[:2]
    assert own.get_clim() == late.get_clim() == (20, 80)
    assert len(np.asarray(late.get_offsets())) == 9
    names = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert names == ["on the map (18)", "test (9)"]


def test_one_value_needs_no_range() -> None:
    axes = plots.draw_scale(POINTS[:2], [5.0, 5.0], "age", "")
    assert axes.get_legend() is None or not axes.get_legend().get_texts()  # type: ignore[union-attr]
