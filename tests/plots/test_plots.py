from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from PIL import Image

from featx import plots

COUNTS = np.array([[7, 1, 1], [0, 9, 0], [4, 5, 0]])
NAMES = ["covid", "normal", "viral"]


def some_points(n: int = 30) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(0).normal(size=(n, 2))


def draw_curve(ax: Axes | None = None) -> Axes:
    return plots.curve([1.0, 0.5, 0.25], [1.25, 1.0, 0.75], "loss", ax)


def draw_confusion(ax: Axes | None = None) -> Axes:
    return plots.confusion(COUNTS, NAMES, "16/27", ax)


def draw_scatter(ax: Axes | None = None) -> Axes:
    return plots.scatter(some_points(), NAMES * 10, "a map", "t-SNE", ax)


DRAW: list[Callable[..., Axes]] = [draw_curve, draw_confusion, draw_scatter]


@pytest.mark.parametrize("draw", DRAW)
def test_the_given_axes_are_drawn_on_and_returned(draw: Callable[..., Axes]) -> None:
    figure, (left, right) = plots.new_figure(8, 4, columns=2)
    assert draw(right) is right
    assert right.has_data()
    assert not left.has_data()
    assert figure.axes == [left, right]


@pytest.mark.parametrize("draw", DRAW)
def test_without_axes_a_figure_is_made(draw: Callable[..., Axes]) -> None:
    one, other = draw(), draw()
    assert one.get_figure() is not other.get_figure()
    assert one.has_data()


def test_nothing_touches_pyplot(tmp_path: Path) -> None:
    """In a fresh process: no pyplot, so no figures that it keeps, no backend, no window."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from featx import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.curve([1.0], [None], 'loss')\n"
        "plots.confusion(np.eye(2, dtype=int), ['a', 'b'], '')\n"
        "axes = plots.scatter(np.zeros((2, 2)), ['a', 'b'], '')\n"
        f"plots.save(axes, Path({str(tmp_path / 'map.png')!r}))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / "map.png").exists()


def test_no_setting_is_changed(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for number, draw in enumerate(DRAW):
        plots.save(draw(), tmp_path / f"{number}.svg")
    assert dict(mpl.rcParams) == before


def colour(collection: Collection) -> bytes:
    return np.asarray(collection.get_facecolor()).tobytes()


def outline(collection: Collection) -> bytes:
    return np.asarray(collection.get_paths()[0].vertices).tobytes()


def test_a_map_shows_each_class_in_its_own_style() -> None:
    labels = [f"class {number:02}" for number in range(12)] * 3
    points = some_points(36)
    axes = plots.scatter(points, labels, "title", "note")
    drawn = axes.collections
    assert len(drawn) == 12
    for number, collection in enumerate(drawn):
        np.testing.assert_array_equal(np.asarray(collection.get_offsets()), points[number::12])
    seen = {(colour(collection), outline(collection)) for collection in drawn}
    assert len(seen) == 12
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [f"class {number:02} (3)" for number in range(12)]
    assert (axes.get_title(), axes.get_xlabel()) == ("title", "note")
    # Coordinates of a map mean nothing by themselves, but distances do.
    assert list(axes.get_xticks()) == list(axes.get_yticks()) == []
    assert axes.get_aspect() == 1.0


def test_the_classes_order_is_not_the_images_order() -> None:
    points = some_points(4)
    one = plots.scatter(points, ["b", "a", "b", "a"], "")
    other = plots.scatter(points[::-1], ["a", "b", "a", "b"], "")
    assert (
        [c.get_label() for c in one.collections] == [c.get_label() for c in other.collections] == ["a (2)", "b (2)"]
    )


def test_images_placed_afterwards_are_hollow_and_errors_are_ringed() -> None:
    points = some_points(6)
    labels = ["a", "b", "a", "b", "", "a"]
    added = [False, False, True, True, True, False]
    wrong = [False, True, True, False, False, False]
    axes = plots.scatter(points, labels, "", wrong=wrong, added=added)
    drawn = {str(collection.get_label()): collection for collection in axes.collections}
    expected = {
        "a (2)": [0, 5],
        "b (1)": [1],
        "a, added (1)": [2],
        "b, added (1)": [3],
        "no label, added (1)": [4],
        "misclassified (2)": [1, 2],
    }
    assert set(drawn) == set(expected)
    for name, rows in expected.items():
        np.testing.assert_array_equal(np.asarray(drawn[name].get_offsets()), points[rows])
    legend = axes.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == set(expected)
    for name in "ab":
        old, new = drawn[f"{name} ({2 if name == 'a' else 1})"], drawn[f"{name}, added (1)"]
        # The same colour and shape, but white within.
        assert np.asarray(new.get_edgecolor()).tobytes() == colour(old)
        assert outline(new) == outline(old)
        np.testing.assert_array_equal(np.asarray(new.get_facecolor()), [[1, 1, 1, 1]])
    assert len(np.asarray(drawn["misclassified (2)"].get_facecolor())) == 0


def test_a_map_has_names_for_its_axes_where_they_are_something() -> None:
    axes = plots.scatter(some_points(), NAMES * 10, "", "PCA", directions=("component 1", "component 2"))
    assert axes.get_xlabel() == "component 1\nPCA"
    assert axes.get_ylabel() == "component 2"


def test_text_and_legend_of_a_map_stay_within_the_picture_and_off_one_another() -> None:
    labels = [f"a class with a name {number}" for number in range(10)] * 3
    axes = plots.scatter(some_points(), labels, "title", "words " * 40, directions=("across", "up"))
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    below = legend.get_window_extent()
    assert below.ymax < axes.xaxis.label.get_window_extent().ymin
    assert below.ymin > 0
    assert 0 < below.xmin < below.xmax < figure.bbox.xmax
    assert axes.xaxis.label.get_window_extent().xmax < figure.bbox.xmax


def test_a_curve_counts_epochs_from_zero() -> None:
    axes = draw_curve()
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
    axes = plots.curve([1.0, 0.5], [None, None], "loss")
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 0.5])
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["training (dropout on)"]


def test_a_single_epoch_can_be_seen() -> None:
    assert [line.get_marker() for line in plots.curve([1.0], [2.0], "loss").lines] == ["o", "o"]


def test_a_confusion_matrix_shows_its_counts() -> None:
    axes = draw_confusion()
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
    axes = plots.confusion(np.array([[2, 0], [0, 0]]), ["a", "b"], "")
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), [[1, 0], [0, 0]])


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize("ending", [".png", ".svg", ".PNG"])
def test_the_same_figure_gives_the_same_bytes(draw: Callable[..., Axes], ending: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in "ab"]
    for path in paths:
        plots.save(draw(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_files_are_what_their_endings_say(tmp_path: Path) -> None:
    axes = draw_scatter()
    plots.save(axes, tmp_path / "map.png")
    plots.save(axes, tmp_path / "map.svg")
    with Image.open(tmp_path / "map.png") as image:
        assert image.format == "PNG"
        # 8.5 cm wide at 150 dots an inch, and not blank.
        assert image.width == int(8.5 / 2.54 * 150)
        assert len(image.convert("RGB").getcolors(image.width * image.height) or ()) > 10
    root = ElementTree.parse(tmp_path / "map.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.find(".//{http://www.w3.org/2000/svg}use") is not None
    assert "<dc:date>" not in (tmp_path / "map.svg").read_text()


def test_other_points_give_other_files(tmp_path: Path) -> None:
    for name, points in {"a": some_points(), "b": -some_points()}.items():
        plots.save(plots.scatter(points, NAMES * 10, ""), tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() != (tmp_path / "b.svg").read_bytes()


def test_a_map_keeps_its_room_beside_long_names(tmp_path: Path) -> None:
    names = ["Pneumothorax, large, right-sided, with chest tube", "Pneumothorax, large, right-sided, without it"]
    points = np.random.default_rng(0).normal(size=(40, 2))
    axes = plots.scatter(points, [names[i % 2] for i in range(40)], "a run of a long name: " * 6)
    figure = axes.get_figure(root=True)
    assert figure is not None
    plots.save(axes, tmp_path / "map.png", dpi=int(figure.dpi))
    assert axes.get_position().width > 0.8
    legend = axes.get_legend()
    assert legend is not None
    told = [text.get_text() for text in legend.get_texts()]
    assert len(set(told)) == 2
    assert legend.get_window_extent().width <= figure.bbox.width
    assert axes.title.get_window_extent().width <= figure.bbox.width
