"""What the search for shortcuts says in words, and what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from featx.audits.probes.results import FEATURES, PROBES, PairResult, ProbeResult, ShortcutResults
from featx.data import first_few
from featx.pages import Block, Note, Table, Text, drawing
from featx.text import images

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from featx.audits.probes.probing import Area

_SHORT = {
    "file_facts": "file facts",
    "border": "border",
    "corners": "corners",
    "brightness": "brightness",
    "thumbnail": "16 × 16 thumbnail",
}
MOST_NAMED = 4
CHANCE = 0.5
_OUTSIDE = ("border", "corners")


def area_words(area: Area) -> str:
    """Return `0.99 (0.96–1.00)`."""
    low, high = area.interval
    return f"{area.auc:.2f} ({low:.2f}–{high:.2f})"


def listed(words: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def alarm_words(part: ShortcutResults) -> tuple[str, ...]:
    """Return a sentence for each kind of shortcut, with the pairs of classes that can be told apart by it."""
    kinds: dict[str, list[PairResult]] = {}
    for pair in part.pairs:
        loud = {one.probe for one in pair.probes if one.alarm}
        if loud:
            kinds.setdefault(_meaning(loud), []).append(pair)
    return tuple(_alarm(pairs, meaning) for meaning, pairs in kinds.items())


def _meaning(loud: set[str]) -> str:
    parts = []
    if "file_facts" in loud:
        parts.append("the files of the classes were made in different ways")
    if loud & set(_OUTSIDE):
        parts.append("the class can be read outside the middle of the image")
    return listed(parts or ["the classes differ in something coarse"])


def _alarm(pairs: Sequence[PairResult], meaning: str) -> str:
    told = f"{_who(pairs)} by {listed(_probe_words(pairs))}: {meaning}"
    features = [pair.features for pair in pairs]
    if all(area.interval[0] <= CHANCE for area in features):
        return f"{told}. The network's features do not show it ({_range(features)}); other networks may."
    return f"{told}, so a network need not have looked at the subject. Its features reach {_range(features)}."


def _who(pairs: Sequence[PairResult]) -> str:
    """Return `covid can be told from normal`, of several classes `a and b can be told from the rest`."""
    others = {pair.contrast.names[1] for pair in pairs}
    names = [pair.contrast.names[0] if len(others) == 1 else " from ".join(pair.contrast.names) for pair in pairs]
    more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    who = listed([*names[:MOST_NAMED], *more])
    return f"{who} can be told from {others.pop()}" if len(others) == 1 else f"{who} can be told apart"


def _probe_words(pairs: Sequence[PairResult]) -> list[str]:
    words = []
    for probe, (name, _) in PROBES.items():
        loud = [one for pair in pairs for one in pair.probes if one.probe == probe and one.alarm]
        most = sorted({one.most[0] for one in loud if one.most is not None})
        named = f"{name} (most by {listed(most)})" if most else name
        if loud:
            words.append(f"{named} with AUC {_range([one.area for one in loud])}")
    return words


def _range(areas: Sequence[Area]) -> str:
    """Return `0.99 (0.96–1.00)`, of several areas `0.98 to 0.99`."""
    values = sorted({f"{area.auc:.2f}" for area in areas})
    return area_words(areas[0]) if len(areas) == 1 else " to ".join(dict.fromkeys((values[0], values[-1])))


def summary_words(part: ShortcutResults) -> tuple[str, ...]:
    """Return how many pairs raise an alarm, and what is seen below that."""
    pairs = len(part.pairs)
    kind = "pair" if part.paired else "class"
    loud = [pair for pair in part.pairs if any(one.alarm for one in pair.probes)]
    what = {"pair": ("pair of classes", "pairs of classes"), "class": ("class", "classes")}[kind][pairs != 1]
    counted = "The two classes" if pairs == 1 and part.paired else f"{len(loud)} of {pairs} {what}"
    none = "The two classes cannot" if pairs == 1 and part.paired else f"None of {pairs} {what} can"
    first = (
        f"{counted} can be told apart without the subject."
        if loud
        else f"{none} be told apart well by file facts, the border or brightness alone."
    )
    quiet = {
        probe: [
            pair for pair in part.pairs for one in pair.probes if one.probe == probe and one.clear and not one.alarm
        ]
        for probe in PROBES
    }
    seen = [f"{_SHORT[probe]} ({len(own)})" for probe, own in quiet.items() if own]
    more = [f"Better than chance, but below the alarm: {', '.join(seen)}."] if seen else []
    return (first, *more, *_left_out(part))


def _left_out(part: ShortcutResults) -> list[str]:
    sentences = []
    if part.skipped:
        sentences.append(
            f"Not examined, because images of five groups of each kind are needed: {first_few(list(part.skipped))}."
        )
    if part.without:
        sentences.append(f"Left out: {images(part.without)} whose file is gone or has changed.")
    drawn = [pair.contrast for pair in part.pairs if len(pair.contrast.rows) < pair.contrast.drawn_from]
    if drawn:
        sentences.append(f"Of each pair at most {len(drawn[0].rows):,} images were drawn at random, in whole groups.")
    return sentences


def shortcut_blocks(part: ShortcutResults, prefix: str) -> tuple[Block, ...]:
    """Return the drawing, the table, and how to read them."""
    header = ("classes", "images", FEATURES, *(_SHORT[probe] for probe in PROBES))
    rows = []
    for pair in part.pairs:
        cells = [_cell(one) for one in pair.probes]
        rows.append((pair.name, f"{len(pair.contrast.rows):,}", area_words(pair.features), *cells))
    caption = (
        "Areas under the ROC curve with 95 % intervals, out of fold; 0.5 is chance. ! marks an alarm, * an area "
        "above chance (p < 0.05, corrected for all areas of the table)."
    )
    examined = len(part.pairs) + len(part.skipped)
    only = f"Only the {examined} most frequent of {part.classes} classes were examined."
    notes = [Note(only)] if not part.paired and examined < part.classes else []
    facts = [one for pair in part.pairs for one in pair.probes if one.most is not None and one.clear]
    named = sorted({one.most[0] for one in facts if one.most is not None})
    told = [Text(f"Of the facts of the files, {listed(named)} tell{'s' * (len(named) == 1)} most.")] if named else []
    return (
        drawing(
            lambda: _draw(part),
            f"{prefix}areas",
            "Areas by pair of classes and probe",
            "How well the classes "
            "are told apart by the network's features, and by what shows little or nothing of the subject.",
        ),
        Table(caption, header, tuple(rows), frozenset(range(3, len(header)))),
        *told,
        *notes,
        Text(
            "The same classifier sees, in turn, the features and each probe, on the same folds with whole groups. "
            "File facts are size, format, depth and compression, without the number of bytes. The border is the "
            "outer tenth on each side with the middle masked, the corners are a fifth of the sides. The border may "
            "show parts of the subject. Brightness comes from the subject too, so its area must be nearly 1 for an "
            "alarm; the thumbnail shows the subject, so it raises none. An alarm says that the class can be read "
            "there, not that a network does so."
        ),
    )


def _cell(one: ProbeResult) -> str:
    if one.constant:
        return "the same in all"
    mark = "\N{NO-BREAK SPACE}!" if one.alarm else "\N{NO-BREAK SPACE}*" if one.clear else ""
    # In a narrow column the line is broken before the interval, not in it.
    return area_words(one.area).replace("–", "\N{WORD JOINER}–\N{WORD JOINER}") + mark


def _draw(part: ShortcutResults) -> Axes:
    from featx.plots import ProbeRow, draw_probes

    def point(area: Area) -> tuple[float, float, float]:
        return (area.auc, *area.interval)

    rows = [
        ProbeRow(
            pair.name, {FEATURES: point(pair.features)} | {_SHORT[one.probe]: point(one.area) for one in pair.probes}
        )
        for pair in part.pairs
    ]
    return draw_probes(rows)
