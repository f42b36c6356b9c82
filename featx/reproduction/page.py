"""The page of a reproduction, arranged as the report is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import featx
from featx.reports import (
    Block,
    Note,
    Page,
    Points,
    Section,
    Table,
    Text,
    curves_section,
    data_section,
    limits_section,
    model_section,
    provenance_section,
    results_section,
)
from featx.reproduction.comparisons import (
    batch_section,
    comparison_section,
    schedule_section,
    settings_section,
    time_section,
)
from featx.reproduction.drawings import TITLES, Drawings
from featx.reproduction.found import THEN, TODAY, Found
from featx.reproduction.markdown import LIMITS, limits_of, merged, notes_of, shown_of
from featx.reproduction.plan import RESNET, TASK1, VGG16
from featx.reproduction.reported import Reported
from featx.reproduction.verdicts import RULES, Judged, tally
from featx.text import NOTHING, decimal

# The numbers that the report's sections and figures have, by fit: its data, model, fit and test; its curves and map.
SECTIONS = {
    TASK1: ("3.1", "3.2", "3.3", "3.4"),
    VGG16: ("4.1", "4.2", "4.3", "4.4"),
    RESNET: ("", "4.5", "4.6", "4.7"),
}
FIGURES = {TASK1: ((2, 3), 4), VGG16: ((5, 6), 7), RESNET: ((8, 9), 10)}
HEADINGS = {TASK1: "3 Task 1", VGG16: "4 Task 2: VGG16", RESNET: "4.5 Task 2: ResNet50V2"}


def write_page(found: Found, reported: Reported, table: Sequence[Judged]) -> tuple[Page, list[Path]]:
    """Return the page, and write its figures as files.

    Args:
        found: What came of each stage.
        reported: The report.
        table: The verdicts.

    Returns:
        The page and the files.

    Raises:
        StoreError: The folder cannot be written.
    """
    drawings = Drawings(found.out)
    sections = [
        _verdicts(table),
        settings_section(found),
        _task(found, TASK1, drawings),
        _task(found, VGG16, drawings, batch_section(found, reported, drawings)),
        _task(found, RESNET, drawings, schedule_section(found, drawings)),
        comparison_section(found),
        time_section(found, reported),
        _limits(found),
        _provenance(found),
    ]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = Page(
        title="A report of 2020, done again",
        headline=(
            f"“{reported.title}”, {reported.date}.",
            f"Of {len(table)} figures of the report: {tally(table)}.",
        ),
        tiles=None,
        notes=tuple(Note(line, loud=True) for line in notes_of(found)),
        sections=tuple(sections),
        footer=(
            f"Written {now} by featx {featx.__version__}. The page is one file and loads nothing from elsewhere.",
            "It holds small copies of images and the names of files: think before you pass it on.",
        ),
    )
    return page, drawings.files


def _verdicts(table: Sequence[Judged]) -> Section:
    counts = [judged for judged in table if judged.figure.kind == "count"]
    batches = [judged for judged in table if judged.figure.kind == "batch"]
    others = [judged for judged in table if judged.figure.kind not in ("count", "batch")]
    # The verdict comes early, so that it is in sight where a narrow screen shows half of the table.
    header = ("quantity", "verdict", "the report", "ours", "difference in points")
    words = frozenset({1, 2, 3, 4})
    caption = (
        "What the report states beside what was measured here, with the 95 % interval of ours in parentheses; of "
        "shares, the difference of ours, of several fits the nearest, to the report's, with its own."
    )
    blocks: list[Block] = [
        Table(caption, header, tuple(_cells(judged) for judged in others), words=words),
        *(
            Table(f"{name}.", header, tuple(_cells(j) for j in rows), words=words, fold=f"{name}: {tally(rows)}")
            for name, rows in (("Counts of images and parameters", counts), ("Batch sizes", batches))
        ),
        *_reasons(table),
        Text("The rules:"),
        Points(tuple((f"{kind.capitalize()}.", rule) for kind, rule in RULES.items())),
    ]
    return Section("Verdicts", "verdicts", tuple(blocks))


def _cells(judged: Judged) -> tuple[str, ...]:
    figure = judged.figure
    told = NOTHING
    if judged.difference is not None:
        told = "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * value for value in judged.difference))
        told = told.replace("-", "\N{MINUS SIGN}")
    return f"§{figure.section} {figure.quantity}", judged.verdict, shown_of(figure), judged.ours.shown, told


def _reasons(table: Sequence[Judged]) -> list[Block]:
    """Why claims are borne out or not, why numbers cannot be compared, and what the report says against itself."""
    blocks: list[Block] = []
    apart = [judged for judged in table if judged.verdict == "not comparable"]
    claims = [judged for judged in table if judged.figure.kind == "claim" and judged not in apart]
    for text, chosen in (("Not comparable, and why:", apart), ("Claims in words:", claims)):
        if chosen:
            blocks += [Text(text), Points(merged((judged.figure.quantity, judged.why) for judged in chosen))]
    noted = merged((judged.figure.quantity, judged.figure.note) for judged in table if judged.figure.note)
    blocks += [Text("What the report's own numbers say once they are held against each other:"), Points(noted)]
    return blocks


def _task(found: Found, name: str, drawings: Drawings, extra: Section | None = None) -> Section:
    """The sections of one of the report's models."""
    title, told = HEADINGS[name], found.runs.get(name)
    if told is None:
        text = f"This part could not be made. {found.stages.failed.get(name, '')}"
        return Section(title, f"part-{name}", (Note(text),), (extra,) if extra else ())
    data, model, fit, test = SECTIONS[name]
    drawings.curves(told, FIGURES[name][0])
    sections = [
        *([_numbered(data_section(told), data)] if data else []),
        _numbered(model_section(told), model),
        _numbered(curves_section(told), fit),
        *([extra] if extra else []),
        _numbered(results_section(told), test),
        _maps(found, name, drawings),
    ]
    return Section(f"{title}{' (random weights)' if found.random(name) else ''}", f"part-{name}", (), tuple(sections))


def _numbered(section: Section, number: str) -> Section:
    return replace(section, title=f"{number} {section.title}")


def _maps(found: Found, name: str, drawings: Drawings) -> Section:
    told, number = found.runs[name], FIGURES[name][1]
    drawn = {how: found.maps[name, how] for how in (THEN, TODAY) if (name, how) in found.maps}
    if not drawn:
        text = f"This part could not be made. {found.stages.error(f'maps/{name}') or found.stages.error('maps')}"
        return Section(f"Maps (figure {number})", f"maps-{name}", (Note(text),))
    blocks: list[Block] = [drawings.maps(told, drawn, f"figure-{number}-tsne")]
    rows = []
    for how, one in drawn.items():
        quality = (one.trustworthiness, one.stability, one.silhouette["features"], one.silhouette["map"])
        rows.append((TITLES[how], *map(decimal, quality)))
    header = ("t-SNE", "trustworthiness", "stability", "silhouette of features", "silhouette on map")
    blocks.append(Table("How far to trust the maps of the training images.", header, tuple(rows)))
    blocks.append(
        Text(
            "These features have seen the labels of the images fitted on: classes lie apart on such a map even where "
            "new images do not, so that a clean map is no evidence of a good classifier."
        )
    )
    return Section(f"Maps (figure {number})", f"maps-{name}", tuple(blocks))


def _limits(found: Found) -> Section:
    """What is known of the report's data, and what any run's page says besides."""
    items = list(limits_of(found))
    known = {head for head, _ in items} | ({"Source of the images."} if len(items) == len(LIMITS) else set())
    if VGG16 in found.runs:
        for block in limits_section(found.runs[VGG16]).blocks:
            if isinstance(block, Points):
                items += [item for item in block.items if item[0] not in known]
    return Section("What these numbers cannot show", "limits", (Points(tuple(items)),))


def _provenance(found: Found) -> Section:
    parts = tuple(replace(provenance_section(told), title=told.name) for told in found.runs.values())
    return Section("Provenance", "provenance", (), parts)
