"""The page of a reproduction, arranged as the report is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import featx
from featx.pages import Block, Note, Page, Points, Section, Table, Text
from featx.reports import (
    curves_section,
    data_section,
    limits_section,
    model_section,
    provenance_section,
    results_section,
    score_cells,
    score_of,
)
from featx.reproduction.comparisons import (
    batch_section,
    comparison_section,
    missing_section,
    schedule_section,
    time_section,
    variants_section,
)
from featx.reproduction.drawings import TITLES, Drawings
from featx.reproduction.plan import RESNET, TASK1, VGG16
from featx.reproduction.state import THEN, TODAY, ReproductionState
from featx.reproduction.verdicts import RULES, FigureVerdict, Reported, ReportedFigure, tally
from featx.text import NOTHING, count, decimal, fraction, fraction_interval, percent

# Numbers of the report's sections by fit (data, model, training, test), and of its figures (curves, map).
SECTIONS = {
    TASK1: ("3.1", "3.2", "3.3", "3.4"),
    VGG16: ("4.1", "4.2", "4.3", "4.4"),
    RESNET: ("", "4.5", "4.6", "4.7"),
}
FIGURES = {TASK1: ((2, 3), 4), VGG16: ((5, 6), 7), RESNET: ((8, 9), 10)}
HEADINGS = {TASK1: "3 Task 1", VGG16: "4 Task 2: VGG16", RESNET: "4.5 Task 2: ResNet50V2"}

# What is known only of the report's data, and what holds for any.
LIMITS_OF_THE_DATA = (
    (
        "Classes and sources.",
        "The COVID-19 images come from one collection and the others from another, with other hospitals, devices, "
        "file formats and years. A network can tell the collections apart without looking at the lungs. The test "
        "images come from the same two collections and would not show this (DeGrave, Janizek and Lee, Nature Machine "
        "Intelligence 3, 2021).",
    ),
    (
        "Adults and children.",
        "The images of normal lungs and of both pneumonias show small children, those of COVID-19 adults. Body size "
        "alone separates them.",
    ),
    (
        "Size of the test.",
        "There are 36 test images: one is worth 2.8 points of accuracy, and 27 of 36 correct is compatible with "
        "59 to 86 %.",
    ),
)
LIMITS = (
    (
        "One split.",
        "The report has one fit of each model on one split. A difference between two such fits is not a difference "
        "between models.",
    ),
    ("Clinical use.", "None. This is not a medical device, and none of these numbers says anything about a patient."),
)


def write_page(
    state: ReproductionState, reported: Reported, table: Sequence[FigureVerdict]
) -> tuple[Page, list[Path]]:
    """Write the page's figures as files; return the page and these files."""
    drawings = Drawings(state.stages.out)
    provenance = tuple(replace(provenance_section(opened), title=opened.name) for opened in state.runs.values())
    sections = [
        _measured(state, reported),
        _verdicts(table),
        variants_section(state),
        _task(state, TASK1, drawings),
        _task(state, VGG16, drawings, batch_section(state, reported, drawings)),
        _task(state, RESNET, drawings, schedule_section(state, drawings)),
        comparison_section(state),
        time_section(state, reported),
        _limits(state),
        Section("Provenance", "provenance", (), provenance),
    ]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = Page(
        title="The report of 2020, done again",
        headline=(
            f"“{reported.title}”, {reported.date}.",
            *_accuracies(state),
            compared(table),
        ),
        notes=tuple(Note(line, loud=True) for line in notes_of(state)),
        sections=tuple(sections),
        footer=(
            f"Written {now} by featx {featx.__version__}. The page is one file and loads nothing from elsewhere.",
            "It contains small copies of images and the names of files: think before you share it.",
        ),
    )
    return page, drawings.files


def _accuracies(state: ReproductionState) -> list[str]:
    """Return the test accuracies of the report's three models in a sentence; nothing if none could be trained."""
    scores = {name: score_of(state.runs[name], "test") for name in HEADINGS if name in state.runs}
    shown = [f"{state.title(name)}: {fraction_interval(score.correct, score.n)}" for name, score in scores.items()]
    return [f"Test accuracy here, with 95 % intervals. {'. '.join(shown)}."] if shown else []


def compared(table: Sequence[FigureVerdict]) -> str:
    """Say how many of the report's figures can be compared with ours, counts and measurements apart."""
    chosen = [judged for judged in table if judged.verdict != "not comparable"]
    return f"Of the report's {len(table)} figures, {len(chosen)} can be compared with ours: {tally(chosen)}."


def _measured(state: ReproductionState, reported: Reported) -> Section:
    """Return the section of what was measured here, whether or not it can be compared."""
    numbers = reported.numbers()
    rows = []
    for name, opened in state.runs.items():
        test, validation = score_of(opened, "test"), score_of(opened, "validation")
        rows.append(
            (
                state.title(name),
                count(len(opened.run.history)),
                *score_cells(test)[:3],
                percent(validation.accuracy),
                percent(numbers.get(f"{name}.test")),
            )
        )
    header = (
        "model",
        "epochs",
        "correct",
        "test accuracy",
        "95 % interval",
        "validation accuracy",
        "test, the report",
    )
    caption = "Accuracy of each model on its test images, with Wilson's 95 % interval, and on its validation images."
    blocks: tuple[Block, ...] = (Table(caption, header, tuple(rows)),) if rows else (Text("No model was trained."),)
    return Section("What was measured", "measured", blocks)


def _verdicts(table: Sequence[FigureVerdict]) -> Section:
    counts = [judged for judged in table if judged.figure.kind == "count"]
    batches = [judged for judged in table if judged.figure.kind == "batch"]
    others = [judged for judged in table if judged.figure.kind not in ("count", "batch")]
    comparable = [judged for judged in others if judged.verdict != "not comparable"]
    rest = [judged for judged in others if judged.verdict == "not comparable"]
    # The verdict is the second column, so that narrow screens show it.
    header = ("quantity", "verdict", "the report", "ours", "difference in points")
    words = frozenset({1, 2, 3, 4})
    caption = (
        "The report's values and ours, with the 95 % interval of ours in parentheses. For accuracies, the last "
        "column has the difference, ours minus the report's, and its own 95 % interval; where there are several fits "
        "of ours, it is that of their mean."
    )
    nothing = "No accuracy, loss or claim can be compared with the report's. The reasons are given below."
    folded = {
        "Numbers of images and parameters": counts,
        "Batch sizes": batches,
        "Accuracies, losses, claims and times that cannot be compared": rest,
    }
    blocks: list[Block] = [
        Table(caption, header, tuple(_cells(judged) for judged in comparable), words=words)
        if comparable
        else Text(nothing),
        *(
            Table(f"{name}.", header, tuple(_cells(j) for j in rows), words=words, fold=f"{name}: {tally(rows)}")
            for name, rows in folded.items()
            if rows
        ),
        *_reasons(table),
        Text("The rules:"),
        Points(tuple((f"{kind.capitalize()}.", rule) for kind, rule in RULES.items())),
    ]
    return Section("Verdicts", "verdicts", tuple(blocks))


def _cells(judged: FigureVerdict) -> tuple[str, ...]:
    figure = judged.figure
    difference = NOTHING
    if judged.difference is not None:
        ours, low, high = (decimal(100 * value, 1, sign=True) for value in judged.difference)
        difference = f"{ours} ({low} to {high})"
    return f"§{figure.section} {figure.quantity}", judged.verdict, shown_of(figure), judged.ours.shown, difference


def _reasons(table: Sequence[FigureVerdict]) -> list[Block]:
    """Return why figures are not comparable, how claims were tested, and where the report contradicts itself."""
    blocks: list[Block] = []
    not_comparable = [judged for judged in table if judged.verdict == "not comparable"]
    claims = [judged for judged in table if judged.figure.kind == "claim" and judged not in not_comparable]
    for text, chosen in (("Why figures are not comparable:", not_comparable), ("How claims were tested:", claims)):
        if chosen:
            blocks += [Text(text), Points(merged((judged.figure.quantity, judged.why) for judged in chosen))]
    noted = merged((judged.figure.quantity, judged.figure.note) for judged in table if judged.figure.note)
    blocks += [Text("What the report's own numbers show when they are compared with each other:"), Points(noted)]
    return blocks


def _task(state: ReproductionState, name: str, drawings: Drawings, extra: Section | None = None) -> Section:
    """Return the sections of one of the report's models."""
    title, opened = HEADINGS[name], state.runs.get(name)
    if opened is None:
        missing = missing_section(title, f"part-{name}", state.stages.failed.get(name, ""))
        return replace(missing, sections=(extra,) if extra else ())
    data, model, fit, test = SECTIONS[name]
    drawings.curves(opened, FIGURES[name][0])
    sections = [
        *([_numbered(data_section(opened), data)] if data else []),
        _numbered(model_section(opened), model),
        _numbered(curves_section(opened), fit),
        *([extra] if extra else []),
        _numbered(results_section(opened), test),
        _maps(state, name, drawings),
    ]
    return Section(f"{title}{' (random weights)' if state.random(name) else ''}", f"part-{name}", (), tuple(sections))


def _numbered(section: Section, number: str) -> Section:
    return replace(section, title=f"{number} {section.title}")


def _maps(state: ReproductionState, name: str, drawings: Drawings) -> Section:
    opened, number = state.runs[name], FIGURES[name][1]
    title, anchor = f"Maps (figure {number})", f"maps-{name}"
    drawn = {how: state.maps[name, how] for how in (THEN, TODAY) if (name, how) in state.maps}
    if not drawn:
        return missing_section(title, anchor, state.stages.error(f"maps/{name}") or state.stages.error("maps"))
    rows = []
    for how, one in drawn.items():
        quality = (one.trustworthiness, one.stability, one.silhouette["features"], one.silhouette["map"])
        rows.append((TITLES[how], *map(decimal, quality)))
    header = ("t-SNE", "trustworthiness", "stability", "silhouette of features", "silhouette on map")
    blocks: tuple[Block, ...] = (
        drawings.maps(opened, drawn, f"figure-{number}-tsne"),
        Table("How reliable the maps of the training images are.", header, tuple(rows)),
        Text(
            "The head was trained with the labels of these images, so the classes are separated on this map even if "
            "they are not in new images. A clear map is no evidence of a good classifier."
        ),
    )
    return Section(title, anchor, blocks)


def _limits(state: ReproductionState) -> Section:
    """Return what is known of the report's data, and the limits of any run."""
    items = list(limits_of(state))
    heads = {head for head, _ in items} | ({"Source of the images."} if len(items) > len(LIMITS) else set())
    for block in limits_section(state.runs[VGG16]).blocks if VGG16 in state.runs else ():
        if isinstance(block, Points):
            items += [item for item in block.items if item[0] not in heads]
    return Section("What these numbers cannot show", "limits", (Points(tuple(items)),))


def limits_of(state: ReproductionState) -> tuple[tuple[str, str], ...]:
    """Return what the numbers cannot show; less is known of data that is not the report's."""
    others = any(data.deviation(name) for name, data in state.plan.data.items())
    return LIMITS if others else (*LIMITS_OF_THE_DATA, *LIMITS)


def shown_of(figure: ReportedFigure) -> str:
    """Return what the report states, as text."""
    if figure.claim:
        return figure.claim
    value = float(figure.number or 0)
    if figure.unit == "share":
        exact = "" if figure.correct is None or figure.n is None else f" ({fraction(figure.correct, figure.n)})"
        return percent(value) + exact
    if figure.unit == "s":
        return f"{value:,.0f} s" if value >= 1 else f"{1000 * value:.0f} ms"
    return decimal(value, 4) if figure.unit == "nats" else count(int(value))


def merged(remarks: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return remarks with their quantities; quantities with the same remark are put together."""
    quantities: dict[str, list[str]] = {}
    for quantity, text in remarks:
        quantities.setdefault(text, []).append(quantity)
    return tuple(
        (f"{'; '.join(names) if len(names) < 4 else f'{names[0]} and {len(names) - 1} more'}.", text)
        for text, names in quantities.items()
    )


def notes_of(state: ReproductionState) -> list[str]:
    """Return what readers must know first: a quick reproduction, random weights, failures."""
    lines = []
    if state.plan.quick:
        lines.append(
            "Quick: few epochs, views, seeds and batch sizes. These are not the accuracies of the report's models."
        )
    random = [fit.title for fit in state.plan.fits if state.random(fit.name)]
    if random:
        lines.append(
            f"Random weights: {'; '.join(random)}. These networks were never trained; their results only show that "
            "the steps work."
        )
    for names, error in state.stages.failures():
        lines.append(f"{'; '.join(state.stages.titles[name] for name in names)} failed: {error}")
    return lines
