from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import DESKTOP, PHONE, Browser
from html_page import Node, parse, read_page
from pipeline_data import digest, files_of, small_data
from source_data import source_of

from featx.searching import page as module
from featx.searching.neighbours import QueryResult
from featx.searching.page import cosine_text
from featx.searching.result import SearchResult
from featx.searching.searching import neighbours_of

NASTY = '<b onclick="x()">&"'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return small_data(tmp_path / "data", train=6, test=2)


def result_of(
    data: Path, *, queries: int = 2, k: int = 5, label: str | None = None, exclude: bool = False
) -> SearchResult:
    """A search of the data's own images, with rows drawn from a seed."""
    source = source_of(data)
    digests = source.table.digests[:queries]
    found = neighbours_of(source, source.table.X[:queries], digests, k, exclude_same=exclude)
    results = tuple(
        QueryResult(source.files[i].as_posix(), label, near, source.files[i], digests[i])
        for i, near in enumerate(found)
    )
    classes = tuple(sorted({label or "" for label in source.table.labels}))
    return SearchResult("data", "backbone", "all", len(source.table), k, classes, results)


def cells_of(page: Node) -> list[Node]:
    return page.all("li")


def test_the_page_shows_queries_and_neighbours_in_their_order(data: Path, tmp_path: Path) -> None:
    result = result_of(data)
    page = read_page(result.write_page(tmp_path / "near.html"))
    assert page.all("h1")[0].text == "data: nearest images"
    assert [node.text for node in page.all("h2")] == [Path(one.query).name for one in result.results]
    cells = cells_of(page)
    flat = [near for one in result.results for near in one.neighbours]
    assert len(cells) == len(flat) == 10
    for cell, near in zip(cells, flat, strict=True):
        (image,) = cell.all("img")
        assert image.attributes["src"].startswith("data:image/jpeg;base64,")
        assert image.attributes["alt"] == f"{near.label}: {near.path}"
        assert cell.all("span", class_="cosine")[0].text == cosine_text(near.cosine)
        assert cell.all("p", class_="label")[0].text == near.label
        assert cell.all("p", class_="name")[0].text.replace(" ", "") == near.path
        assert ("same file as the query" in cell.text) == near.same_file
    # One picture for each image, also where an image is there more than once.
    sources = {(near.digest, cell.all("img")[0].attributes["src"]) for cell, near in zip(cells, flat, strict=True)}
    assert len(sources) == len({key for key, _ in sources})


def test_the_page_may_run_nothing_and_load_nothing(data: Path, tmp_path: Path) -> None:
    text = result_of(data).write_page(tmp_path / "near.html").read_text("utf-8")
    page = parse(text)
    (policy,) = [node for node in page.all("meta") if node.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy.attributes["content"]
    assert "script-src" not in policy.attributes["content"]
    assert not page.all("script", "iframe", "form")
    assert "http:" not in text
    assert "https:" not in text


def test_what_users_name_is_never_markup(data: Path, tmp_path: Path) -> None:
    query = data / "train" / "covid" / f"{NASTY}.png"
    files_of(data / "train" / "covid")[0].rename(query)
    (data / "train" / "covid").rename(data / "train" / "<i>covid")
    text = result_of(data, queries=32, k=32, label=NASTY).write_page(tmp_path / "near.html").read_text("utf-8")
    page = parse(text)
    assert not page.all("b", "i")
    assert {f"{NASTY}.png", "<i>covid"} <= {
        *(node.text for node in page.all("h2")),
        *(n.text for n in page.all("p", class_="label")),
    }


def test_an_image_that_is_gone_or_has_changed_has_no_picture(data: Path, tmp_path: Path) -> None:
    result = result_of(data, queries=1)
    gone, changed = (near.file for near in result.results[0].neighbours[1:3])
    gone.unlink()
    changed.write_bytes(files_of(data)[-1].read_bytes() + b"x")
    cells = cells_of(read_page(result.write_page(tmp_path / "near.html")))
    assert [bool(cell.all("img")) for cell in cells] == [True, False, False, True, True]
    assert "image not found" in cells[1].text


def test_a_query_in_memory_has_its_picture(data: Path, tmp_path: Path) -> None:
    near = result_of(data, queries=1).results[0].neighbours
    pixels = np.full((20, 30), 200, np.uint8)
    query = QueryResult("image 0", None, near, Path("image 0"), "0" * 64, pixels)
    result = SearchResult("data", "backbone", "all", 32, 5, (), (query,))
    page = read_page(result.write_page(tmp_path / "near.html"))
    assert page.all("img")[0].attributes["alt"] == "image 0"


@pytest.mark.parametrize(
    ("most", "shown", "note"),
    [
        (100, [5, 5, 5], None),
        (13, [5, 5], "The first 2 of 3 queries are shown."),
        (4, [3], "The first 1 of 3 queries are shown. The first 3 of 5 neighbours of each are shown."),
    ],
)
def test_a_page_of_many_pictures_shows_the_first(
    data: Path, monkeypatch: pytest.MonkeyPatch, most: int, shown: list[int], note: str | None, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "MOST_PICTURES", most)
    page = read_page(result_of(data, queries=3).write_page(tmp_path / "near.html"))
    assert [len(strip.all("li")) for strip in page.all("ol")] == shown
    notes = [node.text for node in page.all("p", class_="about") if "shown" in node.text]
    assert notes == ([] if note is None else [note])


def test_a_notebook_shows_a_few(data: Path) -> None:
    result = result_of(data, queries=20, k=20)
    page = parse(result._repr_html_())
    assert [len(strip.all("li")) for strip in page.all("ol")] == [12, 12, 12]
    assert "The first 3 of 20 queries are shown." in page.text
    assert len(repr(result)) < 120
    small = parse(result_of(data, queries=1, k=2)._repr_html_())
    assert len(small.all("li")) == 2
    assert "shown" not in small.text


@pytest.mark.parametrize(
    ("cosine", "text"),
    [
        (1.0, "1.000"),
        (0.99996, "> 0.999"),
        (0.9994, "0.999"),
        (0.5, "0.500"),
        (-0.00001, "0.000"),
        (-0.25, "\u22120.250"),
    ],
)
def test_only_what_is_one_is_shown_as_one(cosine: float, text: str) -> None:
    assert cosine_text(cosine) == text


@pytest.mark.slow
def test_the_page_fits_phones_and_desktops(data: Path, browser: Browser, tmp_path: Path) -> None:
    longer = files_of(data / "train" / "covid")[0]
    longer.rename(longer.with_stem("a" * 150))
    path = result_of(data, queries=32, k=32).write_page(tmp_path / "near.html")
    for size in (PHONE, DESKTOP):
        browser.open(path, size)
        assert browser.run("return document.documentElement.scrollWidth") == size[0]
        assert browser.run("return [...document.images].every(i => i.getBoundingClientRect().width >= 90)")
        assert browser.errors() == []
        assert browser.requests() == [path.as_uri()]
    assert digest(path)
