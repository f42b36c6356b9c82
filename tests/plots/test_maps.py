from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import Collection
from matplotlib.colors import to_hex

from featx import plots
from featx.plots.maps import LEGEND_SIZE, draw_scatter, has_outlines

NAMES = ["covid", "normal", "viral"]


def some_points(n: int = 30) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(0).normal(size=(n, 2))


def colour(collection: Collection) -> bytes:
    return np.asarray(collection.get_facecolor()).tobytes()


def offsets(collection: Collection) -> Any:
    return np.asarray(collection.get_offsets())


def outline(collection: Collection) -> bytes:
    return np.asarray(collection.get_paths()[0].vertices).tobytes()


def test_a_map_shows_each_class_in_its_own_style() -> None:
    labels = [f"class {number:02}" for number in range(12)] * 3
    points = some_points(36)
    axes = draw_scatter(points, labels, "title", "note")
    drawn = axes.collections
    assert len(drawn) == 12
    for number, collection in enumerate(drawn):
        np.testing.assert_array_equal(offsets(collection), points[number::12])
    seen = {(colour(collection), outline(collection)) for collection in drawn}
    assert len(seen) == 12
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [f"class {number:02} (3)" for number in range(12)]
    assert (axes.get_title(), legend.get_title().get_text()) == ("title", "note")
    # Coordinates of a map mean nothing by themselves, but distances do.
    assert list(axes.get_xticks()) == list(axes.get_yticks()) == []
    assert axes.get_aspect() == 1.0


def test_the_classes_order_is_not_the_images_order() -> None:
    points = some_points(4)
    one = draw_scatter(points, ["b", "a", "b", "a"], "")
    other = draw_scatter(points[::-1], ["a", "b", "a", "b"], "")
    for axes in (one, other):
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["a (2)", "b (2)"]
    for first, second in zip(one.collections, other.collections, strict=True):
        assert (colour(first), outline(first)) == (colour(second), outline(second))


def test_images_placed_afterwards_are_hollow_and_errors_are_ringed_above_all_others() -> None:
    points = some_points(20)
    labels = ["a", "b", "a", "b", "", "a", *"ab" * 7]
    placed = ["", "", "test", "test", "new", *[""] * 15]
    wrong = [False, True, True, *[False] * 17]
    axes = draw_scatter(points, labels, "", wrong=wrong, placed=placed)
    # From below: classes, placed images, what is misclassified in either, rings.
    layers = sorted(axes.collections, key=lambda collection: collection.get_zorder())
    rows = [[0, 5, *range(6, 20, 2)], [*range(7, 20, 2)], [4], [3], [1], [2], [1, 2]]
    for collection, expected in zip(layers, rows, strict=True):
        np.testing.assert_array_equal(offsets(collection), points[expected])
    own, hollow = layers[1], layers[3]
    # The same colour and shape, but white within.
    assert np.asarray(hollow.get_edgecolor()).tobytes() == colour(own)
    assert outline(hollow) == outline(own)
    np.testing.assert_array_equal(np.asarray(hollow.get_facecolor()), [[1, 1, 1, 1]])
    assert len(np.asarray(layers[-1].get_facecolor())) == 0
    legend = axes.get_legend()
    assert legend is not None
    # Two columns: a class that made the map, and beside it the images that were placed.
    left = ["", "a (9)", "b (8)", "misclassified (2)"]
    right = ["new (1)", "test (1)", "test (1)", ""]
    assert [text.get_text() for text in legend.get_texts()] == left + right


def test_a_placed_class_that_did_not_make_the_map_is_named() -> None:
    axes = draw_scatter(some_points(3), ["a", "b_c", "b_c"], "", placed=["", "test", "validation"])
    legend = axes.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["a (1)", "", "", "", "b c, test (1)", "b c, validation (1)"]


def test_of_many_classes_the_legend_has_one_marker_each_and_an_example_of_placed_images() -> None:
    labels = [f"class {number:02}" for number in range(20)] * 3
    placed = [*[""] * 40, *["test"] * 20]
    wrong = [number == 3 for number in range(60)]
    axes = draw_scatter(some_points(60), labels, "", wrong=wrong, placed=placed)
    legend = axes.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [*(f"class {number:02} (2)" for number in range(20)), "test (20)", "misclassified (1)"]
    example = legend.legend_handles[20]
    np.testing.assert_array_equal(np.asarray(example.get_facecolor()), [[1, 1, 1, 1]])  # type: ignore[union-attr]


def test_many_misclassified_images_have_outlines_instead_of_rings() -> None:
    few, many = (draw_scatter(some_points(), NAMES * 10, "", wrong=[i < n for i in range(30)]) for n in (4, 5))
    assert len(offsets(few.collections[-1])) == 4
    assert len(offsets(many.collections[-1])) == 0  # an example for the legend
    black = [one for one in many.collections[:-1] if np.asarray(one.get_edgecolor()).tolist() == [[0, 0, 0, 1]]]
    assert sum(len(offsets(one)) for one in black) == 5
    for rim in black:
        above = next(one for one in many.collections if one is not rim and np.array_equal(offsets(one), offsets(rim)))
        assert outline(above) == outline(rim)
        assert above.get_zorder() == rim.get_zorder()
        assert np.max(above.get_linewidth()) < np.max(rim.get_linewidth())
    # Also many that are a small share of the points.
    assert [has_outlines(np.arange(10_000) < n) for n in (0, 100, 101)] == [False, False, True]
    assert few.get_legend().get_texts()[-1].get_text() == "misclassified (4)"  # type: ignore[union-attr]
    assert many.get_legend().get_texts()[-1].get_text() == "misclassified (5)"  # type: ignore[union-attr]


def test_a_map_has_names_of_one_style_for_its_axes_where_they_are_something() -> None:
    axes = draw_scatter(some_points(), NAMES * 10, "", "PCA", directions=("component 1", "component 2"))
    across, up = axes.xaxis.label, axes.yaxis.label
    assert (across.get_text(), up.get_text()) == ("component 1", "component 2")
    assert (across.get_color(), across.get_fontsize()) == (up.get_color(), up.get_fontsize())


def test_a_picture_is_as_high_as_the_points_need() -> None:
    flat, high = (draw_scatter(some_points() * scale, NAMES * 10, "") for scale in ([9, 1], [1, 9]))
    heights = []
    for axes in (flat, high):
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()
        heights.append(axes.get_window_extent().height / axes.get_window_extent().width)
    assert heights[0] == pytest.approx(0.5, abs=0.06)
    assert heights[1] == pytest.approx(0.9, abs=0.06)


def test_text_and_legend_of_a_map_stay_within_the_picture_and_off_one_another() -> None:
    labels = [f"a class with a name {number}" for number in range(10)] * 3
    axes = draw_scatter(some_points(), labels, "title", "words " * 40, directions=("across", "up"))
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    below, note = legend.get_window_extent(), legend.get_title().get_window_extent()
    assert below.ymax < axes.xaxis.label.get_window_extent().ymin
    assert note.ymin > max(text.get_window_extent().ymax for text in legend.get_texts())
    assert below.ymin > 0
    for box in (below, note):
        assert 0 < box.xmin < box.xmax < figure.bbox.xmax


def test_a_map_keeps_its_room_beside_long_names(tmp_path: Path) -> None:
    names = ["Pneumothorax, large, right-sided, with chest tube", "Pneumothorax, large, right-sided, without it"]
    points = np.random.default_rng(0).normal(size=(40, 2))
    axes = draw_scatter(points, [names[i % 2] for i in range(40)], "a run of a long name: " * 6)
    figure = axes.get_figure(root=True)
    assert figure is not None
    plots.save(axes, tmp_path / "map.png", dpi=int(figure.dpi))
    assert axes.get_position().width > 0.8
    legend = axes.get_legend()
    assert legend is not None
    names_shown = [text.get_text() for text in legend.get_texts()]
    assert len(set(names_shown)) == 2
    assert legend.get_window_extent().width <= figure.bbox.width
    assert axes.title.get_window_extent().width <= figure.bbox.width


def test_a_map_of_many_classes_has_a_bounded_legend_and_every_point(tmp_path: Path) -> None:
    n, k = 30_000, 1000
    points = np.random.default_rng(0).normal(size=(n, 2))
    labels = [f"class {min(i % (k + 5), k):04}" for i in range(n)]
    axes = draw_scatter(points, labels, "")
    texts = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert len(texts) == 25
    assert texts[-1] == "and 977 more"
    assert f"class 1000 ({labels.count('class 1000')})" in texts
    # Markers of the legend can be told apart; the map's own are smaller.
    handles = axes.get_legend().legend_handles[:-1]  # type: ignore[union-attr]
    assert min(one.get_sizes()[0] for one in handles) == LEGEND_SIZE  # type: ignore[union-attr]
    assert sum(len(np.asarray(one.get_offsets())) for one in axes.collections) == n
    assert len(axes.collections) == 64
    plots.save(axes, tmp_path / "map.svg")
    assert (tmp_path / "map.svg").stat().st_size < 3e6


def test_points_in_odd_places_are_drawn(tmp_path: Path) -> None:
    for number, points in enumerate(
        ([[0.0, 0.0]] * 3, [[1e300, -1e300], [0, 0], [1, 1]], [[np.nan, 1], [1, 2], [2, 3]])
    ):
        axes = draw_scatter(np.array(points), ["a", "b", ""], "")
        plots.save(axes, tmp_path / f"{number}.png")
    plots.save(draw_scatter(np.zeros((1, 2)), ["a"], ""), tmp_path / "one.png")
    assert len(list(tmp_path.iterdir())) == 4


def test_looks_give_the_colours_and_the_order_of_a_legend() -> None:
    looks = {"there": ("#D55E00", "o"), "not there": ("#56B4E9", "s")}
    labels = ["not there", "there", ""] * 4
    axes = draw_scatter(some_points(12), labels, "", looks=looks, missing="unknown")
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["there (4)", "not there (4)", "unknown (4)"]
    # What is there lies above the rest.
    top: Any = axes.collections[-1].get_facecolor()
    assert to_hex(top[0]).upper() == "#D55E00"
