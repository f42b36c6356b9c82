"""Several labels for each image: cells that name several, and a column of 0 and 1 for each label."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from featx.data.choice import MARK, NONE
from featx.data.dataset import Item, first_few, in_sentence
from featx.errors import DataError
from featx.text import LABEL_SEPARATOR

log = logging.getLogger("featx")

UNKNOWN = math.nan
Targets = tuple[float, ...]
# What cells of columns for labels say; -1 is what CheXpert writes for what its reports leave open.
_MARKS = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0}
_UNCERTAIN = ("-1", "-1.0")


def label_of_column(name: str) -> str | None:
    """Return the label that a column is for, by its name `label:NAME`; None for other columns."""
    return name[len(MARK) :].strip() if name.casefold().startswith(MARK) else None


def targets_of_cells(
    cells: Sequence[str | None], separator: str | None
) -> tuple[tuple[str, ...], list[Targets]] | None:
    """Return the labels, sorted, and the targets of cells that name several labels; None if each is one label.

    Without a separator that was chosen, cells are taken apart at `LABEL_SEPARATOR` if one of them has several parts.
    An empty cell says of no label whether it is there.
    """
    if separator == NONE:
        return None
    parts = [None if cell is None else _parts(cell, separator or LABEL_SEPARATOR) for cell in cells]
    if separator is None and not any(len(several) > 1 for several in parts if several):
        return None
    names = tuple(sorted({name for several in parts for name in several or ()}))
    if not names:
        return None
    unknown = (UNKNOWN,) * len(names)
    rows = {several: unknown if not several else _marks(several, names) for several in set(parts)}
    return names, [rows[several] for several in parts]


def targets_of_columns(
    table: str, columns: Mapping[str, Sequence[str | None]], first: int
) -> tuple[tuple[str, ...], list[Targets]]:
    """Return the labels, sorted, and the targets of a table's columns of 0, 1 and empty cells.

    Args:
        table: The table's name, for messages.
        columns: The cells of each label as texts; -1 is unknown like an empty cell.
        first: Number of the first row, for messages.
    """
    names = tuple(sorted(columns))
    uncertain = {name: sum(cell in _UNCERTAIN for cell in columns[name]) for name in names}
    if sum(uncertain.values()):
        log.warning(
            "Cells of -1 are taken for unknown (%d): %s",
            sum(uncertain.values()),
            first_few([name for name in names if uncertain[name]]),
        )
    targets = [[_mark(table, name, row, cell) for row, cell in enumerate(columns[name], first)] for name in names]
    return names, list(zip(*targets, strict=True))


def _mark(table: str, name: str, row: int, cell: str | None) -> float:
    if cell is None or cell in _UNCERTAIN:
        return UNKNOWN
    mark = _MARKS.get(cell.casefold())
    if mark is None:
        raise DataError(
            f"Expected 0, 1 or nothing in row {row} of {table} for the label {in_sentence(name)}, found "
            f"{in_sentence(cell)}; correct the cell, or choose the columns of labels with --label-columns."
        )
    return mark


def _parts(cell: str, separator: str) -> tuple[str, ...]:
    return tuple(sorted({part.strip() for part in cell.split(separator)} - {""}))


def _marks(there: Sequence[str], names: Sequence[str]) -> Targets:
    return tuple(float(name in there) for name in names)


def aligned(items: Iterable[Item], names: Sequence[str], wanted: Sequence[str]) -> list[Item]:
    """Return items whose targets are those of other labels, or of the same in another order.

    An item with one label has this one and no other. What an item does not say of a label is unknown.
    """
    place = {name: number for number, name in enumerate(names)}

    def targets(item: Item) -> Targets:
        if item.label is not None:
            return _marks((item.label,), wanted)
        if item.targets is None:
            return (UNKNOWN,) * len(wanted)
        return tuple(item.targets[place[name]] if name in place else UNKNOWN for name in wanted)

    if tuple(names) == tuple(wanted):
        return [
            item if item.targets is not None else replace(item, label=None, targets=targets(item)) for item in items
        ]
    return [replace(item, label=None, targets=targets(item)) for item in items]
