"""Write an audit: a page, the JSON, a table for each examination, and one of the images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import featx
from featx.audits.forms.documents import write_form
from featx.audits.result import Audit
from featx.files import finite, write_csv, write_json, write_text
from featx.pages import Block, Note, Page, Points, Section, Text, render
from featx.text import images

PAGE = "audit.html"
DOCUMENT = "audit.json"
IMAGES = "images.csv"
# Any of these shows that a folder holds an earlier audit.
FORMER = (PAGE, DOCUMENT, IMAGES)


def write_audit(
    out: Path, result: Audit, forms: Sequence[str] = (), examinations: Collection[str] = ()
) -> tuple[Path, ...]:
    """Write the files of an audit, of a run with these forms, and return their paths.

    The files of an earlier audit go first: also the tables of all examinations, of which this one may have fewer.
    """
    for name in (*FORMER, *(f"{key}.csv" for key in examinations)):
        (out / name).unlink(missing_ok=True)
    files = [write_text(out / PAGE, render(audit_page(result)))]
    for part in result.parts:
        if (table := part.table()) is not None:
            header, rows = table
            files.append(write_csv(out / f"{part.key}.csv", header, [[_cell(cell) for cell in row] for row in rows]))
    columns = result.image_columns()
    rows_of_images = zip(*columns.values(), strict=True)
    files.append(write_csv(out / IMAGES, list(columns), ([_cell(cell) for cell in row] for row in rows_of_images)))
    run = result.data.source.run
    files += [path for form in forms if run is not None for path in write_form(result, run, form, out)]
    files.append(out / DOCUMENT)
    write_json(out / DOCUMENT, finite({**result.to_json(), "files": [str(path) for path in files]}))
    return tuple(files)


def audit_page(result: Audit) -> Page:
    """Return the page of an audit."""
    return Page(
        title=f"Would it hold elsewhere? {result.name}",
        headline=(_headline(result),),
        sections=audit_sections(result),
        footer=(
            f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by featx {featx.__version__}. This page is a single "
            "file and loads nothing from the internet.",
            "It contains small copies of images and file names. Check that you may share them before you pass it on.",
        ),
        sort="featx audit",
    )


def audit_sections(result: Audit, prefix: str = "") -> tuple[Section, ...]:
    """Return the sections of an audit: the alarms, then one for each examination, and what was left out.

    Args:
        result: The audit.
        prefix: Stands before ids, which must be unique on a page.
    """
    return tuple(_sections(result, prefix))


def _sections(result: Audit, prefix: str) -> Iterator[Section]:
    yield Section("Alarms", f"{prefix}alarms", _alarms(result))
    for part in result.parts:
        blocks = (*(Text(sentence) for sentence in part.summary()), *part.blocks(result.data, f"{prefix}{part.key}-"))
        yield Section(part.title, f"{prefix}{part.key.replace('_', '-')}", blocks)
    if result.left_out:
        yield Section("Not examined", f"{prefix}not-examined", (Points(tuple(result.reasons())),))


def _alarms(result: Audit) -> tuple[Block, ...]:
    if not result.alarms:
        return (
            Text(
                "No examination raised an alarm. This does not prove that results hold elsewhere: what these images "
                "do not show cannot be seen in them. Only images from another place can tell."
            ),
        )
    return tuple(Note(sentence, loud=True) for sentence in result.alarms)


def _headline(result: Audit) -> str:
    alarms = len(result.alarms)
    words = "no alarm" if not alarms else "1 alarm" if alarms == 1 else f"{alarms} alarms"
    ways, were = len(result.parts), "was" if result.n == 1 else "were"
    return f"{images(result.n)} {were} examined in {ways} way{'s' * (ways != 1)}: {words}."


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
