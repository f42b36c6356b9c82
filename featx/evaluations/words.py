"""Sentences on an evaluation that the page and the terminal share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.audits import ColumnScores
from featx.evaluations.scores import Scores
from featx.stats import SIGNIFICANT, Score
from featx.text import accuracy_words, count, fraction_percent, images, p_words, percent

COPIES = "are copies of training images"


def majority_words(scores: Scores) -> str:
    """Return how often the most frequent class is right, and whether the model is better; "" for several labels."""
    own = scores.classification
    if own is None:
        return ""
    label, most = own.majority
    if most == own.n:
        return (
            f"All images are of the class {label}, so the accuracy is the sensitivity for it, and nothing is seen of "
            "images of other classes that are taken for it."
        )
    no_better = (own.no_better_than_majority() or "").replace("the head is", "the model is")
    words = f"Always answering {label}, the most frequent class here, is right for {fraction_percent(most, own.n)}."
    return f"{words} {no_better}".strip()


def subgroup_words(column: ColumnScores) -> str:
    """Return whether the accuracy differs by the values of a column, and where it is lowest."""
    worst = column.worst
    lowest = f"lowest for {worst.value} ({fraction_percent(worst.score.correct, worst.score.n)})"
    p = p_words(column.corrected_p)
    if column.differs:
        return f"By {column.column}, the accuracy differs ({p}): {lowest}."
    return f"By {column.column}, no difference of the accuracy is shown ({p}); it is {lowest}."


def outside_words(correct: NDArray[np.bool_], outside: NDArray[np.bool_], p_value: float) -> str:
    """Return how many images lie outside what the training images span, and how often the model is right there."""
    number, n = int(outside.sum()), len(outside)
    if not number:
        return "No image lies outside what the training images span."
    chance = "more than chance gives" if p_value < SIGNIFICANT else "no more than chance may give"
    words = (
        f"{count(number)} of {images(n)} ({percent(number / n)}) {'lies' if number == 1 else 'lie'} outside what the "
        f"training images span, {chance} ({p_words(p_value)})."
    )
    if number == n:
        return words
    own, rest = correct[outside], correct[~outside]
    return (
        f"{words} The model is right for {fraction_percent(int(own.sum()), number)} of them, and for "
        f"{fraction_percent(int(rest.sum()), n - number)} of the others."
    )


def copies_words(number: int, n: int, example: tuple[str, str], without: Score | None) -> str:
    """Return how many images are copies of training images in all but their bytes, and the accuracy without them."""
    words = (
        f"{count(number)} of {images(n)} {'is a copy of a training image' if number == 1 else COPIES} in all but the "
        f"bytes, such as {example[0]} of {example[1]}."
    )
    if without is None or not without.n:
        return words
    return f"{words} Without copies the accuracy is {accuracy_words(without)}."
