"""Interactive maps as a reader uses them: in a browser, with a mouse that moves."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import DESKTOP, PHONE, Browser
from numpy.typing import NDArray
from PIL import Image

from featx.images.thumbnails import assembled, cell_side
from featx.maps.interactive import MapData, components, page, resources

pytestmark = pytest.mark.slow

# Far from one another, so that a place on the map is of one image alone.
POINTS = np.array([[0, 0], [4, 0], [8, 0], [0, 3], [4, 3], [8, 3]], float)
COLOURS = [(220, 40, 40), (40, 200, 60), (50, 60, 230), (230, 210, 40), (200, 60, 210), (60, 210, 220)]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>.png"


def some_map(**changes: Any) -> MapData:
    cells = (None if i == 5 else np.full((96, 96, 3), colour, np.uint8) for i, colour in enumerate(COLOURS))
    data = MapData(
        points=POINTS,
        labels=("covid", "covid", "normal", "normal", "normal", "viral"),
        names=tuple(f"train/image-{i}.png" for i in range(6)),
        title="six images",
        note="by hand",
        predicted=("covid", "normal", "normal", "normal", "covid", "viral"),
        confidence=(0.912, 0.5, 0.75, 1.0, 0.25, 0.9999),
        atlas=assembled(cells, 6, 96),
    )
    return replace(data, **changes)


class Shown:
    """A map in the browser. Where its points are is worked out from the plot's ranges and size."""

    def __init__(self, browser: Browser, number: int = 0) -> None:
        self.browser = browser
        self.number = number
        self.wait(lambda: self.run("return map.dataset.ready") == "yes")
        self.painted()

    def painted(self) -> None:
        """Wait until what was asked for has been drawn."""
        self.browser.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(arguments[0])))"
        )

    def run(self, script: str) -> Any:
        return self.browser.run(f"const map = document.querySelectorAll('.featx-map')[{self.number}]; {script}")

    def wait(self, until: Any) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser.driver, 30, poll_frequency=0.02).until(lambda _: until())

    def window(self) -> dict[str, float]:
        window: dict[str, float] = self.run(
            f"""const plot = Bokeh.documents[{self.number}].roots()[0], {{x_range: x, y_range: y}} = plot;
            const box = map.querySelector('.featx-plot').getBoundingClientRect();
            const border = (box.width - plot.inner_width) / 2;
            return {{x0: x.start, x1: x.end, y0: y.start, y1: y.end, left: box.x + border, top: box.y + border,
                     width: plot.inner_width, height: plot.inner_height}}"""
        )
        return window

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels from the window's corner."""
        w = self.window()
        right = (x - w["x0"]) / (w["x1"] - w["x0"]) * w["width"]
        down = (w["y1"] - y) / (w["y1"] - w["y0"]) * w["height"]
        return w["left"] + right, w["top"] + down

    def mouse(self, *path: tuple[float, float], drag: bool = False) -> None:
        """Move along coordinates of the map; with `drag`, with the button held from the first to the last."""
        from selenium.webdriver import ActionChains

        builder: Any = ActionChains(self.browser.driver, duration=20).w3c_actions
        for number, place in enumerate(path):
            x, y = self.at(*place)
            builder.pointer_action.move_to_location(round(x), round(y))
            if drag and number == 0:
                builder.pointer_action.pointer_down()
        if drag:
            builder.pointer_action.pointer_up()
        builder.perform()

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element in pixels."""
        script = f"const box = map.querySelector('{selector}').getBoundingClientRect();"
        left, top, width, height = self.run(f"{script} return [box.x, box.y, box.width, box.height]")
        return left, top, width, height

    def tip(self) -> str:
        """The text of the tip, "" if it is hidden."""
        return str(self.run("const tip = map.querySelector('.featx-tip'); return tip.hidden ? '' : tip.innerText"))

    def hover(self, x: float, y: float) -> list[str]:
        self.mouse((4, 1.5), (x, y + 0.05), (x, y))
        self.wait(self.tip)
        return self.tip().split("\n")

    def click(self, selector: str) -> None:
        from selenium.webdriver.common.by import By

        self.browser.driver.find_elements(By.CSS_SELECTOR, ".featx-map")[self.number].find_element(
            By.CSS_SELECTOR, selector
        ).click()

    def listed(self) -> list[str]:
        names: list[str] = self.run(
            "return [...map.querySelectorAll('.featx-list .featx-file')].map(one => one.textContent)"
        )
        return names

    def status(self) -> str:
        return str(self.run("return map.querySelector('.featx-status').textContent"))

    def pixels(self) -> NDArray[np.uint8]:
        picture = base64.b64decode(self.browser.driver.get_screenshot_as_base64())
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))

    def around(self, x: float, y: float, size: int) -> NDArray[np.uint8]:
        """The pixels to this distance from a place on the map."""
        right, down = (round(v) for v in self.at(x, y))
        return self.pixels()[down - size : down + size, right - size : right + size]


def shown(
    browser: Browser, folder: Path, data: MapData, size: tuple[int, int] = DESKTOP, *, dark: bool = False
) -> Shown:
    file = folder / "map.html"
    file.write_text(page(data), encoding="utf-8")
    browser.open(file, size, dark=dark)
    return Shown(browser)


def test_a_point_names_its_image(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    assert view.hover(0, 0) == ["train/image-0.png", "class", "covid", "predicted", "covid", "probability", "91.2 %"]
    assert view.hover(4, 3) == ["train/image-4.png", "class", "normal", "predicted", "covid", "probability", "25.0 %"]
    assert view.run("return map.querySelector('.featx-tip .featx-wrong').textContent") == "covid"
    assert view.hover(0, 3)[-1] == "100.0 %"
    assert browser.errors() == []


def test_a_point_shows_its_image(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    for number, (x, y) in enumerate(POINTS[:5]):
        view.hover(x, y)
        view.wait(lambda name=f"image-{number}.png": name in view.tip())
        place, size = view.run(
            """const style = getComputedStyle(map.querySelector('.featx-tip .featx-thumb'));
            return [style.backgroundPosition, style.backgroundSize]"""
        )
        left, top, width, height = view.box(".featx-tip .featx-thumb")
        row, column = divmod(number, 3)
        assert width == height >= 96
        assert [float(v) for v in re.findall(r"-?[\d.]+", place)] == [-column * width, -row * width]
        assert size == f"{3 * width:g}px {2 * width:g}px"
        inner = view.pixels()[round(top) + 6 : round(top + height) - 6, round(left) + 6 : round(left + width) - 6]
        assert np.abs(inner.astype(int) - COLOURS[number]).max() <= 6


def test_a_missing_file_is_reported(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    assert view.hover(8, 3)[:2] == ["image not found", "train/image-5.png"]
    assert view.hover(8, 3)[-1] == "> 99.9 %"
    assert "1 image without a thumbnail" in view.run("return map.innerText")


def test_empty_space_shows_nothing(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    view.mouse((2, 1.4), (2, 1.5))
    assert not view.tip()
    view.hover(4, 3)
    view.mouse((2, 1.5), (2, 1.4))
    view.wait(lambda: not view.tip())
    assert view.run("return map.querySelector('.featx-mark').hidden")


def test_points_in_one_place_are_counted(browser: Browser, tmp_path: Path) -> None:
    points = POINTS.copy()
    points[[1, 5]] = points[0]
    view = shown(browser, tmp_path, some_map(points=points))
    assert view.hover(0, 0)[-1] == "and 2 more here"


def test_the_nearest_of_close_points_is_shown(browser: Browser, tmp_path: Path) -> None:
    points = POINTS.copy()
    points[4] = (0.03, 0)
    points[5] = (-0.03, 0)
    view = shown(browser, tmp_path, some_map(points=points))
    for number, x in ((4, 0.03), (5, -0.03), (0, 0.0)):
        view.hover(x, 0)
        view.wait(lambda name=f"image-{number}.png": name in view.tip())
        assert view.tip().endswith("and 2 more here")


def test_nothing_is_left_at_the_rim(browser: Browser, tmp_path: Path) -> None:
    """Points that were at the plot's edge before it was moved."""
    arm = np.linspace(-1, 1, 200)
    cross = np.concatenate([np.stack([arm, 0 * arm], 1), np.stack([0 * arm, arm], 1)])
    n = len(cross)
    view = shown(browser, tmp_path, MapData(cross, ("a",) * n, ("a.png",) * n, "a cross"))
    for button in ("in", "in", "in", "out", "out", "out", "out"):
        view.click(f"[data-do={button}]")
        view.painted()
    x, y, width, height = view.box(".featx-stage")
    inner = view.pixels()[round(y) + 1 : round(y + height) - 1, round(x) + 1 : round(x + width) - 1]
    corner = 10  # the stage's are round
    for rim in (inner[0, corner:-corner], inner[corner:-corner, 0]):
        assert (rim == 255).all()


def test_the_legend_hides_a_class(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())

    def is_seen(colour: tuple[int, int, int], x: float, y: float) -> bool:
        """Whether there are some pixels of about this colour."""
        return int((np.abs(view.around(x, y, 12).astype(int) - colour).max(axis=2) < 40).sum()) > 20

    blue, orange = (0, 114, 178), (230, 159, 0)
    assert is_seen(blue, 0, 0)
    assert is_seen(orange, 8, 0)
    view.click("[data-group='0']")
    view.wait(lambda: not is_seen(blue, 0, 0))
    assert (view.around(4, 0, 12) == 255).all()  # the outline of a wrong image goes with it
    assert is_seen(orange, 8, 0)
    view.mouse((0.5, 0.5), (0, 0))
    assert not view.tip()
    assert view.run("return map.querySelector('[data-group]').getAttribute('aria-pressed')") == "false"
    view.click("[data-group='0']")
    view.wait(lambda: is_seen(blue, 0, 0))
    assert view.hover(0, 0)[0] == "train/image-0.png"
    view.click("[data-do=all]")
    view.wait(lambda: not is_seen(orange, 8, 0))
    view.click("[data-do=all]")
    view.wait(lambda: is_seen(orange, 8, 0))


def test_a_box_lists_exactly_what_is_in_it(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    view.click("[data-drag=box]")
    view.mouse((-0.3, -0.5), (2, 2), (5, 3.5), drag=True)
    view.wait(view.listed)
    assert view.listed() == [f"train/image-{i}.png" for i in (0, 1, 3, 4)]
    assert view.status() == "4 images."
    view.mouse((7, -0.5), (8, 1), (8.3, 2), drag=True)
    view.wait(lambda: view.listed() == ["train/image-2.png"])
    view.click("[data-do=clear]")
    assert view.listed() == []
    view.click("[data-group='1']")  # what is hidden is not selected
    view.mouse((-0.3, -0.5), (2, 2), (5, 3.5), drag=True)
    view.wait(view.listed)
    assert view.listed() == ["train/image-0.png", "train/image-1.png"]
    view.click("[data-group='0']")  # nor does it stay so
    assert view.listed() == []


def test_a_lasso_takes_what_is_inside_its_line(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    view.click("[data-drag=lasso]")
    view.mouse((-0.3, -0.6), (4.8, -0.6), (4.8, 0.6), (0.8, 0.6), (0.8, 3.6), (-0.3, 3.6), (-0.3, 0), drag=True)
    view.wait(view.listed)
    assert view.listed() == [f"train/image-{i}.png" for i in (0, 1, 3)]


def test_a_click_takes_one(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    view.mouse((4, 3), drag=True)
    view.wait(view.listed)
    assert view.listed() == ["train/image-4.png"]
    assert view.run("return map.querySelector('.featx-list small').textContent") == "normal · predicted covid"


def test_a_drag_moves_the_map_and_reset_puts_it_back(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    before = view.window()
    view.mouse((2, 1.5), (3, 1.5), (4, 1.5), drag=True)
    assert view.window()["x0"] == pytest.approx(before["x0"] - 2, abs=0.1)
    assert view.listed() == []
    view.click("[data-do=reset]")
    assert view.window() == before
    view.click("[data-do=in]")
    assert view.window()["x1"] - view.window()["x0"] == pytest.approx((before["x1"] - before["x0"]) / 1.5)


def test_files_are_found_and_copied(browser: Browser, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    view = shown(browser, tmp_path, some_map())
    field = browser.driver.find_element(By.CSS_SELECTOR, "input[type=search]")
    field.send_keys("IMAGE-3")
    view.wait(lambda: view.listed() == ["train/image-3.png"])
    field.clear()
    field.send_keys("covid")
    view.wait(lambda: view.listed() == ["train/image-0.png", "train/image-1.png"])
    field.clear()
    field.send_keys("nowhere")
    view.wait(lambda: view.status() == "No file or class matches “nowhere”.")
    view.click("[data-do=wrong]")
    assert view.listed() == ["train/image-1.png", "train/image-4.png"]
    browser.run("window.copied = []; navigator.clipboard.writeText = async (text) => { window.copied.push(text) }")
    view.click("[data-do=copy]")
    view.wait(lambda: view.status() == "2 file names copied.")
    assert browser.run("return window.copied") == ["train/image-1.png\ntrain/image-4.png\n"]


def test_the_list_shows_its_images_on_the_map_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    view.click("[data-do=wrong]")
    view.run("map.querySelectorAll('.featx-list button')[1].focus()")
    view.wait(view.tip)
    assert view.tip().startswith("train/image-4.png")
    left, top, width, height = view.box(".featx-mark")
    assert (left + width / 2, top + height / 2) == pytest.approx(view.at(4, 3), abs=2.5)


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (PHONE, True)])
def test_every_window_is_used_and_no_unit_is_longer_than_another(
    browser: Browser, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    view = shown(browser, tmp_path, some_map(), size, dark=dark)
    w = view.window()
    assert (w["x1"] - w["x0"]) / w["width"] == pytest.approx((w["y1"] - w["y0"]) / w["height"], rel=0.01)
    assert w["x0"] < 0
    assert w["x1"] > 8
    assert w["width"] > 0.6 * size[0]
    view.run("document.body.firstElementChild.style.padding = 0")  # as in a page without a margin
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    view.run("document.body.firstElementChild.style.padding = ''")
    assert (view.pixels()[3, 3].mean() < 60) == dark
    view.run("map.querySelector('.featx-stage').scrollIntoView()")
    view.hover(4, 3)
    left, _, width, _ = view.box(".featx-tip")
    assert 0 <= left < left + width <= size[0]


def test_rings_and_black_markers_are_seen_in_the_dark_also_when_selected(browser: Browser, tmp_path: Path) -> None:
    labels = tuple("abcdefgh")
    points = np.array([*POINTS, (4, 1.5), (8, 1.5)])
    predicted = ("b", *labels[1:7], "a")
    data = MapData(points, labels, tuple("12345678"), "eight classes", predicted=predicted)
    view = shown(browser, tmp_path, data, dark=True)

    def light(x: float, y: float, size: int = 14) -> int:
        return int((view.around(x, y, size).min(axis=2) > 200).sum())

    assert light(8, 1.5, 5) > 15  # the eighth class, black by day
    assert light(0, 0) > 15  # a ring
    assert light(8, 0) == 0
    view.click("[data-do=wrong]")
    view.wait(lambda: len(view.listed()) == 2)
    view.painted()
    assert light(8, 1.5, 5) > 15
    assert light(0, 0) > 15
    browser.look(dark=False)
    view.wait(lambda: view.around(8, 1.5, 1).max() < 60)


def test_the_map_fits_when_the_window_changes(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    browser.look(PHONE)
    view.wait(lambda: view.window()["width"] < 390 and abs(aspect(view.window()) - 1) < 0.01)
    assert view.window()["x0"] < 0 < 8 < view.window()["x1"]


def aspect(w: dict[str, float]) -> float:
    return (w["x1"] - w["x0"]) / w["width"] / ((w["y1"] - w["y0"]) / w["height"])


def test_nothing_leaves_the_page(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())
    view.hover(0, 0)
    view.click("[data-do=wrong]")
    assert browser.requests() == [(tmp_path / "map.html").as_uri()]
    loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert browser.errors() == []
    # The policy holds: what a script asks for is refused.
    browser.run("fetch('http://127.0.0.1:9/').catch(() => 0); new Image().src = 'http://127.0.0.1:9/x.png'")
    refused: list[str] = []

    def both_refused() -> bool:
        refused.extend(browser.errors())
        return len(refused) >= 2

    view.wait(both_refused)
    assert all("Content Security Policy" in one for one in refused)


def test_hostile_names_are_shown_as_they_are(browser: Browser, tmp_path: Path) -> None:
    texts = dict.fromkeys(("title", "note", "by"), HOSTILE) | dict.fromkeys(("names", "labels"), (HOSTILE,) * 6)
    view = shown(browser, tmp_path, some_map(**texts, predicted=("a&amp;b",) * 6))
    assert view.hover(0, 0)[:4] == [HOSTILE, HOSTILE, HOSTILE, "predicted"]
    assert view.hover(0, 0)[4] == "a&amp;b"
    view.click("[data-do=wrong]")
    assert view.listed() == [HOSTILE] * 6
    assert browser.driver.title == HOSTILE
    assert browser.run("return document.querySelectorAll('img, .featx-map script').length") == 0
    assert browser.errors() == []


def test_placed_images_are_marked(browser: Browser, tmp_path: Path) -> None:
    data = some_map(placed=("",) * 4 + ("test",) * 2)
    view = shown(browser, tmp_path, data)
    assert view.hover(8, 3)[-2:] == ["image", "test, placed on the map"]
    names = view.run(
        "return [...map.querySelectorAll('[data-group]')].map(one => one.innerText.replace(/\\s+/g, ' '))"
    )
    assert names == ["covid 2", "normal 2", "test 1", "viral, test 1"]
    assert view.run("return map.querySelector('[data-group=\"2\"]').ariaLabel") == "normal, test 1"
    browser.run("document.querySelectorAll('.featx-tip, .featx-mark').forEach(one => one.hidden = true)")
    assert view.around(8, 3, 1).min() > 200  # hollow


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_placed_and_misclassified_points_are_seen_in_a_cluster(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    """A wrong point and a placed one lie each in one place with many others that come later."""
    n = 40
    points = np.array([(0, 0), (1, 1), (6, 0), (6, 4), *[(0, 0)] * (n // 2), *[(1, 1)] * (n // 2)], float)
    data = MapData(
        points=points,
        labels=("b", "a", "c", "c", *"c" * n),
        names=tuple(map(str, range(n + 4))),
        title="clusters",
        predicted=("a", "a", "c", "c", *"c" * n),
        placed=("", "test", *[""] * (n + 2)),
    )
    view = shown(browser, tmp_path, data, size)
    view.run("map.querySelector('.featx-stage').scrollIntoView()")
    view.painted()
    orange, green = (230, 159, 0), (0, 158, 115)
    assert np.abs(view.around(0, 0, 1).astype(int) - orange).max() < 40  # class b, misclassified, not c
    assert view.around(1, 1, 1).min() > 230  # the placed one is white within
    assert np.abs(view.around(6, 0, 1).astype(int) - green).max() < 40


def test_many_misclassified_points_have_outlines_that_go_with_their_class(browser: Browser, tmp_path: Path) -> None:
    view = shown(browser, tmp_path, some_map())  # 2 of 6
    view.browser.run("document.querySelectorAll('.featx-tip, .featx-mark').forEach(one => one.hidden = true)")

    def dark(x: float, y: float) -> int:
        return int((view.around(x, y, 10).max(axis=2) < 80).sum())

    assert dark(4, 0) > 10
    assert dark(0, 0) == 0
    view.click("[data-group='0']")
    view.wait(lambda: dark(4, 0) == 0)


def test_two_maps_on_one_page_do_not_disturb_each_other(browser: Browser, tmp_path: Path) -> None:
    """Places stand before their scripts' data, as in a page with maps among other things."""
    parts = [components(some_map()), components(some_map(title="another", points=POINTS[::-1]))]
    body = "".join(place for _, place in parts) + "".join(script for script, _ in parts)
    file = tmp_path / "two.html"
    file.write_text(
        f"<!DOCTYPE html><html><head><meta charset='utf-8'>{resources()}</head><body>{body}</body></html>", "utf-8"
    )
    browser.open(file)
    first, second = Shown(browser, 0), Shown(browser, 1)
    assert first.hover(0, 0)[0] == "train/image-0.png"
    second.run("map.scrollIntoView()")
    # Bokeh's documents are in the order in which the maps were ready.
    assert {tuple(one.listed()) for one in (first, second)} == {()}
    second.click("[data-do=wrong]")
    assert first.listed() == []
    assert second.listed() == ["train/image-1.png", "train/image-4.png"]
    assert browser.errors() == []


def test_ten_thousand_points_are_still_a_map(browser: Browser, tmp_path: Path) -> None:
    n = 10_000
    side = cell_side(n)
    assert side == 40
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n, 2))
    points[1234] = (9, 9)
    colours = rng.integers(0, 256, (n, 3), dtype=np.uint8)
    colours[1234] = (230, 60, 30)
    data = MapData(
        points=points,
        labels=tuple(f"class {i % 7}" for i in range(n)),
        names=tuple(f"folder/image-{i:05}.jpeg" for i in range(n)),
        title="many",
        atlas=assembled((np.broadcast_to(colour, (side, side, 3)) for colour in colours), n, side),
    )
    view = shown(browser, tmp_path, data)
    assert view.hover(9, 9)[0] == "folder/image-01234.jpeg"
    x, y, width, _ = map(round, view.box(".featx-tip .featx-thumb"))
    assert np.abs(view.pixels()[y + width // 2, x + width // 2].astype(int) - colours[1234]).max() <= 12
    view.click("[data-drag=box]")
    view.mouse((8.5, 8.5), (9, 9.2), (9.3, 9.3), drag=True)
    view.wait(view.listed)
    assert view.listed() == ["folder/image-01234.jpeg"]
    view.mouse((-2, -2), (0, 0), (2, 2), drag=True)
    view.wait(lambda: view.status().endswith("of which 500 are listed."))
    assert len(view.listed()) == 500
    assert browser.errors() == []
