from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from featx import plots
from featx.plots.clusters import MOST_NAMES

VALUES = np.array([0.5, -0.2, 0.1, 0.4, 0.9, 0.8])
LABELS = np.array([0, 0, 0, 1, 1, 1])


def test_each_image_is_a_bar_sorted_within_its_class_and_classes_by_their_mean() -> None:
    axes = plots.draw_silhouettes(VALUES, LABELS, ["weak", "strong"], "title", (-0.1, 0.1))
    drawn: list[Any] = [patch.get_data() for patch in axes.patches if isinstance(patch, StepPatch)]
    strong, weak = drawn
    np.testing.assert_allclose(strong.values, [0.9, 0.8, 0.4])
    np.testing.assert_allclose(weak.values, [0.5, 0.1, -0.2])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["strong (3)\n0.70", "weak (3)\n0.13"]
    # The first class and the best of its images are on top.
    bottom, top = axes.get_ylim()
    assert top < strong.edges[0] < weak.edges[0] < bottom
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["mean 0.42", "mean by chance (95 %)"]


def test_a_mean_of_nothing_has_no_sign() -> None:
    axes = plots.draw_silhouettes(np.array([-0.001, -0.5]), np.array([0, 1]), ["a", "b"], "")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a (1)\n0.00", "b (1)\n\N{MINUS SIGN}0.50"]


def test_a_matrix_shows_the_ratio_of_each_pair_and_no_diagonal() -> None:
    ratios = np.array([[np.nan, 2.0, 0.5], [2.0, np.nan, 1.25], [0.5, 1.25, np.nan]])
    axes = plots.draw_pairs({"one": ratios, "other": ratios / 2}, ["a", "b", "c"])
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(1, 0): "2.00", (2, 0): "0.50", (0, 1): "2.00", (2, 1): "1.25", (0, 2): "0.50", (1, 2): "1.25"}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    # One scale, whose middle is 1, and one bar for both.
    one, other, bar = axes.figure.axes
    assert [ax.get_title() for ax in (one, other)] == ["one", "other"]
    assert one.images[0].get_clim() == other.images[0].get_clim() == (0, 2)
    assert bar.get_ylabel() == "between/within ratio"


@pytest.mark.parametrize("classes", [20, 60])
def test_many_classes_are_drawn_without_what_would_lie_on_top_of_one_another(classes: int) -> None:
    names = [f"class {number}" for number in range(classes)]
    labels = np.repeat(np.arange(classes), 3)
    values = np.linspace(-1, 1, 3 * classes)
    axes = plots.draw_silhouettes(values, labels, names, "")
    assert len(axes.get_yticklabels()) == (classes if classes <= MOST_NAMES else 0)
    assert len(plots.draw_pairs({"": np.ones((classes, classes))}, names).texts) == 0


def test_of_very_many_classes_the_means_are_drawn() -> None:
    k = 600
    labels = np.arange(4 * k) % k
    values = np.random.default_rng(0).uniform(-1, 1, 4 * k)
    axes = plots.draw_silhouettes(values, labels, [str(number) for number in range(k)], "")
    bars: list[Any] = [patch.get_data() for patch in axes.patches if isinstance(patch, StepPatch)]
    (drawn,) = bars
    means = [values[labels == number].mean() for number in range(k)]
    np.testing.assert_allclose(drawn.values, sorted(means, reverse=True))
    ratios = np.random.default_rng(0).uniform(0.5, 3, (k, k))
    ratios[400, 100] = 0.1
    np.fill_diagonal(ratios, np.nan)
    first = plots.draw_pairs({"": ratios}, [str(number) for number in range(k)])
    squares = np.asarray(first.images[0].get_array())
    assert squares.shape == (300, 300)
    assert squares[200, 50] == 0.1
    assert len(first.get_xticklabels()) == 40


def test_the_chosen_number_of_clusters_is_ringed() -> None:
    axes = plots.draw_numbers([2, 3, 4], [0.1, 0.3, 0.2], [0.9, 0.95, 0.5], 3, 0.8)
    figure = axes.get_figure()
    assert figure is not None
    silhouettes, stabilities = figure.axes
    for panel, value in ((silhouettes, 0.3), (stabilities, 0.95)):
        line, ring = panel.get_lines()[:2]
        assert np.asarray(line.get_xdata()).tolist() == [2, 3, 4]
        assert (np.asarray(ring.get_xdata()).tolist(), np.asarray(ring.get_ydata()).tolist()) == ([3], [value])
    assert 0.8 in np.asarray(stabilities.get_lines()[-1].get_ydata())
