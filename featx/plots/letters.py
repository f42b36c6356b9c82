"""Names in drawings: short, different, and in letters that a font of the machine has."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontEntry

log = logging.getLogger("featx")

# Matplotlib's own font has all letters below, so no other font is looked for.
_LATIN = 0x250
# They have no shape of their own: joiners, and selectors of an emoji's look.
_SHAPELESS = {0x200C, 0x200D, *range(0xFE00, 0xFE10)}
# Fonts that have boxes for every character, or pictures that Matplotlib cannot draw.
_UNFIT = ("last resort", "lastresort", "color emoji", "colour emoji")
# Characters that a notice has named already.
_noticed: set[str] = set()


def short_names(names: Sequence[str], length: int = 20) -> dict[str, str]:
    """Return a name of at most `length` letters for each name, for drawings; no two are the same.

    Long names are cut in the middle. Wide letters, such as Chinese ones, count twice. Characters that no font of the
    machine can draw, and those that cannot be seen, are written as in a Python string.

    Args:
        names: The names; "" stays as it is.
        length: At least 8.
    """
    plain = {name: _visible(name) for name in dict.fromkeys(names)}
    missing = _missing("".join(plain.values()))
    short_of: dict[str, str] = {}
    taken: set[str] = set()
    repeats: Counter[str] = Counter()
    for name, text in plain.items():
        drawn = _escaped(text, missing)
        short = _cut(drawn, length)
        while short in taken:
            repeats[drawn[:length]] += 1
            number = str(repeats[drawn[:length]] + 1)
            short = f"{_cut(drawn, length - len(number) - 1)} {number}"
        taken.add(short)
        short_of[name] = short
    return short_of


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in as few lines of at most `width` letters as possible, all about equally long.

    No line has one word left over from the others, and a line of the text stays a line. Wide letters count twice, and
    a word that is too long is broken.
    """
    if "\n" in text:
        return [line for part in text.split("\n") for line in wrapped(part, width)]
    words = [piece for word in text.split() for piece in _pieces(word, width)]
    lines = _filled(words, width)
    narrowest = max(map(_length, words), default=1)
    narrower = (_filled(words, narrow) for narrow in range(narrowest, width))
    return next((other for other in narrower if len(other) == len(lines)), lines)


_INNER_UNDERSCORE = re.compile(r"(?<=[^_])_(?=[^_])")


def spaced(names: Sequence[str]) -> list[str]:
    """Return names with spaces for the underscores inside them, as they are if two of them would become the same."""
    plain = [_INNER_UNDERSCORE.sub(" ", name) for name in names]
    return plain if len(set(plain)) == len(set(names)) else list(names)


def fit_letters(figure: Figure) -> None:
    """Let all text of a figure be drawn letter by letter, as it stands, in fonts that have the letters.

    No text is read as a formula, and titles and labels are written in drawable characters.
    """
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    ticks = {id(text): axis for axis in _scales(figure) for text in axis.get_ticklabels(which="both")}
    for text in texts:
        text.set_usetex(False)
        axis = ticks.get(id(text))
        if axis is None or axis.get_scale() != "log":  # whose labels are formulas by Matplotlib
            text.set_parse_math(False)
        content = text.get_text()
        if content.isascii() and content.replace("\n", "").isprintable():
            continue
        if axis is None:  # the labels of an axis are names that are drawable already
            lines = [_visible(line) if line else "" for line in content.split("\n")]
            content = "\n".join(_escaped(line, _missing(line)) for line in lines)
            text.set_text(content)
        if families := _fallback(_beyond_latin(content))[0]:
            text.set_fontfamily([*text.get_fontfamily(), *families])


def _scales(figure: Figure) -> Iterator[Axis]:
    for axes in figure.axes:
        yield from (axes.xaxis, axes.yaxis)


def _visible(name: str) -> str:
    """Return a name with an escape for each character that has no ink, and in quotes if it has only blanks."""
    if name.isascii() and name.isprintable():
        shown = name
    else:
        composed = unicodedata.normalize("NFC", name)
        shown = "".join(_visible_character(character) for character in composed)
    return shown if shown.strip() or not shown else f'"{shown}"'


def _visible_character(character: str) -> str:
    if character.isprintable() or ord(character) in _SHAPELESS:
        return character
    return " " if unicodedata.category(character) == "Zs" else _escape(character)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _escaped(text: str, missing: frozenset[str]) -> str:
    if missing.isdisjoint(text):
        return text
    kept = ((" " if ord(one) in _SHAPELESS else _escape(one)) if one in missing else one for one in text)
    return "".join(kept)


def _filled(words: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and _length(lines[-1]) + 1 + _length(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _pieces(word: str, width: int) -> Iterator[str]:
    while _length(word) > width:
        head = _within(word, width)
        yield head
        word = word[len(head) :]
    yield word


def _cut(text: str, length: int) -> str:
    """Return a text of at most `length` letters, its middle replaced by a dot of three."""
    if _length(text) <= length:
        return text
    head = _within(text, (length - 1) - (length - 1) // 2)
    tail = _within(text[::-1], (length - 1) // 2)[::-1]
    while tail and unicodedata.combining(tail[0]):  # a mark without its letter
        tail = tail[1:]
    return f"{head}…{tail}"


def _within(text: str, length: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += _width(character)
        if used > length:
            return text[:place]
    return text


def _length(text: str) -> int:
    return sum(map(_width, text))


def _width(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _beyond_latin(text: str) -> frozenset[str]:
    return frozenset(character for character in text if ord(character) >= _LATIN)


def _missing(text: str) -> frozenset[str]:
    """Return the characters that no font of the machine has; a notice names those with a shape, once."""
    missing = _fallback(_beyond_latin(text))[1]
    fresh = sorted(one for one in missing - _noticed if ord(one) not in _SHAPELESS)
    if fresh:
        _noticed.update(fresh)
        listed = ", ".join(fresh[:8]) + (f" and {len(fresh) - 8} more" if len(fresh) > 8 else "")
        log.warning(
            "No font of this machine that Matplotlib can draw has %s, so pictures show such characters as %s; "
            "install one that has them, such as Noto Sans (fonts-noto-core, for Chinese, Japanese and Korean "
            "fonts-noto-cjk) or, for emoji, Symbola (fonts-symbola).",
            listed,
            _escape(fresh[0]),
        )
    return missing


@lru_cache(maxsize=256)
def _fallback(wanted: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return families of fonts that together have the characters which the usual font lacks, and what none has."""
    if not wanted:
        return (), wanted
    from matplotlib.font_manager import FontProperties, findfont

    left = wanted - _drawable(findfont(FontProperties()), wanted)
    families = []
    for family, file in _fonts() if left else ():
        if has := _drawable(file, left):
            families.append(family)
            left -= has
        if not left:
            break
    return tuple(families), left


def _drawable(file: str, wanted: frozenset[str]) -> frozenset[str]:
    """Return which characters a font's file has."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(file)
        return frozenset(one for one in wanted if font.get_char_index(ord(one)))
    except (OSError, RuntimeError, ValueError):  # the file is gone or damaged
        return frozenset()


def _fonts() -> Iterator[tuple[str, str]]:
    """Yield families and files of fonts, sans serif first; last those that Matplotlib has not listed."""
    from matplotlib import font_manager

    listed = font_manager.fontManager.ttflist
    yield from sorted({entry.name: entry.fname for entry in listed if _is_fit(entry)}.items(), key=_preference)
    files = {entry.fname for entry in listed}
    for path in sorted(set(font_manager.findSystemFonts()) - files):
        try:
            font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError):
            continue
        if _is_fit(entry := font_manager.fontManager.ttflist[-1]):
            yield entry.name, entry.fname


def _is_fit(entry: FontEntry) -> bool:
    """Tell whether a font is upright and regular, as Matplotlib wants it for names, and has shapes of its own."""
    regular = entry.weight in (400, "normal", "regular") and entry.style == entry.stretch == "normal"
    return regular and not any(word in entry.name.lower() for word in _UNFIT)


def _preference(font: tuple[str, str]) -> tuple[bool, bool, bool, str]:
    family = font[0]
    return "Noto Sans" not in family, "Sans" not in family, "Mono" in family or "Serif" in family, family
