"""The report's page: sections of blocks in, one HTML text out that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from featx.reports.blocks import Block, Interactive, Page, Section
from featx.text import small_share

TEMPLATE = "report.html.j2"
STYLE = "report.css"


def render(page: Page) -> str:
    """Return the page as HTML.

    All text is escaped, except drawings (`Figure.svg`) and interactive maps (`featx.maps.components`), which are HTML
    already. Only a page with interactive maps may run scripts.

    Args:
        page: What the page shows.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("featx.reports", "assets")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["share"] = small_share
    style = loader.get_source(environment, STYLE)[0]
    return environment.get_template(TEMPLATE).render(page=page, style=style, policy=_policy(page))


def _policy(page: Page) -> str:
    """What the browser lets the page load: its own pictures and styles; scripts only if it has any."""
    parts = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", "base-uri 'none'"]
    if any(isinstance(block, Interactive) for block in _blocks(page.sections)):
        parts.append("script-src 'unsafe-inline'")
    return "; ".join([*parts, "form-action 'none'"])


def _blocks(sections: Iterable[Section]) -> Iterator[Block]:
    for section in sections:
        yield from section.blocks
        yield from _blocks(section.sections)
