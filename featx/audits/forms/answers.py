"""Which answer fills which key of a form's items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from featx.audits.forms import data_answers, model_answers, result_answers
from featx.audits.forms.checklists import Checklist, Item
from featx.audits.forms.subject import Subject, joined

State = Literal["filled", "in part", "yours to write"]

# Before the key of an examination, whose summary is the answer.
EXAMINATION = "part:"
# An answer of more characters is given once.
LONG = 220

ANSWERS: dict[str, Callable[[Subject], str | None]] = {
    "technique": model_answers.technique,
    "task": model_answers.task,
    "predictors": model_answers.predictors,
    "no_judgement": model_answers.no_judgement,
    "images": model_answers.prepared,
    "views": model_answers.views,
    "network": model_answers.network,
    "head": model_answers.head,
    "probabilities": model_answers.probabilities,
    "software": model_answers.software,
    "machine": model_answers.machine,
    "initial": model_answers.initial,
    "training": model_answers.training,
    "selection": model_answers.selection,
    "members": model_answers.members,
    "imbalance": model_answers.imbalance,
    "temperature": model_answers.temperature,
    "predicting": model_answers.predicting,
    "identity": model_answers.identity,
    "run_files": model_answers.run_files,
    "licence": model_answers.licence,
    "source": data_answers.source,
    "counts": data_answers.counts,
    "roles": data_answers.roles,
    "split": data_answers.split,
    "disjoint": data_answers.disjoint,
    "failed": data_answers.failed,
    "missing": data_answers.missing,
    "files": data_answers.files,
    "columns": data_answers.columns,
    "clusters": data_answers.clusters,
    "same_for_all": data_answers.same_for_all,
    "same_source": data_answers.same_source,
    "external": data_answers.external,
    "factors": data_answers.factors,
    "accuracy": result_answers.accuracy,
    "per_class": result_answers.per_class,
    "operating": result_answers.operating,
    "sample": result_answers.sample,
    "measures": result_answers.measures,
    "uncertainty": result_answers.uncertainty,
    "failures": result_answers.failures,
    "alarms": result_answers.alarms,
    "temperature_results": result_answers.temperature_results,
    "both_stages": result_answers.both_stages,
    "scope": result_answers.scope,
    "strange_input": result_answers.strange_input,
}

CONDITIONS: dict[str, Callable[[Subject], bool]] = {
    "given_splits": data_answers.given_splits,
    "no_groups": lambda subject: not subject.named_groups,
    "no_subgroups": lambda subject: subject.subgroups is None,
}


@dataclass(frozen=True)
class Answer:
    """What a form says to an item.

    Attributes:
        item: The item.
        text: What featx knows; "" if nothing.
        write: What is left to the author; "" if nothing.
    """

    item: Item
    text: str
    write: str

    @property
    def state(self) -> State:
        """Whether the item is filled, filled in part, or left to the author."""
        if not self.text:
            return "yours to write"
        return "in part" if self.write else "filled"


class Answers:
    """The answers of one form.

    A long answer that several items need stands at the last of them, to which the others refer: lists come to their
    results last.

    Args:
        subject: What the form is filled from.
        checklist: The form.
    """

    def __init__(self, subject: Subject, checklist: Checklist) -> None:
        self._subject = subject
        self._texts: dict[str, str] = {}
        self._homes = {key: item for item in checklist.items for key in item.fill}

    def answer(self, item: Item) -> Answer:
        """Return what is known of an item, and what is left to the author."""
        texts, elsewhere = [], []
        for key in item.fill:
            text, home = self._text(key), self._homes[key]
            if len(text) > LONG and home is not item:
                elsewhere.append(home.plain_number)
            elif text:
                texts.append(text)
        if elsewhere:
            numbers = list(dict.fromkeys(elsewhere))
            texts.append(f"See item{'s' * (len(numbers) > 1)} {joined(numbers)}.")
        asked = not item.when or CONDITIONS[item.when](self._subject)
        write = item.write if asked else ""
        return Answer(item, " ".join(texts), write or ("" if texts else "the answer"))

    def _text(self, key: str) -> str:
        if key not in self._texts:
            if key.startswith(EXAMINATION):
                part = self._subject.part(key.removeprefix(EXAMINATION))
                self._texts[key] = "" if part is None else " ".join(part.summary())
            else:
                self._texts[key] = ANSWERS[key](self._subject) or ""
        return self._texts[key]
