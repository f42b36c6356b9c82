"""The report's page: sections of blocks in, one HTML text out that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from featx.reports.blocks import Block, Interactive, Page, Section
from featx.text import small_share

TEMPLATE = "report.html.j2"
STYLE = "report.css"


def render(page: Page) -> str:
    """Return the page as HTML.

    All text is escaped. What is taken as it is are the drawings (`Figure.svg`) and what `featx.interactive` made;
    only a page with one of the latter may run scripts.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("featx.reports", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bar"] = _bar
    environment.filters["share"] = small_share
    style = environment.loader.get_source(environment, STYLE)[0] if environment.loader else ""
    return environment.get_template(TEMPLATE).render(page=page, style=style, policy=_policy(page))


def anchors(sections: Iterable[Section]) -> Iterator[str]:
    """Yield the ids of sections and of their parts."""
    for section in sections:
        yield section.id
        yield from anchors(section.sections)


def _bar(share: float) -> str:
    """A probability as a width."""
    return f"{100 * share:.1f}%"


def _policy(page: Page) -> str:
    """What the browser lets the page load: its own pictures and styles; scripts only where it has any."""
    parts = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", "base-uri 'none'"]
    if any(isinstance(block, Interactive) for block in _blocks(page.sections)):
        parts.append("script-src 'unsafe-inline'")
    return "; ".join([*parts, "form-action 'none'"])


def _blocks(sections: Iterable[Section]) -> Iterator[Block]:
    for section in sections:
        yield from section.blocks
        yield from _blocks(section.sections)
