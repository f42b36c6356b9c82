from __future__ import annotations

import numpy as np

from featx.plots import draw_learning_curve


def test_points_law_and_forecast_are_drawn() -> None:
    grid = np.geomspace(10, 400, 30)
    law = 0.9 - 0.3 * (grid / 10) ** -0.5
    axes = draw_learning_curve(
        [10, 40, 160],
        [0.6, 0.75, 0.82],
        [(0.5, 0.7), (0.7, 0.8), (0.8, 0.85)],
        grid,
        law,
        (law - 0.1, law + 0.1),
        200,
    )
    seen, forecast = (np.asarray(line.get_xdata()) for line in axes.lines[:2])
    assert seen[-1] <= 200 < forecast[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["10", "20", "50", "100", "200"]
    assert axes.get_ylabel() == "accuracy (%)"
    low, high = axes.get_ylim()
    assert low < 50
    assert high > 100
