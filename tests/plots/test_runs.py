from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from featx.plots.confusion import draw_confusion
from featx.plots.runs import draw_curve, draw_sweep

COUNTS = np.array([[7, 1, 1], [0, 9, 0], [4, 5, 0]])
NAMES = ["covid", "normal", "viral"]


def test_a_curve_counts_epochs_from_zero() -> None:
    axes = draw_curve([1.0, 0.5, 0.25], [1.25, 1.0, 0.75], "loss")
    train, validation = axes.lines
    np.testing.assert_array_equal(train.get_xdata(), [0, 1, 2])
    np.testing.assert_array_equal(train.get_ydata(), [1.0, 0.5, 0.25])
    np.testing.assert_array_equal(validation.get_ydata(), [1.25, 1.0, 0.75])
    assert train.get_color() != validation.get_color()
    assert train.get_linestyle() != validation.get_linestyle()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    axes.figure.canvas.draw()
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_a_curve_without_validation_is_one_line() -> None:
    axes = draw_curve([1.0, 0.5], [None, None], "loss")
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 0.5])
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["training (dropout on)"]


def test_a_single_epoch_can_be_seen() -> None:
    assert [line.get_marker() for line in draw_curve([1.0], [2.0], "loss").lines] == ["o", "o"]


def test_a_confusion_matrix_shows_its_counts() -> None:
    axes = draw_confusion(COUNTS, NAMES, "16/27")
    cells = {text.get_position(): text for text in axes.texts}
    for row, column in product(range(3), range(3)):
        assert cells[column, row].get_text() == str(COUNTS[row, column])
    assert [text.get_text() for text in axes.get_yticklabels()] == NAMES
    assert [text.get_text() for text in axes.get_xticklabels()] == NAMES
    assert (axes.get_ylabel(), axes.get_xlabel(), axes.get_title()) == ("true", "predicted", "16/27")
    # Shades are shares of the true class, and the ink is the shade's opposite.
    (image,) = axes.images
    np.testing.assert_allclose(np.asarray(image.get_array()), COUNTS / 9)
    assert [cells[k, k].get_color() for k in range(3)] == ["white", "white", "black"]


def test_a_class_without_images_is_blank() -> None:
    axes = draw_confusion(np.array([[2, 0], [0, 0]]), ["a", "b"], "")
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), [[1, 0], [0, 0]])


@pytest.mark.slow
def test_many_values_make_no_endless_picture() -> None:
    names = [f"a rather long name of a value {number}" for number in range(400)]
    axes = draw_sweep(names, [[0.5, 0.6]] * 400, "value")
    axes.figure.canvas.draw()
    width, height = axes.figure.get_size_inches()  # type: ignore[union-attr]
    assert (width, height) == (20, 3.6)
    assert len(axes.get_xticks()) == 40
    assert axes.get_position().height > 0.3
