"""A filled form as Markdown, as a page, and as a document for word processors."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import featx
from featx.audits.forms.answers import Answer, Answers
from featx.audits.forms.checklists import FORMS, Checklist, read_checklist
from featx.audits.forms.subject import Subject
from featx.audits.result import Audit
from featx.errors import UsageError, reason_of
from featx.files import write_file, write_text
from featx.pages import Block, Page, Section, Table, Text, render
from featx.runs import Run
from featx.text import count

log = logging.getLogger("featx")
YOURS = "Yours to write"
# Widths of the columns in a document, as numbers of dashes: number, item, answer, page of the paper.
WIDTHS = (8, 26, 58, 8)
# What means something in Markdown, whether CommonMark's or pandoc's.
SPECIAL = re.compile(r"[\\`*\[\]<>|$~^@#&]|(?<!\w)_|_(?!\w)")
PANDOC, PANDOC_SECONDS = "pandoc", 120


def form_files(out: Path, form: str) -> tuple[Path, Path, Path]:
    """Return the paths of a form: Markdown, HTML and DOCX, the last of which is written only where pandoc is."""
    return out / f"{form}.md", out / f"{form}.html", out / f"{form}.docx"


def check_forms(out: Path | None, forms: Sequence[str], of_run: bool) -> None:
    """Check that these forms can be written, before any work.

    Raises:
        UsageError: A form is unknown, or it has no run or no folder, or was written before.
    """
    for form in forms:
        if form not in FORMS:
            raise UsageError(f"Expected a form among {', '.join(FORMS)}, received {form!r}; choose one of them.")
    if not forms:
        return
    if not of_run:
        raise UsageError(
            f"Expected a run to fill the form {forms[0]} from, received data; fit a head and audit its run."
        )
    if out is None:
        raise UsageError(f"Expected a folder for the form {forms[0]}, received none; name one with --out.")
    for form in forms:
        for path in form_files(out, form):
            if path.exists():
                raise UsageError(
                    f"Expected no form in {out}, found {path.name}, which may have words of yours; move it away, or "
                    "choose another folder with --out."
                )


def write_form(audit: Audit, run: Run, form: str, out: Path) -> tuple[Path, ...]:
    """Write a form of `FORMS`, filled from a run and its audit, and return the paths of its files.

    Raises:
        StoreError: A file cannot be written.
    """
    checklist = read_checklist(form)
    answers = Answers(Subject(audit, run), checklist)
    answered = [answers.answer(item) for item in checklist.items]
    markdown, page, document = form_files(out, form)
    files = [
        write_text(markdown, form_markdown(checklist, answered, audit.name)),
        write_text(page, render(form_page(checklist, answered, audit.name))),
    ]
    converted = _document_of(markdown)
    return (*files, *([] if converted is None else [write_file(document, lambda path: path.write_bytes(converted))]))


def form_markdown(checklist: Checklist, answers: Sequence[Answer], name: str) -> str:
    """Return a form as Markdown: a table for each section."""
    lines = [f"# {_escaped(_title(checklist, name))}", ""]
    lines += [line for paragraph in _preface(checklist, answers) for line in (_escaped(paragraph), "")]
    header = _header(checklist)
    for section, rows in _by_section(answers).items():
        dashes = ["-" * width for width in WIDTHS[: len(header)]]
        lines += [f"## {_escaped(section)}", "", _row(header), _row(dashes)]
        for answer in rows:
            item = f"**{_escaped(answer.item.title)}.** {_escaped(answer.item.asks)}"
            yours = f"**{YOURS}:** {_escaped(answer.write)}." if answer.write else ""
            text = " ".join(filter(None, (_escaped(answer.text), yours)))
            lines.append(_row([_escaped(answer.item.number), item, text, ""][: len(header)]))
        lines.append("")
    return "\n".join([*lines, _escaped(_footer()), ""])


def form_page(checklist: Checklist, answers: Sequence[Answer], name: str) -> Page:
    """Return a form as a page."""
    header = ("item", "what it asks", "from the run", "yours to write")
    first, *preface = _preface(checklist, answers)
    sections = [Section("About this form", "about", tuple(map(Text, preface)))]
    for number, (section, rows) in enumerate(_by_section(answers).items()):
        numbers = [answer.item.plain_number for answer in rows]
        caption = f"Items {numbers[0]} to {numbers[-1]}" if len(rows) > 1 else f"Item {numbers[0]}"
        table: Block = Table(caption, header, tuple(map(_cells, rows)), frozenset(range(1, len(header))))
        sections.append(Section(section, f"section-{number}", (table,)))
    return Page(
        title=_title(checklist, name),
        headline=(first,),
        sections=tuple(sections),
        footer=(_footer(),),
        sort="featx audit",
    )


def _cells(answer: Answer) -> tuple[str, ...]:
    item = answer.item
    return item.number, f"{item.title}. {item.asks}", answer.text, answer.write


def _title(checklist: Checklist, name: str) -> str:
    return f"{checklist.title}: {name}"


def _header(checklist: Checklist) -> tuple[str, ...]:
    header = ("item", "what it asks", "answer")
    return (*header, "page") if checklist.pages else header


def _preface(checklist: Checklist, answers: Sequence[Answer]) -> tuple[str, ...]:
    states = Counter(answer.state for answer in answers)
    return (
        f"Of {count(len(answers))} items, featx filled {states['filled']} from the run, {states['in part']} in part, "
        f"and {states['yours to write']} are yours to write.",
        f"{checklist.about}. {checklist.source}.",
        checklist.licence,
        "What featx filled was read from the run and its audit. Check it: featx does not know what was done to the "
        "data before, nor what you will write. An item that is answered is not yet a study that is well done.",
    )


def _footer() -> str:
    return f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by featx {featx.__version__}."


def _by_section(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    sections: dict[str, list[Answer]] = {}
    for answer in answers:
        sections.setdefault(answer.item.section, []).append(answer)
    return sections


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Return text on one line in which no character means anything in Markdown."""
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def _document_of(markdown: Path) -> bytes | None:
    """Return a Markdown file as DOCX, made by pandoc; None, with a warning, where it fails or is not there."""
    program = shutil.which(PANDOC)
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"{markdown.stem}.docx"
        command = [program, "--from=markdown-smart", "--to=docx", f"--output={target}", str(markdown.resolve())]
        try:
            subprocess.run(command, capture_output=True, timeout=PANDOC_SECONDS, check=True)  # noqa: S603
            return target.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or b""
            reason = " ".join(said.decode("utf-8", "replace").split())[:300] or reason_of(error)
    log.warning(
        "pandoc could not make a DOCX file of %s (%s); the form is complete as Markdown and HTML.", markdown, reason
    )
    return None
