"""Figures without pyplot's global state: made, saved, put into a page; colours, markers and legends."""

from __future__ import annotations

import base64
import io
import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from featx.plots.letters import fit_letters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Okabe and Ito's colours ("Color universal design", 2008), which readers with any kind of colour vision can tell
apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # by Matplotlib's names; they tell classes apart without colour

_IDS = re.compile(r'(\bid="|href="#|url\(#)')
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
# It would apply to the whole page, whose own style sheet says the same for figures.
_STYLE = re.compile(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)
_WIDTH = re.compile(r'<svg\b[^>]*viewBox="0 0 ([\d.]+)')
_OPENING = re.compile(r'<svg\b[^>]*(viewBox="[^"]*")[^>]*>')

LARGEST_SCALE = 1.7  # pixels of a page for each point of a drawing

# What Matplotlib says of a letter that it cannot draw, and of a drawing too small for its text.
_HARMLESS = (r"Glyph \d+", ".*layout not applied", "Tight layout not applied")
# Its settings, and Python's filters of warnings, are those of the whole process.
_DRAWING = threading.RLock()


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    """Make a figure of this width and height in inches.

    Returns:
        The figure, and its Axes or, for several columns side by side, an array of them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def save(axes: Axes, path: Path, dpi: int = 150) -> None:
    """Save the figure of an Axes; the same figure gives the same bytes.

    Args:
        axes: Any Axes of the figure.
        path: The file; its ending gives the format.
        dpi: Dots per inch, for formats of pixels.
    """
    changing = {".svg": {"Date": None}, ".png": {"Software": None}}
    _write(axes, path, dpi=dpi, metadata=changing.get(path.suffix.lower()))


def inline_svg(axes: Axes, prefix: str) -> str:
    """Return the figure of an Axes as an element `<svg>` for a page of HTML.

    Letters are outlines, so that no font is needed.

    Args:
        axes: Any Axes of the figure.
        prefix: Goes before each id in the figure; it must differ between the figures of a page.
    """
    draft = io.StringIO()
    _write(axes, draft, {"svg.fonttype": "path"}, format="svg", metadata={"Date": None})
    text = draft.getvalue()
    text = _STYLE.sub("", _METADATA.sub("", text[text.index("<svg") :].strip()))
    text = _IDS.sub(rf"\g<1>{prefix}-", text)
    # A page makes drawings as wide as it is, but letters much larger than those around them are hard to read.
    width = _WIDTH.search(text)
    style = "" if width is None else f' style="max-width: {round(LARGEST_SCALE * float(width[1]))}px"'
    return _OPENING.sub(rf'<svg \1{style} aria-hidden="true" focusable="false">', text, count=1)


def inline_png(axes: Axes, dpi: int = 80) -> str:
    """Return the figure of an Axes as an element `<img>` that holds it, for a page of HTML."""
    draft = io.BytesIO()
    _write(axes, draft, format="png", dpi=dpi, metadata={"Software": None})
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(draft.getvalue()).decode()}">'


def class_style(number: int) -> tuple[str, str]:
    """Return the colour and the marker of a class, given its number from 0; no two of 64 classes have the same."""
    repeats, place = divmod(number, len(COLOURS))
    return COLOURS[place], MARKERS[(place + repeats) % len(MARKERS)]


def add_legend(axes: Axes, entries: Sequence[tuple[Any, str]], **look: Any) -> Legend:
    """Add a legend of artists and their names, as the names are; Matplotlib by itself leaves out `_name`."""
    legend = axes.legend([artist for artist, _ in entries], [str(place) for place in range(len(entries))], **look)
    for text, (_, name) in zip(legend.get_texts(), entries, strict=True):
        text.set_text(name)
    return legend


def _fit_frames(figure: Figure) -> None:
    """Give Axes with equal units the narrowest limits of their points in the frame that the layout leaves them."""
    equal = [axes for axes in figure.axes if axes.get_aspect() == 1 and axes.get_adjustable() == "datalim"]
    if equal:
        figure.draw_without_rendering()
        for axes in equal:
            axes.autoscale_view()


def _write(
    axes: Axes, target: Path | IO[str] | IO[bytes], settings: Mapping[Any, str] | None = None, **options: Any
) -> None:
    from matplotlib import rc_context

    figure = axes.figure.get_figure(root=True)
    # Without a fixed salt, Matplotlib gives an SVG's parts new random ids each time. A user's settings may want TeX.
    fixed = {"svg.hashsalt": "featx", "text.usetex": False, **(settings or {})}
    with _DRAWING, rc_context(fixed), warnings.catch_warnings():
        for message in _HARMLESS:
            warnings.filterwarnings("ignore", message)
        fit_letters(figure)
        _fit_frames(figure)
        figure.savefig(target, **options)
