"""Sentences on an evaluation that the page and the terminal share."""

from __future__ import annotations

from featx.audits import ColumnScores
from featx.evaluations.scores import Scores
from featx.text import fraction_percent, p_words


def majority_words(scores: Scores) -> str:
    """Return how often the most frequent class is right, and whether the model is better; "" for several labels."""
    if scores.majority is None:
        return ""
    label, most = scores.majority
    score = scores.score
    words = f"Always answering {label}, the most frequent class here, is right for {fraction_percent(most, score.n)}."
    if score.correct <= most:
        return f"{words} The model is not better than that."
    if score.interval is not None and score.interval[0] <= most / score.n:
        return f"{words} The interval of the model's accuracy contains this, so it may be no better than that."
    return words


def subgroup_words(column: ColumnScores) -> str:
    """Return whether the accuracy differs by the values of a column, and where it is lowest."""
    worst = column.worst
    lowest = f"lowest for {worst.value} ({fraction_percent(worst.score.correct, worst.score.n)})"
    p = p_words(column.corrected_p)
    if column.differs:
        return f"By {column.column}, the accuracy differs ({p}): {lowest}."
    return f"By {column.column}, no difference of the accuracy is shown ({p}); it is {lowest}."
