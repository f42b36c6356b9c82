from __future__ import annotations

import numpy as np
import pytest

from featx.plots.runs import draw_curve, draw_sweep, draw_training


def test_a_curve_counts_epochs_from_one() -> None:
    axes = draw_curve([1.0, 0.5, 0.25], [1.25, 1.0, 0.75], "loss")
    train, validation = axes.lines
    np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(train.get_ydata(), [1.0, 0.5, 0.25])
    np.testing.assert_array_equal(validation.get_ydata(), [1.25, 1.0, 0.75])
    assert train.get_color() != validation.get_color()
    assert train.get_linestyle() != validation.get_linestyle()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    axes.figure.canvas.draw()
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_a_curve_without_validation_is_one_line() -> None:
    axes = draw_curve([1.0, 0.5], [None, None], "loss", dropout=True)
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 0.5])
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["training (dropout on)"]


def test_a_single_epoch_can_be_seen() -> None:
    assert [line.get_marker() for line in draw_curve([1.0], [2.0], "loss").lines] == ["o", "o"]


def test_the_epoch_of_the_lowest_validation_loss_is_marked() -> None:
    left = draw_training([0.5, 0.9, 1.0, 1.0], [0.6, 1.0, 1.0, 0.9], [1.0, 0.4, 0.1, 0.0], [0.8, 0.3, 0.3, 0.5], 1)
    figure = left.get_figure(root=True)
    assert figure is not None
    right = figure.axes[1]
    for axes, value in ((left, 1.0), (right, 0.3)):
        _, _, line, dot = axes.lines
        np.testing.assert_array_equal(line.get_xdata(), [2, 2])
        np.testing.assert_array_equal(dot.get_xydata(), [[2, value]])
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["training", "validation", "lowest validation loss: epoch 2"]
    assert left.get_legend() is right.get_legend() is None


def test_lines_at_the_ends_of_the_range_are_off_the_frame() -> None:
    left = draw_training([1.0, 1.0], [0.0, 0.0], [2.0, 0.0], [None, float("nan")])
    right = left.figure.axes[1]
    assert left.get_ylim() == pytest.approx((-0.03, 1.03))
    assert right.get_ylim() == pytest.approx((-0.06, 2.06))


def test_no_epoch_is_marked_if_none_is_given() -> None:
    left = draw_training([1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0])
    assert len(left.lines) == 2
    assert "lowest" not in " ".join(str(line.get_label()) for line in left.lines)


@pytest.mark.slow
def test_many_values_make_no_endless_picture() -> None:
    names = [f"a rather long name of a value {number}" for number in range(400)]
    axes = draw_sweep(names, [[0.5, 0.6]] * 400, "value")
    axes.figure.canvas.draw()
    width, height = axes.figure.get_size_inches()  # type: ignore[union-attr]
    assert (width, height) == (20, 3.6)
    assert len(axes.get_xticks()) == 40
    assert axes.get_position().height > 0.3


def test_a_curve_of_very_many_epochs_keeps_its_extremes_and_ends() -> None:
    values = np.random.default_rng(0).uniform(1, 2, 1_000_000)
    values[[123_456, 654_321]] = 0.5, 9.0
    (line,) = draw_curve(values.tolist(), [None] * len(values), "loss").lines
    x, y = (np.asarray(part, np.float64) for part in line.get_data())
    assert len(x) <= 4002
    assert (y.min(), y.max(), x[0], x[-1]) == (0.5, 9.0, 1, 1_000_000)
    np.testing.assert_array_equal(y, values[x.astype(int) - 1])
