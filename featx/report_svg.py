"""Drawings inside a page of HTML: one element, with names that no other drawing on the page has."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = re.compile(r'(\bid="|href="#|url\(#)')
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
# It would hold for the whole page; the page's own sheet says the same of figures.
_STYLE = re.compile(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)
_OPENING = re.compile(r"<svg\b([^>]*)>")
_VIEW = re.compile(r'viewBox="[^"]*"')


def inline_svg(axes: Axes, prefix: str) -> str:
    """Return the figure of an Axes as an element `<svg>`; its letters are outlines, so that it needs no font.

    Args:
        axes: Of the figure.
        prefix: Goes before the name of each part; no two figures of a page have the same.
    """
    from matplotlib import rc_context

    figure = axes.get_figure(root=True)
    draft = io.StringIO()
    if figure is not None:
        with rc_context({"svg.hashsalt": "featx", "svg.fonttype": "path"}):
            figure.savefig(draft, format="svg", metadata={"Date": None})
    return embeddable(draft.getvalue(), prefix)


def embeddable(document: str, prefix: str) -> str:
    """Return an SVG document's element for a page of HTML: parts renamed, declarations and fixed size left out."""
    text = document[document.index("<svg") :].strip()
    text = _STYLE.sub("", _METADATA.sub("", text))
    text = _NAMES.sub(rf"\g<1>{prefix}-", text)
    opening = _OPENING.match(text)
    view = _VIEW.search(opening.group(1)) if opening else None
    inner = text[opening.end() :] if opening else text
    box = f" {view.group(0)}" if view else ""
    return f'<svg{box} aria-hidden="true" focusable="false">{inner}'
