"""The report's page in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, Browser
from selenium.webdriver.support.wait import WebDriverWait

from featx.reports.reporting import report
from featx.runs import FitResult

pytestmark = pytest.mark.slow

WIDER = """
return [...document.querySelectorAll("main *, header *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, pre, svg"))
  .map((one) => `${one.tagName} ${one.className}`)
"""


@pytest.fixture(scope="module")
def written(root: Path, cache: Path, brief: FitResult) -> Path:
    """A page of a run that was trained for one epoch, so that there are enough misclassified images."""
    return report(brief.run, out=root / "brief.html", without=["comparison"], cache=cache).file


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE, (360, 740)], ids=["desktop", "phone", "narrow"])
def test_it_fits_and_loads_nothing(browser: Browser, written: Path, size: tuple[int, int], dark: bool) -> None:
    browser.open(written, size, dark=dark)
    ready = "return document.querySelectorAll('.featx-map[data-ready]').length == 2"
    WebDriverWait(browser.driver, 30).until(lambda _: browser.run(ready))
    assert browser.errors() == []
    assert browser.requests() == [written.as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") == size[0]
    assert browser.run(WIDER) == []
    assert browser.run("return [...document.images].every((one) => one.complete && one.naturalWidth > 0)")


def test_colours_are_far_enough_apart(browser: Browser, written: Path) -> None:
    for dark in (False, True):
        browser.open(written, dark=dark)
        assert browser.run(CONTRAST) == []


# WCAG 2.2, 1.4.3: the contrast of texts with what is behind them.
CONTRAST = """
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const over = (top, below) => {
  const share = top[3] ?? 1;
  return [0, 1, 2].map((i) => top[i] * share + below[i] * (1 - share));
};
const ground = (node) => {
  if (!node) return [255, 255, 255];
  const own = numbers(getComputedStyle(node).backgroundColor);
  return own[3] === 0 ? ground(node.parentElement) : over(own, ground(node.parentElement));
};
const light = (colour) => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = colour.map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = [];
for (const node of document.querySelectorAll("header *, nav *, main *, footer *")) {
  if (node.closest("svg, script, style, .interactive")) continue;
  if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
  const behind = ground(node);
  const ink = over(numbers(getComputedStyle(node).color), behind);
  const [low, high] = [light(ink), light(behind)].sort((a, b) => a - b);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < 4.5) found.push(`${node.tagName} ${node.className} ${node.textContent} ${ratio}`);
}
return found;
"""


def test_paper_has_drawings_for_maps(browser: Browser, written: Path) -> None:
    browser.open(written)
    shown = "return [...document.querySelectorAll(arguments[0])].map((one) => getComputedStyle(one).display)"
    assert set(browser.run(shown, ".print-only")) == {"none"}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.run(shown, ".print-only") == ["block", "block"]
    assert set(browser.run(shown, ".interactive, nav")) == {"none"}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_first_key_leads_to_the_content(browser: Browser, written: Path) -> None:
    browser.open(written)
    from selenium.webdriver.common.keys import Keys

    body = browser.driver.find_element("tag name", "body")
    body.send_keys(Keys.TAB)
    focused = browser.driver.switch_to.active_element
    assert focused.text == "Skip to the content"
    assert focused.location["x"] >= 0
    focused.send_keys(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "content"
