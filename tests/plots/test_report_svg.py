"""Drawings within a page."""

from __future__ import annotations

import re

from html_page import parse

from featx import plots
from featx.plots.figure import inline_svg


def test_two_drawings_share_no_name_and_need_nothing() -> None:
    pages = [inline_svg(plots.curve([1.0, 0.5], [1.1, 0.7], "loss"), prefix) for prefix in ("one", "two")]
    trees = [parse(page) for page in pages]
    ids = [{node.attributes["id"] for node in tree.walk() if "id" in node.attributes} for tree in trees]
    assert all(len(found) > 10 for found in ids)
    assert not ids[0] & ids[1]
    for page, tree, own in zip(pages, trees, ids, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
        assert used
        assert used <= own
        assert "http" not in page
        assert not tree.all("style", "metadata", "text")
        assert "viewbox" in tree.all("svg")[0].attributes
        assert not {"width", "height"} & set(tree.all("svg")[0].attributes)
    assert pages[0].replace("one-", "two-") == pages[1]
