from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featx import plots
from featx.plots.confusion import confusion_counts, draw_confusion, draw_confusions, most_confused

COUNTS = np.array([[7, 1, 1], [0, 9, 0], [4, 5, 0]])
NAMES = ["covid", "normal", "viral"]


def many(k: int) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """True and predicted classes, every seventh image one class too high, and names."""
    true = np.arange(5 * k) % k
    predicted = np.where(np.arange(5 * k) % 7 == 0, (true + 1) % k, true)
    return true, predicted, [f"class {number}" for number in range(k)]


def test_counts_and_the_most_frequent_confusions() -> None:
    true, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 0, 1])
    counts = confusion_counts(true, predicted, 4)
    np.testing.assert_array_equal(counts.toarray(), [[1, 1, 0, 0], [0, 1, 0, 0], [2, 1, 0, 0], [0, 0, 0, 0]])
    assert most_confused(counts, 2) == most_confused(counts.toarray(), 2) == [(2, 0, 2), (0, 1, 1)]
    assert most_confused(np.eye(3)) == []


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


@pytest.mark.parametrize("k", [2, 20, 60, 150, 1000])
def test_a_matrix_is_bounded_whatever_the_number_of_classes(k: int) -> None:
    true, predicted, names = many(k)
    axes = draw_confusion(confusion_counts(true, predicted, k), names, "")
    figure = axes.get_figure(root=True)
    assert figure is not None
    assert max(figure.get_size_inches()) <= 14
    assert len(axes.texts) == (k * k if k <= 20 else 0)
    assert len(axes.get_yticklabels()) <= 60
    shape = np.shape(np.asarray(axes.images[0].get_array()))
    assert shape == (min(k, 500),) * 2


@pytest.mark.slow
@pytest.mark.parametrize("k", [150, 10_000])
def test_squares_of_several_classes_hold_their_images(k: int, tmp_path: Path) -> None:
    true, predicted, names = many(k)
    axes = draw_confusion(confusion_counts(true, predicted, k), names, "")
    squares = np.asarray(axes.images[0].get_array())
    side = -(-k // 500)
    # In a row of a square, all but the confusions at its end are on the diagonal.
    wrong = np.array([[t, p] for t, p in zip(true, predicted, strict=True) if t // side != p // side])
    of_row = np.bincount(wrong[:, 0] // side, minlength=len(squares)) / (5 * side)
    np.testing.assert_allclose(np.diag(squares), 1 - of_row)
    plots.save(axes, tmp_path / "a.png")
    # The most frequent confusions are listed below.
    first = most_confused(confusion_counts(true, predicted, k))[0]
    text = axes.get_figure(root=True).get_supxlabel()  # type: ignore[union-attr]
    assert f"class {first[0]} → class {first[1]}: {first[2]}" in text


def test_a_matrix_a_classifier() -> None:
    counts = [np.diag([number, 9, 9]) for number in range(7)]
    axes = draw_confusions(counts, [f"c{number}" for number in range(7)], NAMES, "run")
    figure = axes.get_figure(root=True)
    assert figure is not None
    assert figure.get_suptitle() == "run"
    seen = [one for one in figure.axes if one.get_visible()]
    assert [one.get_title() for one in seen] == [f"c{number}" for number in range(7)]
    for number, one in enumerate(seen):
        cells = {text.get_position(): text.get_text() for text in one.texts}
        assert cells[0, 0] == str(number)
        # Names only where no neighbour has them.
        assert bool(one.get_ylabel()) == (number in (0, 4))
        assert bool(one.get_xlabel()) == (number >= 3)


@pytest.mark.slow
def test_many_classes_have_shades_and_no_numbers() -> None:
    axes = draw_confusions([np.eye(30, dtype=np.int64)], ["c"], [str(number) for number in range(30)])
    assert not axes.texts
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), np.eye(30))


def test_names_are_level_where_they_fit_and_slanted_where_not() -> None:
    def names_of(names: list[str]) -> list[tuple[str, float]]:
        labels = draw_confusion(np.eye(len(names)), names, "").get_xticklabels()
        return [(text.get_text(), text.get_rotation()) for text in labels]

    assert names_of(["cat", "pneumonia_bac"]) == [("cat", 0), ("pneumonia bac", 0)]
    four = ["cat", "dog", "pneumonia_bac", "x"]
    assert names_of(four) == [("cat", 0), ("dog", 0), ("pneumonia\nbac", 0), ("x", 0)]
    long = ["a name without end", "pneumoultramicroscopic"]
    assert names_of(long) == [(name, 30) for name in long]
    # With spaces two names would be the same.
    assert [text for text, _ in names_of(["a_b", "a b"])] == ["a_b", "a b"]


def test_long_names_leave_the_matrix_its_room(tmp_path: Path) -> None:
    axes = draw_confusion(np.eye(2, dtype=np.int64), ["a" * 180, "b"], "")
    plots.save(axes, tmp_path / "a.png")
    figure = axes.get_figure(root=True)
    assert figure is not None
    assert axes.get_position().width * figure.get_figwidth() > 2
