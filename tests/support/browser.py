"""A real browser for tests of pages: headless Chromium from Debian's chromium and chromium-driver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
DESKTOP = (1280, 900)
PHONE = (390, 844)


@dataclass(frozen=True)
class Browser:
    """One window, with Selenium's driver."""

    driver: Any

    def open(self, path: Path, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> None:
        """Load a file in a window of this size in CSS pixels, and forget the errors and requests of earlier pages."""
        self.driver.get("about:blank")
        self.look(size, dark=dark)
        self.errors()
        self.requests()
        self.driver.get(path.as_uri())

    def look(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> None:
        """Set the window's size and whether the reader prefers dark pages."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def errors(self) -> list[str]:
        """Return the console's errors since the last call, with what the page's policy refused."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Return the addresses that were requested since the last call, except those within the page."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("data:", "blob:", "about:"))]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The driver of one Chromium for all tests, with its own profile."""
    paths = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)} on the path")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = paths["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With the path of a driver, Selenium does not download one.
    driver = webdriver.Chrome(options, webdriver.ChromeService(executable_path=paths["chromedriver"]))
    driver.set_page_load_timeout(120)
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Any) -> Browser:
    """A window to open pages in."""
    return Browser(chromium)
