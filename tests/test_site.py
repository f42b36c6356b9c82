"""The documentation as a site: it builds, needs no network, is searched from disk, and fits a phone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, Browser
from doc_blocks import DOCS, ROOT, text_of

SEARCHED = {
    "DICOM": "dicom.html",
    "duplicates": "how-do-i.html",
    "unlabelled": "how-do-i.html",
    "augmentation": "how-do-i.html",
    "Slurm": "gpus-and-clusters.html",
    "GPU": "gpus-and-clusters.html",
}
SEARCH = """
document.querySelector('label[for=__search]').click();
const field = document.querySelector('.md-search__input');
field.focus();
field.value = arguments[0];
field.dispatchEvent(new Event('input', {bubbles: true}));
field.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));
"""
RESULTS = "return [...document.querySelectorAll('.md-search-result__link')].map((link) => link.href)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    pytest.importorskip("mkdocs", reason="mkdocs is for those who work on featx")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def pages_in(navigation: Any) -> Iterator[str]:
    """The pages that a part of the navigation names."""
    if isinstance(navigation, str):
        yield navigation
        return
    for part in navigation.values() if isinstance(navigation, dict) else navigation:
        yield from pages_in(part)


def test_the_navigation_has_every_page_once() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with mkdocs")
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    assert sorted(pages_in(navigation)) == sorted(path.name for path in DOCS.glob("*.md"))


def test_the_first_page_has_a_picture_the_commands_and_the_repository() -> None:
    top, _, _ = text_of("index.md").partition("\n## ")
    assert "![" in top
    assert re.search(r"^\$ pip install .*\n\$ featx demo$", top, re.MULTILINE)
    address = re.search(r"link: (https://\S+)", (ROOT / "mkdocs.yml").read_text("utf-8"))
    assert address is not None
    assert f"]({address[1]})" in top


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.glob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", path.read_text("utf-8"))
        assert tags
        assert not [tag for tag in tags if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag)]


@pytest.mark.slow
def test_no_page_is_wider_than_a_phone_or_asks_for_anything_from_elsewhere(site: Path, browser: Browser) -> None:
    for path in sorted(site.glob("*.html")):
        if path.name == "404.html":  # its links begin at the server's root
            continue
        browser.open(path, PHONE)
        assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0], path.name
        assert not [address for address in browser.requests() if not address.startswith("file:")]
        assert browser.errors() == []


@pytest.mark.slow
def test_words_that_people_look_for_are_found_from_disk(site: Path, browser: Browser) -> None:
    browser.open(site / "index.html")
    for word, page in SEARCHED.items():
        browser.run(SEARCH, word)
        assert page in first_results(browser, word), word


def first_results(browser: Browser, word: str) -> str:
    """The addresses that the search shows of a word, once there are any of it."""
    for _ in range(100):
        links: list[str] = browser.run(RESULTS)
        if any(f"h={word.lower()}" in link for link in links):
            return " ".join(links[:6])
        time.sleep(0.1)
    return ""


@pytest.mark.slow
def test_functions_are_documented_with_the_arguments_that_choose_data_and_features(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "python-heads.html").read_text("utf-8"))
    signature = text[text.index("fit_head(") :]
    for name in ("backbone", "pooling", "size", "weights", "label_column", "test", "split_seed"):
        assert re.search(rf"\b{name}\b", signature[: signature.index("Train a head")]), name
