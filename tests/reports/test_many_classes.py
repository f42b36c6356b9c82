from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from featx.pages import Table, few_classes, fold_of
from featx.recipes import load_recipe
from featx.reports import results
from featx.runs import RunImage


def image(number: int, label: str, predicted: str) -> RunImage:
    return RunImage(f"{number}.png", "test", "test", label, predicted, (), f"{number:064x}")


def test_few_classes_are_all_shown_and_many_by_rank() -> None:
    names = [f"class {number}" for number in range(1200)]
    assert few_classes(names[:500], len, "the most images") == (names[:500], "")
    chosen, words = few_classes(names, lambda name: -int(name.split()[1]), "the most images")
    assert chosen == names[:-501:-1]
    assert words == " These are the 500 of 1,200 classes with the most images."
    assert (fold_of(names[:60]), fold_of(names[:61])) == ("", "61 classes")


@pytest.mark.parametrize("k", [2, 31, 1200])
def test_tables_by_class_are_bounded_and_right(k: int) -> None:
    names = [f"class {number}" for number in range(k)]
    # Of each class two images, and the second one of the last class is taken for the first class.
    chosen = [image(i, names[i // 2], names[i // 2]) for i in range(2 * k - 1)]
    chosen.append(image(2 * k, names[-1], names[0]))
    table = results._by_class(names, chosen, "test")
    assert len(table.rows) == min(k, 500)
    rows = {row[0]: row for row in table.rows}
    assert rows[names[-1]][2].startswith("1/2")
    assert rows[names[0]][3].startswith("2/3")
    block = results._confusion(names, chosen, "test")
    if k > 30:
        assert isinstance(block, Table)
        assert block.rows == ((names[-1], names[0], "1"),)
    assert f"{2 * k - 1:,} correct" in cast(Any, block).caption


def test_classes_without_images_are_not_those_of_the_lowest_recall() -> None:
    names = [f"class {number:04}" for number in range(1200)]
    chosen = [image(i, name, names[0]) for i, name in enumerate(names[-2:])]
    rows = results._by_class(names, [*chosen, image(9, names[5], names[5])], "test").rows
    assert [row[0] for row in rows[:4]] == [*names[-2:], names[5], names[0]]


def test_a_long_history_is_a_short_table() -> None:
    row = {"learning_rate": 0.1, "loss": 1.0, "accuracy": 0.5, "val_loss": None, "val_accuracy": None}
    history = [{"epoch": float(number), **row} for number in range(100_000)]
    run = SimpleNamespace(history=history, stopping=None, recipe=load_recipe("covid4-vgg16"), multilabel=False)
    opened = SimpleNamespace(run=run, id=str)
    figure, table = results.curves_section(cast(Any, opened)).blocks
    assert isinstance(table, Table)
    assert len(table.rows) == 1001
    assert [table.rows[number][0] for number in (0, 1, -1)] == ["1", "101", "100,000"]
    assert len(cast(Any, figure).svg) < 1e6
