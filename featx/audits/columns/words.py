"""What the comparison with further columns says in words, and what it shows."""

from __future__ import annotations

import numpy as np

from featx.audits.columns.left_out_values import LeftOut
from featx.audits.columns.results import ColumnResult, ColumnResults
from featx.audits.columns.separated import pairs_words
from featx.audits.probes.words import area_words, listed
from featx.data import first_few
from featx.pages import Block, Table, Text
from featx.stats import Score
from featx.text import decimal, interval_percent, percent

# Values of which the classes are named in a sentence.
MOST_NAMED = 3


def alarm_words(result: ColumnResult) -> tuple[str, ...]:
    """Return a sentence for each reason why results may be about a column; none without an alarm."""
    name, sentences = result.values.name, []
    if result.inseparable:
        sentences.append(
            f"{name} and the class go together (Cramér's V {decimal(result.cramers_v, 2)}): no statistic can "
            f"separate the two here. {_values_words(result)}"
        )
    elif result.separated:
        sentences.append(
            f"{name} separates {pairs_words(result.separated)}: these classes have hardly a value of {name} in "
            f"common, and no statistic can separate the two here. {_values_words(result)}"
        )
    elif result.a_shortcut:
        best = result.told[0]
        sentences.append(
            f"{name} goes with the class (Cramér's V {decimal(result.cramers_v, 2)}), and the features tell "
            f"{_side_words(result, best.value)} among images of the same class with AUC {area_words(best.area)}: a "
            "network may have learnt it instead of the class."
        )
    sentences += [_left_words(name, one) for one in result.worse_elsewhere]
    return tuple(sentences)


def _values_words(result: ColumnResult) -> str:
    """Return which classes the images of each value have."""
    parts = []
    for value, counts in zip(result.values.values, result.table, strict=True):
        there = [result.classes[place] for place in np.flatnonzero(counts)]
        if there:
            parts.append(f"{result.values.name} {value} has {first_few(there)}")
    more = f"; and {len(parts) - MOST_NAMED} more values" if len(parts) > MOST_NAMED else ""
    return "; ".join(parts[:MOST_NAMED]) + more + "."


def _side_words(result: ColumnResult, value: str) -> str:
    return "high from low numbers" if result.values.numbers is not None else f"{value} from the other values"


def _left_words(name: str, one: LeftOut) -> str:
    return (
        f"Without images of {name} {one.value} in training, {_score_words(one.without)} of its images are classified "
        f"correctly, and {_score_words(one.mixed)} with such images among as many: expect less on new values."
    )


def _score_words(score: Score) -> str:
    return f"{percent(score.accuracy)} ({interval_percent(score.interval)})"


def summary_words(part: ColumnResults) -> tuple[str, ...]:
    """Return which columns go with the class, which the features tell, and which divide nothing."""
    names = [one.values.name for one in part.results]
    loud = [one.values.name for one in part.results if one.alarm]
    told = [one for one in part.results if one.told and one.told[0].corrected_p < 0.05]
    first = f"{listed(loud)} may explain the class." if loud else f"No alarm from {first_few(names)}."
    second = [
        "The features tell, among images of the same class: "
        + "; ".join(f"{one.values.name} with AUC {area_words(one.told[0].area)}" for one in told[:5])
        + "."
    ]
    ignored = [f"{name} ({reason})" for name, reason in part.ignored.items()]
    third = [f"Not compared: {first_few(ignored)}."] if ignored else []
    return (first, *(second if told else []), *third)


def column_blocks(part: ColumnResults) -> tuple[Block, ...]:
    """Return the tables, and how to read them."""
    header = ("column", "values", "without a value", "Cramér's V with the class", "AUC of the features", "value told")
    rows = []
    for one in part.results:
        best = one.told[0] if one.told else None
        told = (area_words(best.area), best.value) if best else ("–", "too few images of one class")
        mark = " !" if one.alarm else ""
        against = f" ({one.against})" if one.against else ""
        rows.append(
            (
                one.values.name + mark,
                f"{len(one.values.values):,}",
                f"{one.values.missing:,}",
                decimal(one.cramers_v, 2) + against,
                *told,
            )
        )
    caption = "Columns of the manifest; ! marks an alarm. The AUC compares images of the same class only."
    return (
        Table(caption, header, tuple(rows), frozenset({4, 5})),
        *_left_table(part),
        Text(
            "Cramér's V is 0 where a column and the class are independent, and 1 where one determines the other; its "
            "bias is subtracted. Columns of many numbers are divided into thirds. How well the features tell a value "
            "is measured out of fold with whole groups, among images of the same class, so the class cannot help; of "
            "several values the best told is shown, with a p-value that counts all of them."
        ),
    )


def _left_table(part: ColumnResults) -> tuple[Block, ...]:
    rows = [
        (
            one.values.name,
            left.value + (" !" if left.worse else ""),
            f"{left.without.n:,}",
            _score_words(left.without),
            _score_words(left.mixed),
        )
        for one in part.results
        for left in one.left_out
    ]
    if not rows:
        return ()
    header = ("column", "value", "images", "accuracy without such images in training", "with such images")
    caption = (
        "Accuracy of a classifier on the images of a value that it saw no image of, and out of fold with all "
        "values and as many training images, all classes counting the same; ! marks intervals that do not touch."
    )
    return (Table(caption, header, tuple(rows), frozenset({1})),)
