"""The columns of a manifest: which of them are path, label, split and group, and what others look like."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.data.dataset import first_few
from featx.data.splits import split_of_cell
from featx.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("featx")

TEXT_COLUMNS = ("path", "label", "split", "group")  # the columns that featx uses; all are read as text
MAX_COLUMNS = 10_000
OTHER_NAMES = {
    "path": ("file", "filename", "filepath", "image", "imagepath", "img", "imageid", "id"),
    "label": ("labels", "class", "category", "target", "diagnosis"),
}
# Names, without spaces and underscores, of columns that may say the split or the group.
_SPLIT_LIKE = {
    "set",
    "subset",
    "partition",
    "splits",
    "splitname",
    "datasplit",
    "phase",
    "usage",
    "fold",
    "traintest",
}
_SPLIT_FLAG = re.compile(r"(is|for)?(train|training|test|testing|val|valid|validation)(set)?")
_GROUP_LIKE = re.compile(r"(patient|subject|participant|person|individual|case)(s?|id|no|nr|num|number|key|name)")


def checked_names(
    manifest: Path, names: Sequence[str], labelled: bool, chosen: Mapping[str, str] | None = None
) -> list[str]:
    """Return the names of columns without surrounding spaces; a column with an empty name is left out later.

    A name like Split, PATH or " group" is that of `TEXT_COLUMNS`, unless there is a column with exactly that name.
    `chosen` says which columns have another name, see `chosen_columns`.

    Raises:
        DataError: There is no column `path`, a column is there twice, or there are more than `MAX_COLUMNS`.
    """
    check_number(manifest, len(names))
    names = [name.strip().strip("\ufeff\u200b").strip() for name in names]
    names = _renamed(manifest, _with_chosen(manifest, names, chosen or {}))
    columns = [name for name in names if name]
    if "path" not in columns:
        raise _missing(manifest, columns, labelled)
    if len(set(columns)) < len(columns):
        raise DataError(
            f"Expected each column of {manifest} once, found {_some(columns)}; rename those that are there twice."
        )
    return names


def _with_chosen(manifest: Path, names: Sequence[str], chosen: Mapping[str, str]) -> list[str]:
    """Return the names of columns; a chosen one has the name of what it means, and a former one of that name not."""
    for meaning, name in chosen.items():
        if name not in names:
            close = difflib.get_close_matches(name, [each for each in names if each], n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else f"choose another --{meaning}-column."
            raise DataError(f"Expected the column {name} in {manifest}, found {_some(names)}; {hint}")
    new = {name: meaning for meaning, name in chosen.items()}
    hidden = {meaning: f"{meaning} (not used)" for meaning in chosen}
    return [new.get(name, hidden.get(name, name)) for name in names]


def check_number(manifest: Path, columns: int) -> None:
    """Refuse more columns than `MAX_COLUMNS`."""
    if columns > MAX_COLUMNS:
        raise DataError(
            f"Expected at most {MAX_COLUMNS} columns in {manifest}, found {columns}; keep path, label, split, group "
            "and what you want to see beside the images."
        )


def check_labels(manifest: Path, table: pa.Table) -> None:
    """Check that a table has a column with labels.

    Raises:
        DataError: It has none, or one column for each class instead.
    """
    if "label" in table.column_names:
        return
    marks = _one_hot(table)
    if marks:
        raise DataError(
            f"Expected a column label with the name of the class in {manifest}, found one column of 0 and 1 for "
            f"each class ({first_few(marks)}); add it, for example with table['label'] = "
            "table[classes].idxmax(axis=1) in pandas, where classes is the list of these columns."
        )
    raise _missing(manifest, table.column_names, True)


def _missing(manifest: Path, columns: Sequence[str], labelled: bool) -> DataError:
    required = ["path", "label"] if labelled else ["path"]
    missing = [name for name in required if name not in columns]
    hints = [f"did you mean {like} for {name}?" for name in missing for like in _lookalikes(name, columns)]
    return DataError(
        f"Expected column{'s' * labelled} {' and '.join(required)} in {manifest}, found "
        f"{_some(columns)}; {' '.join(hints) or 'add or rename ' + ' and '.join(missing) + '.'}"
    )


def known_columns(names: Sequence[str]) -> int:
    """Return how many of `TEXT_COLUMNS` are among names as they are written in a header."""
    return len({_plain(name) for name in names}.intersection(TEXT_COLUMNS))


def plain_split_column(table: pa.Table) -> str | None:
    """Return the column that says the split under another name, such as `set` or `partition`; None without one.

    There must be no column `split`, only one such column, and nothing but the names of splits in it.
    """
    if "split" in table.column_names:
        return None
    named = [name for name in table.column_names if _plain(name) in _SPLIT_LIKE and _has_splits(table, name)]
    return named[0] if len(named) == 1 else None


def notice_unused(manifest: Path, table: pa.Table) -> None:
    """Give notice of further columns that look as if they were meant for split or group."""
    names = table.column_names
    others = [name for name in names if name not in TEXT_COLUMNS]
    if "split" not in names:
        splits = [
            name
            for name in others
            if (_plain(name) in _SPLIT_LIKE or _SPLIT_FLAG.fullmatch(_plain(name)) or _has_splits(table, name))
            and _number_of_values(table, name) > 1
        ]
        if splits:
            log.warning(
                "All images of %s are used alike, because it has no column split; %s is kept as a further column, so "
                "rename it to split, with train, val or test in its cells, if it says which images are for testing.",
                manifest.name,
                first_few(splits),
            )
    if "group" not in names:
        groups = [
            name
            for name in others
            if _GROUP_LIKE.fullmatch(_plain(name))
            and _number_of_values(table, name) < table.num_rows - table[name].null_count
        ]
        if groups:
            log.warning(
                "Column %s of %s is kept as a further column; rename it to group to keep images of each together.",
                first_few(groups),
                manifest.name,
            )


def _one_hot(table: pa.Table) -> list[str]:
    """Return the columns, two or more, of which exactly one is 1 in each row and all others are 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    marks = [name for name in table.column_names if set(_few_values(table, name)) in ({0, 1}, {0}, {1})]
    if len(marks) < 2:
        return []
    total: Any = 0
    for name in marks:
        total = pc.add(total, pc.cast(table[name], pa.int64()))
    return marks if pc.unique(total).to_pylist() == [1] else []


def _renamed(manifest: Path, names: Sequence[str]) -> list[str]:
    meant: dict[str, list[str]] = {}
    for name in names:
        if name and name not in TEXT_COLUMNS and _plain(name) in TEXT_COLUMNS and _plain(name) not in names:
            meant.setdefault(_plain(name), []).append(name)
    for plain, written in meant.items():
        if len(written) > 1:
            raise DataError(
                f"Expected one column {plain} in {manifest}, found {' and '.join(map(repr, written))}; rename the "
                f"right one to {plain}, and the other."
            )
    new: Mapping[str, str] = {written[0]: plain for plain, written in meant.items()}
    return [new.get(name, name) for name in names]


def _plain(name: str) -> str:
    """A name in lower case, without spaces, underscores and the like."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:30]) + (f", … ({len(names)} columns)" if len(names) > 30 else "")


def _lookalikes(wanted: str, columns: Sequence[str]) -> list[str]:
    """The column that a user may have meant by a required name; at most one."""
    plain = {_plain(name): name for name in columns[:1000] if name not in TEXT_COLUMNS}
    for name in (wanted, *OTHER_NAMES[wanted]):
        for close in difflib.get_close_matches(name, list(plain), n=1, cutoff=0.75):
            return [plain[close]]
    return []


def _has_splits(table: pa.Table, name: str) -> bool:
    """Tell whether a column has the names of splits in its cells and nothing else, train and another among them."""
    values = _few_values(table, name)
    splits = {split_of_cell(value) if isinstance(value, str) else None for value in values}
    return None not in splits and "train" in splits and len(splits) > 1


def _few_values(table: pa.Table, name: str) -> list[Any]:
    """The different values of a column of texts, numbers or flags; none if they are more than 20 or some missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_one = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
    )
    column = table[name]
    if column.null_count or not any(is_kind(column.type) for is_kind in is_one):
        return []
    # Most columns of many values show it at the beginning.
    unique = pc.unique(column[:1000])
    unique = pc.unique(column) if len(unique) <= 20 else unique
    return unique.to_pylist() if len(unique) <= 20 else []


def _number_of_values(table: pa.Table, name: str) -> int:
    import pyarrow.compute as pc

    return len(pc.unique(table[name].drop_null()))
