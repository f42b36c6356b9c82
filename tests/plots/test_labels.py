from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from featx.plots import draw_label_metrics, save
from featx.plots.labels import MOST_LABELS
from featx.stats import LabelMetrics, label_metrics


def metrics(labels: int = 3, n: int = 80) -> tuple[LabelMetrics, ...]:
    generator = np.random.default_rng(0)
    targets = (generator.random((n, labels)) < 0.4).astype(np.float32)
    # The first label is predicted worst, the last best.
    shares = np.clip(generator.random((n, labels)) + targets * np.linspace(0, 0.9, labels), 0, 1)
    return label_metrics([f"label {number}" for number in range(labels)], shares, targets)


def drawn_values(axes: Axes) -> dict[str, Any]:
    """Return the values of each metric, by its name in the legend."""
    handles, names = axes.get_legend_handles_labels()
    shown: dict[str, Any] = dict(zip(names, handles, strict=True))
    return {name: handle[0].get_xdata() for name, handle in shown.items() if name != "prevalence"}


def test_each_label_has_its_line_and_each_metric_its_points() -> None:
    drawn = metrics()
    axes = draw_label_metrics(drawn, "title")
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [f"{one.label}\n{one.positive} of {one.n}" for one in drawn]
    points = drawn_values(axes)
    areas = [one.auc.value for one in drawn if one.auc is not None]
    np.testing.assert_allclose(points["area under the ROC curve"], areas)
    low, high = axes.get_xlim()
    assert low < 0
    assert high > 1


def test_what_is_not_defined_is_left_out(tmp_path: Path) -> None:
    shares = np.array([[0.2, 0.9], [0.7, 0.4]])
    drawn = label_metrics(("never", "unknown"), shares, np.array([[0, np.nan], [0, np.nan]], np.float32))
    axes = draw_label_metrics(drawn, "two images")
    assert {name: len(values) for name, values in drawn_values(axes).items()} == {
        "area under the ROC curve": 0,
        "average precision": 0,
        "sensitivity at 0.5": 0,
        "specificity at 0.5": 1,
    }
    save(axes, tmp_path / "labels.png")


@pytest.mark.parametrize("labels", [MOST_LABELS, MOST_LABELS + 20])
def test_of_many_labels_the_worst_are_drawn(labels: int) -> None:
    axes = draw_label_metrics(metrics(labels), "title")
    names = [text.get_text().split("\n")[0] for text in axes.get_yticklabels()]
    assert len(names) == MOST_LABELS
    assert ("with the smallest areas" in axes.get_title()) == (labels > MOST_LABELS)
    if labels > MOST_LABELS:
        assert f"label {labels - 1}" not in names
        assert "label 0" in names
        # They stay in the order of the labels.
        numbers = [int(name.split()[1]) for name in names]
        assert numbers == sorted(numbers)
