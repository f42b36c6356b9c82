"""The verdicts as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import featx
from featx.reproduction.found import Found
from featx.reproduction.reported import Figure, Reported
from featx.reproduction.verdicts import RULES, Judged, tally
from featx.stats import SIGNIFICANT, homogeneity_p
from featx.text import NOTHING, count, decimal, duration, fraction, p_words, percent, span

LIMITS = (
    (
        "Classes and sources.",
        "The COVID-19 images come from one collection, the others from another: other hospitals, devices, file "
        "formats and years. A network can tell the collections apart without a look at the lungs, and these test "
        "images, which come from the same two, would not show it (DeGrave, Janizek and Lee, Nature Machine "
        "Intelligence 3, 2021).",
    ),
    (
        "Adults and children.",
        "The images of normal lungs and of bacterial and viral pneumonia are of small children, those of COVID-19 of "
        "adults, so that body size alone separates them.",
    ),
    (
        "Size of the test.",
        "36 test images: one is worth 2.8 points of accuracy, and 27 of 36 right is compatible with 59 to 86 %.",
    ),
    (
        "One split.",
        "The report has one fit of each model and one split; a difference between two such fits is no difference "
        "between models.",
    ),
    ("Clinical use.", "None. This is no medical device, and none of these numbers says anything of a patient."),
)


# What of it is known of the report's data alone.
OF_THE_DATA = LIMITS[:3]


def limits_of(found: Found) -> tuple[tuple[str, str], ...]:
    """Return what the numbers cannot show; of other data than the report's, less is known."""
    own = not any(data.other(name) for name, data in found.plan.data.items())
    return LIMITS if own else tuple(limit for limit in LIMITS if limit not in OF_THE_DATA)


def own_spread(reported: Reported) -> str:
    """Return whether the report's own accuracies differ by more than draws of one probability would."""
    shares = [figure for figure in reported.figures if figure.kind == "batch" and figure.correct is not None]
    correct, n = [figure.correct or 0 for figure in shares], shares[0].n or 0
    p = homogeneity_p(correct, n)
    word = "differ by more than" if p < SIGNIFICANT else "differ no more than"
    return (
        f"The report's own {len(shares)} accuracies, {min(correct)} to {max(correct)} of {n}, {word} chance alone "
        f"makes shares of {n} images differ: {p_words(p)} (Pearson's chi-squared test of homogeneity)."
    )


def shown_of(figure: Figure) -> str:
    """Return what the report states, as people read it."""
    if figure.claim:
        return figure.claim
    value = float(figure.number or 0)
    if figure.unit == "share":
        known = "" if figure.correct is None or figure.n is None else f" ({fraction(figure.correct, figure.n)})"
        return percent(value) + known
    if figure.unit == "s":
        return f"{value:,.0f} s" if value >= 1 else f"{1000 * value:.0f} ms"
    return decimal(value, 4) if figure.unit == "nats" else count(int(value))


def interval_of(judged: Judged) -> str:
    """Return the interval that the rule looks at, a dash for none."""
    interval = judged.ours.interval
    if interval is None:
        return NOTHING
    return span(interval) if judged.figure.unit == "share" else f"{interval[0]:.3f}–{interval[1]:.3f}"


def markdown_of(found: Found, reported: Reported, table: Sequence[Judged]) -> str:
    """Return the page."""
    parts = [
        "# Reproduction",
        f"{reported.title}, {reported.date}, done again with featx {featx.__version__}. Of {len(table)} figures: "
        f"{tally(table)}.",
        *notes_of(found),
        _table(("section", "quantity", "report", "ours", "interval", "verdict", "why"), [_cells(j) for j in table]),
    ]
    if found.sweep is not None:
        parts += ["## Does the batch size matter?", found.sweep.conclusion(), own_spread(reported)]
    remarks = merged((judged.figure.quantity, judged.figure.note) for judged in table if judged.figure.note)
    parts += ["## What the report's own numbers say", "\n".join(f"- **{head}** {text}" for head, text in remarks)]
    parts += ["## Rules", "\n".join(f"- {rule}" for rule in RULES.values())]
    parts += ["## Time by stage", _table(("stage", "time"), _times(found))]
    parts += [
        "## What these numbers cannot show",
        "\n".join(f"- **{head}** {text}" for head, text in limits_of(found)),
    ]
    return "\n\n".join(parts) + "\n"


def merged(remarks: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return remarks with what they are about; those of many quantities with the same text become one."""
    found: dict[str, list[str]] = {}
    for quantity, text in remarks:
        found.setdefault(text, []).append(quantity)
    return tuple(
        (f"{'; '.join(names) if len(names) < 4 else f'{names[0]} and {len(names) - 1} more'}.", text)
        for text, names in found.items()
    )


def notes_of(found: Found) -> list[str]:
    """Return what must be known before all else: haste, random weights, failures."""
    lines = []
    if found.plan.quick:
        lines.append(
            "Quick: few epochs, views, seeds and batch sizes. These accuracies are not the report's models'."
        )
    random = [fit.title for fit in found.plan.fits if found.random(fit.name)]
    if random:
        lines.append(
            f"Random weights: {'; '.join(random)}. What was never trained shows that the steps work and nothing else."
        )
    for names, error in found.stages.failures():
        lines.append(f"{'; '.join(found.stages.titles[name] for name in names)} failed: {error}")
    return lines


def _cells(judged: Judged) -> tuple[str, ...]:
    figure = judged.figure
    return (
        *(f"§{figure.section}", figure.quantity, shown_of(figure), judged.ours.shown, interval_of(judged)),
        *(judged.verdict, judged.why),
    )


def _times(found: Found) -> list[tuple[str, ...]]:
    stages = found.stages
    return [(stages.titles[name], duration(seconds)) for name, seconds in stages.seconds.items()]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_line(header), _line(["---"] * len(header)), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
