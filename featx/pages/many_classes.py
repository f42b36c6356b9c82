"""What a page shows of very many classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Rows of classes in a table, and rows from which on a table is closed at first.
MOST_ROWS = 500
MOST_OPEN = 60


def few_classes(classes: Sequence[str], rank: Callable[[str], float], first: str) -> tuple[list[str], str]:
    """Return the classes of a table's rows and words for its caption; of very many those with the lowest rank.

    Args:
        classes: All of them, in order.
        rank: What very many are chosen by; equal ones are in order.
        first: What the chosen ones have in words, such as "the most images".
    """
    if len(classes) <= MOST_ROWS:
        return list(classes), ""
    chosen = sorted(classes, key=rank)[:MOST_ROWS]
    return chosen, f" These are the {MOST_ROWS} of {len(classes):,} classes with {first}."


def fold_of(rows: Sequence[str]) -> str:
    """Return the words that open a long table, "" for one that is open."""
    return f"{len(rows):,} classes" if len(rows) > MOST_OPEN else ""
