from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from sklearn.metrics import roc_auc_score

from featx import plots
from featx.plots.classifiers import ScoreRow, draw_reliability, draw_roc, draw_scores
from featx.stats import auc_interval, grouped_share, wilson

ROWS = [
    ScoreRow("svm-rbf", (0.86, 0.80, 0.92), (0.92, 0.78, 0.97), standing="best"),
    ScoreRow("logreg", (0.85, 0.79, 0.91), (0.86, 0.71, 0.94), standing="indistinguishable"),
    ScoreRow("knn", (0.72, 0.66, 0.78), None, standing="worse"),
    ScoreRow("head", None, (0.91, 0.77, 0.96), kind="head", standing="indistinguishable"),
    ScoreRow("majority", (0.26, 0.25, 0.27), (0.25, 0.14, 0.41), kind="baseline", standing="worse"),
]
CLASSES = ["covid", "normal", "viral"]
LABELS = np.repeat(np.arange(3), 9)


def shares(seed: int = 0, classes: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    drawn = np.random.default_rng(seed).dirichlet(np.ones(classes), len(LABELS))
    return np.asarray(drawn)


def bars(axes: Axes) -> dict[str, ErrorbarContainer]:
    return {str(one.get_label()): one for one in axes.containers if isinstance(one, ErrorbarContainer)}


def legend_texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def values(bar: ErrorbarContainer) -> tuple[list[float], list[float]]:
    line = bar.lines[0]
    assert line is not None
    x, y = (np.asarray(part, np.float64).tolist() for part in line.get_data())
    return x, y


def ends(bar: ErrorbarContainer) -> list[tuple[float, float]]:
    """Both ends of each horizontal or vertical interval."""
    (lines,) = bar.lines[2]
    return [tuple(sorted(np.asarray(line)[:, int(np.ptp(line[:, 0]) == 0)])) for line in lines.get_segments()]


def test_scores_and_intervals_stand_where_they_are() -> None:
    axes = draw_scores(ROWS, "title")
    drawn = bars(axes)
    assert set(drawn) == {"cross-validation", "test images"}
    cv = [row.cv for row in ROWS if row.cv is not None]
    test = [row.test for row in ROWS if row.test is not None]
    for bar, known in ((drawn["cross-validation"], cv), (drawn["test images"], test)):
        np.testing.assert_allclose(values(bar)[0], [100 * value for value, _, _ in known])
        np.testing.assert_allclose(ends(bar), [[100 * end for end in found[1:]] for found in known])
    # What has no test stays out of its marker's lines, and the first row is at the top.
    assert [round(place) for place in values(drawn["test images"])[1]] == [0, 1, 3, 4]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.get_xlim()[0] == pytest.approx(9)
    assert axes.get_xlabel() == "accuracy (%)"
    assert axes.get_title() == "title"


def test_the_best_and_what_is_like_it_can_be_seen() -> None:
    axes = draw_scores(ROWS)
    banded = sorted(round(patch.get_y() + 0.5) for patch in axes.patches)  # type: ignore[attr-defined]
    assert banded == [0, 1, 3]
    names = axes.get_yticklabels()
    told = ["svm-rbf", "logreg", "knn", "head (the run's own)", "majority (baseline)"]
    assert [text.get_text() for text in names] == told
    assert [text.get_fontweight() == "bold" for text in names] == [True, False, False, False, False]
    assert names[4].get_color() != names[0].get_color()
    figure = axes.get_figure(root=True)
    assert figure is not None
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(legend) == ["cross-validation", "indistinguishable from the best", "test images"]


def test_scores_without_a_test_part_are_drawn() -> None:
    axes = draw_scores([ScoreRow("a", (0.5, 0.4, 0.6), None), ScoreRow("b", (0.6, 0.6, 0.6), None)])
    assert set(bars(axes)) == {"cross-validation"}


def auc_words(name: str, of_class: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], area: float) -> str:
    low, high = auc_interval(area, int(of_class.sum()), int((~of_class).sum()))
    return f"{name}: {area:.2f} ({low:.2f}–{high:.2f})"


def test_roc_curves_have_the_areas_of_scikit_learn() -> None:
    p = shares()
    axes = draw_roc(LABELS, p, CLASSES)
    areas = [roc_auc_score(number == LABELS, p[:, number]) for number in range(3)]
    assert legend_texts(axes) == [
        auc_words(name, np.equal(LABELS, number), area)
        for number, (name, area) in enumerate(zip(CLASSES, areas, strict=True))
    ]
    assert [text.get_text() for text in axes.texts] == ["chance: 0.50"]
    curves = axes.lines[1:]
    for line, area in zip(curves, areas, strict=True):
        x, y = (np.asarray(part, np.float64) for part in line.get_data())
        assert np.trapezoid(y, x) == pytest.approx(area)
    assert len({(to_rgba(line.get_color()), str(line.get_linestyle())) for line in curves}) == 3


def test_an_interval_that_knows_the_groups_stands_in_the_legend() -> None:
    texts = legend_texts(draw_roc(LABELS, shares(), CLASSES, intervals={CLASSES[1]: (0.12, 0.98)}))
    assert [text.endswith("(0.12–0.98)") for text in texts] == [False, True, False]


def test_curves_that_are_the_same_can_all_be_seen() -> None:
    perfect = np.eye(3)[LABELS]
    widths = [line.get_linewidth() for line in draw_roc(LABELS, perfect, CLASSES).lines[1:]]
    assert widths == sorted(set(widths), reverse=True)


def test_two_classes_have_one_curve() -> None:
    (text,) = legend_texts(draw_roc(LABELS % 2, shares(classes=2), ["a", "b"]))
    assert text.startswith("b: 0.")


def test_a_class_without_images_is_said() -> None:
    assert legend_texts(draw_roc(np.minimum(LABELS, 1), shares(), CLASSES))[2] == "viral: no images"


def test_of_many_classes_the_mean_and_the_ends_have_a_curve() -> None:
    k = 12
    y = np.arange(10 * k) % k
    p = np.random.default_rng(0).random((len(y), k))
    p[np.arange(len(y)), y] += 0.3
    p /= p.sum(axis=1, keepdims=True)
    areas = [roc_auc_score(y == number, p[:, number]) for number in range(k)]
    mean, *texts = legend_texts(draw_roc(y, p, [f"c{number}" for number in range(k)]))
    assert mean == f"mean of 12 classes: {np.mean(areas):.2f}"
    order = np.argsort(-np.array(areas), kind="stable")
    assert texts == [auc_words(f"c{number}", y == number, areas[number]) for number in [*order[:3], *order[-5:]]]


def test_equal_scores_are_one_step_and_unknown_ones_are_left_out() -> None:
    y = np.array([0, 1, 0, 1, 0, 1])
    p = np.array([0.5, 0.5, 0.1, 0.9, np.nan, 0.5])
    (text,) = legend_texts(draw_roc(y, np.column_stack([1 - p, p]), ["a", "b"]))
    known = np.isfinite(p)
    assert text == auc_words("b", y[known] == 1, float(roc_auc_score(y[known], p[known])))


def test_reliability_counts_and_shares() -> None:
    # Confidences 0.55 six times (four right) and 0.95 twice (both right).
    confidence = np.array([0.55] * 6 + [0.95] * 2)
    p = np.column_stack([confidence, 1 - confidence])
    axes = draw_reliability(np.array([0, 0, 0, 0, 1, 1, 0, 0]), p)
    drawn = bars(axes)
    assert list(drawn) == ["observed, with 95 % interval", "observed, fewer than 5 images"]
    many, few = drawn.values()
    np.testing.assert_allclose(np.array([values(bar) for bar in (many, few)])[..., 0], [[0.55, 4 / 6], [0.95, 1]])
    np.testing.assert_allclose([*ends(many), *ends(few)], [wilson(4, 6), wilson(2, 2)])
    # No line joins the dots, and those of few images are hollow.
    assert [bar.lines[0].get_linestyle() for bar in (many, few)] == ["None", "None"]
    assert many.lines[0].get_markerfacecolor() != few.lines[0].get_markerfacecolor() == "white"
    shown = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert shown == {"6": pytest.approx(0.55), "2": pytest.approx(0.95), "images": pytest.approx(-0.02)}


def test_images_of_one_group_make_the_intervals_of_a_diagram_wider() -> None:
    """Six images of three patients, two of whom are right each time; of labels each patient has two known ones."""
    confidence = np.full(6, 0.55)
    y, groups = np.array([0, 0, 0, 0, 1, 1]), list("aabbcc")
    (plain,), (wide,) = (
        bars(draw_reliability(y, np.column_stack([confidence, 1 - confidence]), groups=owners)).values()
        for owners in (None, groups)
    )
    expected = grouped_share(y == 0, groups).interval
    np.testing.assert_allclose(ends(wide), [expected])
    assert expected[0] < ends(plain)[0][0]
    targets = np.array([[1, 1], [1, 1], [0, np.nan], [0, np.nan]], np.float32)
    (of_labels,) = bars(draw_reliability(targets, np.full((4, 2), 0.55), groups=list("aabb"))).values()
    np.testing.assert_allclose(
        ends(of_labels), [grouped_share(np.array([1, 1, 1, 1, 0, 0], bool), list("aaaabb")).interval]
    )


def test_a_confidence_on_an_edge_counts_to_the_bin_below() -> None:
    p = np.array([[0.5, 0.5], [0.6, 0.4], [1.0, 0.0]])
    axes = draw_reliability(np.zeros(3, np.int64), p, legend=False)
    assert axes.get_legend() is None
    assert [text.get_text() for text in axes.texts] == ["1", "1", "1", "images"]
    assert [text.get_position()[0] for text in axes.texts[:3]] == pytest.approx([0.45, 0.55, 0.95])


DRAW: list[Callable[[Axes | None], Axes]] = [
    lambda ax: draw_scores(ROWS, ax=ax),
    lambda ax: draw_roc(LABELS, shares(), CLASSES, ax=ax),
    lambda ax: draw_reliability(LABELS, shares(), ax=ax),
]


@pytest.mark.parametrize("draw", DRAW)
def test_the_given_axes_are_drawn_on_and_returned(draw: Callable[[Axes | None], Axes]) -> None:
    _, (left, right) = plots.new_figure(8, 4, columns=2)
    assert draw(right) is right
    assert right.has_data()
    assert not left.has_data()
    assert draw(None) is not right
