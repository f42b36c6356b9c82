from __future__ import annotations

import json
import logging
import re
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from label_data import label_manifest
from pipeline_data import files_of, small_data, small_recipe, write_manifest

from featx.audits import Audit, AuditData, Part, audit
from featx.audits.auditing import EXAMINATIONS
from featx.audits.forms.answers import ANSWERS, CONDITIONS, EXAMINATION, Answer
from featx.audits.forms.checklists import FORMS, Checklist, Item, read_checklist
from featx.audits.forms.documents import form_markdown, write_form
from featx.errors import UsageError
from featx.pages import Block
from featx.runs import Run, fit_head, read_run

# Examinations that take long and that nothing here needs.
SLOW = ("shortcuts", "learning_curve", "duplicates", "columns", "label_doubts")


class Audited(NamedTuple):
    run: Run
    audit: Audit
    cache: Path


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Audited:
    """A run on phantoms in a manifest: two images of a patient, and their sex and age; without slow examinations."""
    root = tmp_path_factory.mktemp("forms")
    data = small_data(root / "data", train=12, test=6)
    images = files_of(data)
    place = {image: number for number, image in enumerate(images)}
    columns = {
        "group": lambda image: f"p{place[image] // 2}",
        "sex": lambda image: "FM"[place[image] // 2 % 2],
        "age": lambda image: str(20 + place[image] // 2),
    }
    manifest = write_manifest(root / "small.csv", data, images, columns)
    fit = fit_head(manifest, small_recipe(tiny_model), out=root / "run", cache=root / "cache")
    return Audited(read_run(fit.run), audit(fit.run, cache=root / "cache", without=SLOW), root / "cache")


class Loud(Part):
    """An examination that raises alarms."""

    key = "loud"
    title = "Loud"

    def to_json(self) -> None:
        """Return nothing."""

    def summary(self) -> tuple[str, ...]:
        return ("It was loud.",)

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        return ()

    def alarms(self) -> tuple[str, ...]:
        return "The heads grew.", "The tails shrank."


def answers_of(path: Path) -> dict[str, str]:
    """The answers of a form in Markdown, by the number of the item."""
    rows = [re.split(r"(?<!\\)\|", line) for line in path.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row[1:-1]] for row in rows]
    return {row[0]: row[2].replace("\\", "") for row in cells if row[0][0].isdigit()}


def written(audited: Audited, form: str, out: Path) -> dict[str, str]:
    write_form(audited.audit, audited.run, form, out)
    return answers_of(out / f"{form}.md")


# --- the lists ---


def test_claim_has_its_44_items() -> None:
    assert [item.number for item in read_checklist("claim").items] == [str(number) for number in range(1, 45)]


def test_tripod_ai_has_its_27_items_and_52_parts() -> None:
    numbers = [item.plain_number for item in read_checklist("tripod-ai").items]
    assert len(set(numbers)) == len(numbers) == 52
    assert list(dict.fromkeys(int(re.findall(r"\d+", number)[0]) for number in numbers)) == list(range(1, 28))
    parts = {"3": "abc", "5": "ab", "6": "abc", "8": "abc", "9": "abc", "12": "abcdefg", "18": "abcdef", "20": "abc"}
    parts |= {"23": "ab", "27": "abc"}
    for number, letters in parts.items():
        assert [own for own in numbers if re.fullmatch(rf"{number}[a-z]", own)] == [
            f"{number}{own}" for own in letters
        ]


def test_tripod_ai_says_what_is_of_development_or_evaluation_alone() -> None:
    stages = {item.plain_number: item.number.split(" ", 1)[1] for item in read_checklist("tripod-ai").items}
    alone = {number: stage for number, stage in stages.items() if stage != "(D, E)"}
    development = ("9a", "12a", "12b", "12c", "15", "22", "27a", "27b")
    assert alone == dict.fromkeys(development, "(D)") | dict.fromkeys(("12f", "12g", "20c", "24"), "(E)")


def test_a_model_card_has_the_nine_sections() -> None:
    assert list(read_checklist("model-card").sections()) == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_what_fills_items_is_there(form: str) -> None:
    for item in read_checklist(form).items:
        assert item.asks.endswith("." if form != "model-card" else "?")
        assert item.fill or item.write
        assert not item.when or item.when in CONDITIONS
        for key in item.fill:
            assert key in ANSWERS or (key.startswith(EXAMINATION) and key.removeprefix(EXAMINATION) in EXAMINATIONS)


def test_every_answer_is_used() -> None:
    assert {key for form in FORMS for item in read_checklist(form).items for key in item.fill} >= set(ANSWERS)


# --- answers from a run ---


def test_claim_is_filled_with_the_numbers_of_the_run(audited: Audited, tmp_path: Path) -> None:
    answers = written(audited, "claim", tmp_path)
    test, run = audited.run.metrics["test"], audited.run
    assert f"test images {test['correct']}/24" in answers["37"]
    assert f"{100 * test['accuracy']:.1f} %" in answers["37"]
    assert "72 images in 36 groups: training" in answers["35"]
    assert "test 24 in 12 groups (covid 6, normal 6, pneumonia_bac 6, pneumonia_vir 6)" in answers["35"]
    assert "disjoint by group" in answers["20"]
    assert "none of 36 groups is in more than one part" in answers["20"]
    assert f"{run.metrics['parameters']['trainable']:,} trained parameters" in answers["22"]
    assert "dropout of 0.1, a dense layer of 16 units with relu and a dense layer of 4 units" in answers["22"]
    assert f"featx {run.manifest['versions']['featx']}" in answers["23"]
    assert "learning rate of 0.003" in answers["25"]
    wrong = 24 - test["correct"]
    assert f"{wrong} of 24 test images were misclassified" in answers["39"]
    assert answers["44"] == "**Yours to write:** the funding."


def test_columns_of_the_manifest_are_described_by_part(audited: Audited, tmp_path: Path) -> None:
    text = written(audited, "claim", tmp_path)["36"]
    sex, age = sorted(text.split(". ")[:2], key=lambda one: not one.startswith("sex"))
    assert "test F 12, M 12" in sex
    assert "test median" in age
    ages = [int(image.extra["age"]) for image in audited.run.images if image.role == "test"]
    assert f"test median {statistics.median(ages):g}," in age


def test_subgroups_fill_their_items_and_leave_nothing_to_write(audited: Audited, tmp_path: Path) -> None:
    text = written(audited, "claim", tmp_path)["37"]
    assert "The lowest by" in text
    assert "Yours to write" not in text


def test_examinations_that_were_left_out_are_left_to_the_author(audited: Audited, tmp_path: Path) -> None:
    lean = replace(audited.audit, parts=tuple(part for part in audited.audit.parts if part.key == "atypical"))
    answers = written(Audited(audited.run, lean, audited.cache), "claim", tmp_path)
    assert "The lowest by" not in answers["37"]
    assert "performance in subgroups, which the audit does not have" in answers["37"]
    assert answers["38"].startswith("**Yours to write:**")


@pytest.mark.parametrize("form", FORMS)
def test_no_item_is_left_empty(audited: Audited, tmp_path: Path, form: str) -> None:
    answers = written(audited, form, tmp_path)
    assert list(answers) == [item.number for item in read_checklist(form).items]
    assert all(answers.values())
    for text in answers.values():
        assert "None" not in text
        assert " nan" not in text
        assert ".." not in text


def test_long_answers_are_given_once_and_referred_to(audited: Audited, tmp_path: Path) -> None:
    answers = written(audited, "claim", tmp_path)
    assert answers["2"].startswith("See items 35 and 37.")
    assert sum("balanced accuracy" in text.lower() and "sensitivity" in text for text in answers.values()) <= 2


def test_alarms_stand_under_the_limitations(audited: Audited, tmp_path: Path) -> None:
    parts = (*audited.audit.parts, Loud())
    loud = replace(audited.audit, parts=tuple(part for part in parts if part.key in ("atypical", "loud")))
    text = written(Audited(audited.run, loud, audited.cache), "claim", tmp_path)["40"]
    assert "raised 2 alarms: (1) The heads grew. (2) The tails shrank." in text


def test_a_run_without_test_images_is_said_to_have_none(tmp_path: Path, tiny_model: Path) -> None:
    data = small_data(tmp_path / "data", train=8, test=1)
    shutil.rmtree(data / "test")
    fit = fit_head(data, small_recipe(tiny_model), out=tmp_path / "run", cache=tmp_path / "cache")
    result = audit(fit.run, cache=tmp_path / "cache", without=SLOW)
    answers = written(Audited(read_run(fit.run), result, tmp_path / "cache"), "tripod-ai", tmp_path / "out")
    assert "There are no test images." in answers["12a (D)"]
    assert "not evaluated on test images" in answers["4 (D, E)"]
    assert "tuning (validation) images" in answers["23a (D, E)"]


def test_a_run_of_several_labels_fills_every_form(tmp_path: Path, tiny_model: Path) -> None:
    manifest = label_manifest(tmp_path, train=8, test=4)
    recipe = small_recipe(tiny_model, {"head.output": "sigmoid"})
    fit = fit_head(manifest, recipe, out=tmp_path / "run", cache=tmp_path / "cache")
    audited = Audited(read_run(fit.run), audit(fit.run, cache=tmp_path / "cache", without=SLOW), tmp_path / "cache")
    for form in FORMS:
        assert all(written(audited, form, tmp_path / "out").values())
    claim = answers_of(tmp_path / "out" / "claim.md")
    assert "which of 3 labels are there: odd, opacity and viral" in claim["6"]
    assert "1 label of an image is unknown" in claim["12"]
    assert "All labels correct" in claim["37"]


# --- files ---


def test_the_page_has_every_item(audited: Audited, tmp_path: Path) -> None:
    write_form(audited.audit, audited.run, "tripod-ai", tmp_path)
    page = (tmp_path / "tripod-ai.html").read_text("utf-8")
    for item in read_checklist("tripod-ai").items:
        assert f'<th scope="row">{item.number}</th>' in page
    assert "yours to write" in page


def test_no_text_breaks_the_table() -> None:
    item = Item("1", "A | B", "C*d*", "asks `x`", write="y|z")
    checklist = Checklist("claim", "T", "about", "source", "licence", True, (item,))
    text = form_markdown(checklist, [Answer(item, "a|b\n_c_ <script> d_e\\|", "y|z")], "run")
    (row,) = (line for line in text.splitlines() if line.startswith("| 1 "))
    assert len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) == 5
    assert r"a\|b \_c\_ \<script\> d_e" in row
    assert "<script>" not in text


def fake_pandoc(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "pandoc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_pandoc_makes_a_document(audited: Audited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = 'for word; do case "$word" in --output=*) out="${word#--output=}";; esac; last="$word"; done'
    copy = f'{find}; cp "$last" "$out"'
    fake_pandoc(tmp_path, copy, monkeypatch)
    files = write_form(audited.audit, audited.run, "claim", tmp_path / "out")
    assert [path.suffix for path in files] == [".md", ".html", ".docx"]
    assert files[2].read_bytes() == files[0].read_bytes()


def test_a_pandoc_that_fails_is_said_and_the_rest_is_written(
    audited: Audited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake_pandoc(tmp_path, "echo no such format >&2; exit 21", monkeypatch)
    with caplog.at_level(logging.WARNING, "featx"):
        files = write_form(audited.audit, audited.run, "claim", tmp_path / "out")
    assert [path.suffix for path in files] == [".md", ".html"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["claim.html", "claim.md"]
    (notice,) = caplog.messages
    assert "no such format" in notice


@pytest.mark.skipif(shutil.which("pandoc") is None, reason="pandoc is not installed")
def test_the_document_is_one_of_word_processors(audited: Audited, tmp_path: Path) -> None:
    files = write_form(audited.audit, audited.run, "claim", tmp_path)
    assert files[2].read_bytes().startswith(b"PK")


def test_the_audit_lists_its_forms_and_never_writes_over_one(
    audited: Audited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    choice: Mapping[str, object] = {"cache": audited.cache, "without": tuple(set(EXAMINATIONS) - {"atypical"})}
    result = audit(audited.run.path, out=tmp_path / "out", form="model-card", **choice)  # type: ignore[arg-type]
    form = tmp_path / "out" / "model-card.md"
    assert form in result.files
    assert str(form) in json.loads((tmp_path / "out" / "audit.json").read_text("utf-8"))["files"]
    form.write_text("My own words.", "utf-8")
    with pytest.raises(UsageError, match=r"found model-card\.md, which may have words of yours"):
        audit(audited.run.path, out=tmp_path / "out", form="model-card", **choice)  # type: ignore[arg-type]
    audit(audited.run.path, out=tmp_path / "out", **choice)  # type: ignore[arg-type]
    assert form.read_text("utf-8") == "My own words."


def test_forms_need_a_known_name_a_folder_and_a_run(audited: Audited, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected a form among claim, tripod-ai, model-card, received 'stard'"):
        audit(audited.run.path, out=tmp_path / "out", form="stard", cache=audited.cache)
    with pytest.raises(UsageError, match="Expected a folder for the form claim, received none; name one with out"):
        audit(audited.run.path, form="claim", cache=audited.cache)
    with pytest.raises(UsageError, match="Expected a run to fill the form claim from, received data"):
        audit(tmp_path, out=tmp_path / "out", form="claim", cache=audited.cache)
    assert not (tmp_path / "out").exists()
