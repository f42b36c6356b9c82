"""The report's page: sections of blocks in, one HTML text out that needs nothing else."""

from __future__ import annotations

from featx.reports.blocks import Page
from featx.text import small_share


def render(page: Page) -> str:
    """Return the page as HTML.

    All text is escaped, except drawings (`Figure.svg`) and interactive maps (`Interactive.html`, `Page.resources`),
    which are HTML already. Only a page with interactive maps may run scripts.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("featx.reports", "assets")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["share"] = small_share
    style = loader.get_source(environment, "report.css")[0]
    return environment.get_template("report.html.j2").render(page=page, style=style)
