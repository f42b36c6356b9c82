"""Pages: sections of blocks in, one HTML text out that needs nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from featx.pages.blocks import Page
from featx.templates import asset, environment
from featx.text import small_share

if TYPE_CHECKING:
    from markupsafe import Markup

PACKAGE = "featx.pages"
# A share, an interval of shares or an option, which no line should break.
UNBROKEN = re.compile(r"([\d.]+(?:–[\d.]+)? %|[\d.]+–[\d.]+|(?<!\S)--[a-z][a-z-]*)")


def render(page: Page) -> str:
    """Return the page as HTML.

    All text is escaped, except drawings (`Figure.svg`) and interactive maps (`Interactive.html`, `Page.resources`),
    which are HTML already. Only a page with interactive maps may run scripts.
    """
    jinja = environment(PACKAGE)
    jinja.filters["share"] = small_share
    jinja.filters["words"] = _unbroken
    return jinja.get_template("page.html.j2").render(page=page, style=asset(PACKAGE, "page.css"))


def _unbroken(text: str) -> Markup:
    """Return text as HTML in which no line ends within a share, an interval or an option."""
    from markupsafe import Markup

    together = Markup('<span class="together">{}</span>')
    parts = UNBROKEN.split(text)
    return Markup("").join(together.format(part) if place % 2 else part for place, part in enumerate(parts))
