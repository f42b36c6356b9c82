from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from sklearn.metrics import average_precision_score

from featx.plots import draw_precision_recall, save


def legend_texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def three_labels(n: int = 80, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    targets = (generator.random((n, labels)) < 0.3).astype(np.float32)
    # Equal scores and unknown labels are usual.
    shares = np.round(np.clip(generator.random((n, labels)) + 0.3 * targets, 0, 1), 1)
    targets[generator.random((n, labels)) < 0.2] = np.nan
    return targets, shares


def test_the_area_under_each_curve_is_the_average_precision_of_scikit_learn() -> None:
    targets, shares = three_labels()
    axes = draw_precision_recall(targets, shares, ["a", "b", "c"])
    for number, line in enumerate(axes.lines):
        known = np.isfinite(targets[:, number])
        recall, precision = (np.asarray(values) for values in line.get_data())
        area = float(np.sum(np.diff(recall) * precision[1:]))
        assert area == pytest.approx(average_precision_score(targets[known, number], shares[known, number]))
        prevalence = targets[known, number].mean()
        assert legend_texts(axes)[number] == f"{'abc'[number]}: {area:.2f}, chance {prevalence:.2f}"


def test_a_label_that_all_images_have_or_none_has_no_curve(tmp_path: Path) -> None:
    targets = np.array([[1, 0, 1], [1, 0, 0]], np.float32)
    axes = draw_precision_recall(targets, np.array([[0.2, 0.3, 0.9], [0.4, 0.1, 0.2]]), ["all", "none", "some"])
    assert legend_texts(axes) == ["all: no other images", "none: no images", "some: 1.00, chance 0.50"]
    save(axes, tmp_path / "curves.png")


def test_of_many_labels_the_best_and_the_worst_are_drawn() -> None:
    targets, shares = three_labels(200, 14)
    axes = draw_precision_recall(targets, shares, [f"label {number}" for number in range(14)])
    areas = [float(text.split(": ")[1].split(",")[0]) for text in legend_texts(axes)]
    assert len(areas) == 8
    assert areas == sorted(areas, reverse=True)
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "8 of 14 labels: average precision"
