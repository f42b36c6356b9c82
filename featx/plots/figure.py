"""Figures without pyplot's state: made, saved, put inline into a page; colours, markers and short names."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Okabe and Ito's colours ("Color universal design", 2008), which readers with any kind of colour vision can
# tell apart; the markers, by Matplotlib's names, say the same again for print without colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def style(number: int) -> tuple[str, str]:
    """Return colour and marker of a class by its number; 64 classes differ in one or the other."""
    turn, place = divmod(number, len(COLOURS))
    return COLOURS[place], MARKERS[(place + turn) % len(MARKERS)]


def short_names(names: Sequence[str], length: int = 20) -> dict[str, str]:
    """Return for each name one for drawings, which have little room: cut where it is long, yet no two alike."""
    found: dict[str, str] = {}
    for name in names:
        short = name if len(name) <= length else name[: length - 1] + "…"
        turn = 1
        while short in found.values():
            turn += 1
            short = f"{name[: length - 4]}… {turn}"
        found[name] = short
    return found


# The width of a journal's column, 8.5 cm, in inches, and how many small letters stand in it.
COLUMN = 8.5 / 2.54
NOTE_WIDTH = 72
TITLE_WIDTH = 52


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    """Return a figure of inches and its axes (an array of them for several columns), without pyplot's state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def save(axes: Axes, path: Path, dpi: int = 150) -> None:
    """Write the figure of an Axes in the format of the path's ending; the same figure gives the same bytes."""
    from matplotlib import rc_context

    figure = axes.get_figure(root=True)
    without_date = {".svg": {"Date": None}, ".png": {"Software": None}}
    if figure is not None:
        # Without a salt of ours, the names of an SVG's parts are drawn anew each time.
        with rc_context({"svg.hashsalt": "featx"}):
            figure.savefig(path, dpi=dpi, metadata=without_date.get(path.suffix.lower()))


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
