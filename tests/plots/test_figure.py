from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from html_page import parse
from matplotlib.axes import Axes
from PIL import Image

from featx import plots
from featx.plots.figure import class_style, inline_svg
from featx.plots.letters import short_names

NAMES = ["covid", "normal", "viral"]


def curve(ax: Axes | None = None) -> Axes:
    return plots.draw_curve([1.0, 0.5, 0.25], [1.25, 1.0, 0.75], "loss", ax)


def confusion(ax: Axes | None = None) -> Axes:
    return plots.draw_confusion(np.array([[7, 1, 1], [0, 9, 0], [4, 5, 0]]), NAMES, "16/27", ax)


def image_map(ax: Axes | None = None) -> Axes:
    points = np.random.default_rng(0).normal(size=(30, 2))
    return plots.draw_scatter(points, NAMES * 10, "a map", "t-SNE", ax)


DRAW: list[Callable[..., Axes]] = [curve, confusion, image_map]


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


@pytest.mark.slow
def test_nothing_touches_pyplot(tmp_path: Path) -> None:
    """In a fresh process: no pyplot, so no figures that it keeps, no backend, no window."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from featx import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.draw_curve([1.0], [None], 'loss')\n"
        "plots.draw_confusion(np.eye(2, dtype=int), ['a', 'b'], '')\n"
        "axes = plots.draw_scatter(np.zeros((2, 2)), ['a', 'b'], '')\n"
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


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize("ending", [".png", ".svg", ".PNG"])
def test_the_same_figure_gives_the_same_bytes(draw: Callable[..., Axes], ending: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in "ab"]
    for path in paths:
        plots.save(draw(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_files_are_what_their_endings_say(tmp_path: Path) -> None:
    axes = image_map()
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


def test_two_drawings_share_no_name_and_need_nothing() -> None:
    pages = [inline_svg(plots.draw_curve([1.0, 0.5], [1.1, 0.7], "loss"), prefix) for prefix in ("one", "two")]
    trees = [parse(page) for page in pages]
    ids = [{node.attributes["id"] for node in tree.walk() if "id" in node.attributes} for tree in trees]
    assert all(len(page_ids) > 10 for page_ids in ids)
    assert not ids[0] & ids[1]
    for page, tree, page_ids in zip(pages, trees, ids, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
        assert used
        assert used <= page_ids
        assert "http" not in page
        assert not tree.all("style", "metadata", "text")
        assert "viewbox" in tree.all("svg")[0].attributes
        assert not {"width", "height"} & set(tree.all("svg")[0].attributes)
    assert pages[0].replace("one-", "two-") == pages[1]


def test_classes_differ_in_colour_and_shape() -> None:
    styles = [class_style(number) for number in range(64)]
    assert len(set(styles)) == 64
    assert len({colour for colour, _ in styles[:8]}) == len({marker for _, marker in styles[:8]}) == 8
    # The ninth class has the first one's colour and another shape.
    assert styles[8][0] == styles[0][0]
    assert styles[8][1] != styles[0][1]


def test_names_for_drawings_are_short_and_differ() -> None:
    names = ["covid", "a" * 30 + "1", "a" * 30 + "2", "a" * 19 + "…"]
    short = short_names(names)
    assert list(short) == names
    assert short["covid"] == "covid"
    assert len(set(short.values())) == len(names)
    assert max(map(len, short.values())) <= 20
