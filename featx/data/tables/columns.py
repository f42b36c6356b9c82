"""The columns of a manifest: which of them are path, label, split and group, and what others look like."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.data.choice import MARK, NONE
from featx.data.dataset import first_few, in_sentence
from featx.data.folders.splits import split_of_cell
from featx.data.tables.multilabel import label_of_column
from featx.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("featx")

TEXT_COLUMNS = ("path", "label", "split", "group")  # the columns that featx uses; all are read as text
MAX_COLUMNS = 10_000
MOST_MARKS = 40  # columns that a notice names, to be copied into --label-columns
# Other names of columns, without spaces and underscores. A table's only column with such a name is used; names of the
# second line for paths, which may also say something else, if there is none of the first.
OTHER_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "path": (
        (
            *("file", "files", "filename", "filepath", "fullpath", "relativepath", "paths"),
            *("imagepath", "imagefile", "imagefilename", "imgpath", "imgfile"),
        ),
        (
            *("image", "images", "imagename", "imageindex", "imageid", "img", "imgname", "imgid", "id"),
            *("photo", "photos", "picture", "pictures"),
        ),
    ),
    "label": (
        (
            *("labels", "class", "classes", "classname", "classlabel", "labelname", "category", "target", "species"),
            *("diagnosis", "dx", "finding", "findings", "findinglabels"),
        ),
    ),
}
HIDDEN = " (not used)"  # after the name of a column of which another has the meaning
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
_GROUP_LIKE = re.compile(
    r"(patient|subject|participant|person|individual|case|lesion)(s?|id|no|nr|num|number|key|name)"
)


def checked_names(
    manifest: Path, names: Sequence[str], labelled: bool, chosen: Mapping[str, str] | None = None
) -> list[str]:
    """Return the names of columns without surrounding spaces; a column with an empty name is left out later.

    A column that means something under another name gets the name of its meaning: one that is chosen, see
    `chosen_columns`; one like Split, PATH or " group"; and the only one with a name like `filename` or `class`, see
    `OTHER_NAMES`, which a notice says. One that is not used although it has the name ends in `HIDDEN`.

    Raises:
        DataError: There is no column `path`, a column is there twice, there are more than `MAX_COLUMNS`, or labels
            are there in two ways (if `labelled`; else those in columns of their own are used).
    """
    check_number(manifest, len(names))
    names = [name.strip().strip("\ufeff\u200b").strip() for name in names]
    chosen = chosen or {}
    names = _renamed(manifest, _with_chosen(manifest, names, chosen), chosen)
    names = _recognised(manifest, _with_one_kind_of_labels(manifest, names, labelled, chosen), chosen)
    columns = [name for name in names if name]
    if "path" not in columns:
        raise _missing(manifest, columns)
    if len(set(columns)) < len(columns):
        raise DataError(
            f"Expected each column of {manifest} once, found {_some(columns)}; rename those that are there twice."
        )
    return names


def _with_chosen(manifest: Path, names: Sequence[str], chosen: Mapping[str, str]) -> list[str]:
    """Return the names of columns; a chosen one has the name of its meaning, and a former one of that name not."""
    new: dict[str, str] = {}
    for meaning, name in chosen.items():
        option = "--label-columns" if label_of_column(meaning) else f"--{meaning}-column"
        if name in new:
            raise UsageError(
                f"Expected different columns for {new[name]} and {meaning}, received {name} for both; choose another "
                f"{option}."
            )
        if name in names:
            new[name] = meaning
        elif label_of_column(meaning) and meaning in names:
            new[meaning] = meaning
        elif not (name == NONE and meaning in ("group", "split")) and not _is_without_labels(chosen):
            hints = [each for each in names if _plain(each) == _plain(name)]
            hints += [each for each in names if _plain(name) and _plain(name) in _plain(each)]
            hints += difflib.get_close_matches(name, [each for each in names if each], n=1, cutoff=0.6)
            hint = f"did you mean {hints[0]}?" if hints else f"choose another {option}."
            raise DataError(f"Expected the column {name} in {manifest}, found {_some(names)}; {hint}")
    hidden = {meaning: f"{meaning}{HIDDEN}" for meaning in chosen}
    return [new.get(name, hidden.get(name, name)) for name in names]


def _with_one_kind_of_labels(
    manifest: Path, names: Sequence[str], labelled: bool, chosen: Mapping[str, str]
) -> list[str]:
    """Return the names of columns; those of labels that are not used end in `HIDDEN`, so that one kind is left.

    Columns for one label each all begin in the same way.
    """
    several = {name: label for name in names if (label := label_of_column(name)) is not None}
    wanted = [meaning for meaning in chosen if meaning in several]
    unused: set[str] = set()
    if "label" in chosen:
        unused = set(several)
    elif wanted:
        unused = {"label", *several} - set(wanted)
    elif several and "label" in names and labelled:
        raise DataError(
            f"Expected labels of {manifest} in a column label or in columns {MARK}NAME, found both; choose one of "
            "them with --label-column or --label-columns."
        )
    elif several:
        unused = {"label"}
    used = {name: f"{MARK}{label}" for name, label in several.items()}
    return [f"{name}{HIDDEN}" if name in unused else used.get(name, name) for name in names]


def _is_without_labels(chosen: Mapping[str, str]) -> bool:
    """Tell whether no labels are to be used."""
    return chosen.get("label") == NONE


def _recognised(manifest: Path, names: Sequence[str], chosen: Mapping[str, str]) -> list[str]:
    """Return the names of columns; the only one that is named like paths or labels has the name of that."""
    new: dict[str, str] = {}
    for meaning in OTHER_NAMES:
        has_labels = _is_without_labels(chosen) or any(map(label_of_column, names))
        is_there = meaning in names or (meaning == "label" and has_labels)
        likely = [] if is_there else _likely(meaning, names)
        if len(likely) == 1:
            new[likely[0]] = meaning
            what = {"path": "the paths of the images", "label": "the classes"}[meaning]
            text = "Column %s of %s has %s; choose another with --%s-column."
            log.info(text, in_sentence(likely[0]), manifest.name, what, meaning)
    return [new.get(name, name) for name in names]


def _likely(meaning: str, names: Sequence[str]) -> list[str]:
    """Return the columns that are named like paths or labels: those with the clearest kind of name."""
    for others in OTHER_NAMES[meaning]:
        if likely := [name for name in names if _plain(name) in others]:
            return likely
    return []


def check_number(manifest: Path, columns: int) -> None:
    """Refuse more columns than `MAX_COLUMNS`."""
    if columns > MAX_COLUMNS:
        raise DataError(
            f"Expected at most {MAX_COLUMNS} columns in {manifest}, found {columns}; keep path, label, split, group "
            "and what you want to see beside the images."
        )


def notice_no_labels(manifest: Path, table: pa.Table, chosen: Mapping[str, str]) -> None:
    """Give notice of columns that may have the labels of a table of which none has the name of labels."""
    if "label" in table.column_names or any(map(label_of_column, table.column_names)) or _is_without_labels(chosen):
        return
    if marks := _columns_of_marks(table):
        log.warning(
            "The table %s has no column label, but columns of 0 and 1 (%s); name them with --label-columns if each "
            "is for one label.",
            manifest.name,
            # All that may be copied into the option; of very many a few are enough to know them by.
            ",".join(map(in_sentence, marks)) if len(marks) <= MOST_MARKS else first_few(marks),
        )
    elif like := _lookalikes("label", table.column_names):
        log.warning(
            "The table %s has no column label; choose %s with --label-column if it has the classes.",
            manifest.name,
            " or ".join(like),
        )


def _missing(manifest: Path, columns: Sequence[str]) -> DataError:
    """The error for a table without a column of paths."""
    like = _lookalikes("path", columns)
    advice = f"did you mean {' or '.join(like)} for path? Choose" if like else "add or rename path, or choose"
    return DataError(f"Expected a column path in {manifest}, found {_some(columns)}; {advice} with --path-column.")


def known_columns(names: Sequence[str]) -> int:
    """Return how many of `TEXT_COLUMNS`, and of columns for labels, are among names as written in a header."""
    marks = sum(label_of_column(name.strip()) is not None for name in names)
    return marks + len({_plain(name) for name in names}.intersection(TEXT_COLUMNS))


def with_split_and_group(manifest: Path, table: pa.Table, chosen: Mapping[str, str]) -> pa.Table:
    """Return a labelled table whose columns for split and group have these names, if others say it beyond doubt.

    A notice says which these are, and which columns look as if they were meant for it but are not used.
    """
    for meaning, likely, consequence in (
        ("split", _split_columns, "the split of each image"),
        ("group", _group_columns, "groups, whose images stay together"),
    ):
        if meaning in chosen or meaning in table.column_names:
            continue
        found = likely(table)
        if len(found) == 1:
            # Groups decide which images are held out together, so this is also said where Python shows warnings only.
            level = logging.WARNING if meaning == "group" else logging.INFO
            text = "Column %s of %s has %s; choose another with --%s-column, or none."
            log.log(level, text, in_sentence(found[0]), manifest.name, consequence, meaning)
            new = {found[0]: meaning}
            table = table.rename_columns([new.get(name, name) for name in table.column_names])
    _notice_unused(manifest, table, chosen)
    return table


def _split_columns(table: pa.Table) -> list[str]:
    """Return the columns with a name such as `set` or `partition` and nothing but the names of splits in them."""
    return [name for name in table.column_names if _plain(name) in _SPLIT_LIKE and _has_splits(table, name)]


def _group_columns(table: pa.Table) -> list[str]:
    """Return the columns with a name such as `patient_id` that divide the images into more groups than classes."""
    least = 1 + max(2, _number_of_values(table, "label") if "label" in table.column_names else 0)
    named = [name for name in _repeating_groups(table) if _plain(name) not in ("case", "cases")]
    return [name for name in named if _number_of_values(table, name) >= least]


def _repeating_groups(table: pa.Table) -> list[str]:
    """Return the columns with a name such as `patient_id` in which some value is there more than once."""
    return [
        name
        for name in table.column_names
        if name not in TEXT_COLUMNS
        and may_be_group(name)
        and _number_of_values(table, name) < table.num_rows - table[name].null_count
    ]


def may_be_group(name: str) -> bool:
    """Tell whether a column may say which patient an image is of, by its name; it is then read as text."""
    return _GROUP_LIKE.fullmatch(_plain(name)) is not None


def _notice_unused(manifest: Path, table: pa.Table, chosen: Mapping[str, str]) -> None:
    """Give notice of further columns that look as if they were meant for split or group."""
    names = table.column_names
    if "split" not in names and "split" not in chosen:
        splits = [
            name
            for name in names
            if name not in TEXT_COLUMNS
            and (_plain(name) in _SPLIT_LIKE or _SPLIT_FLAG.fullmatch(_plain(name)) or _has_splits(table, name))
            and _number_of_values(table, name) > 1
        ]
        if splits:
            log.warning(
                "All images of %s are used alike, because it has no column split; %s is kept as a further column, so "
                "name it with --split-column, with train, val or test in its cells, if it says which images are for "
                "testing.",
                manifest.name,
                first_few(splits),
            )
    if "group" not in names and "group" not in chosen and (groups := _repeating_groups(table)):
        several = len(groups) > 1
        log.warning(
            "%s of %s %s; name %s with --group-column to keep images of each together.",
            f"Column{'s' * several} {first_few(groups)}",
            manifest.name,
            "are kept as further columns" if several else "is kept as a further column",
            "one of them" if several else "it",
        )


def _columns_of_marks(table: pa.Table) -> list[str]:
    """Return the columns, two or more, with nothing but 0, 1, -1 and empty cells in them, and 1 in some."""
    import pyarrow as pa
    import pyarrow.compute as pc

    marks = []
    for name in table.column_names:
        kind = table[name].type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            values = set(pc.unique(table[name]).to_pylist()) - {None}
            marks += [name] * (1 in values and values <= {0, 1, -1})
    return marks if len(marks) > 1 else []


def _renamed(manifest: Path, names: Sequence[str], chosen: Mapping[str, str]) -> list[str]:
    """Return the names of columns; one like Split has the name of `TEXT_COLUMNS` that is missing and not chosen."""
    wanted = {name for name in TEXT_COLUMNS if name not in names and name not in chosen}
    meant: dict[str, list[str]] = {}
    for name in names:
        if _plain(name) in wanted:
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
    if not any(names):
        return "none"
    return ", ".join(names[:30]) + (f", … ({len(names)} columns)" if len(names) > 30 else "")


def _lookalikes(wanted: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that a user may have meant by a required name: all that are named so, else the closest."""
    if likely := _likely(wanted, columns):
        return likely[:5]
    plain = {_plain(name): name for name in columns[:1000] if name not in TEXT_COLUMNS}
    for name in (wanted, *chain.from_iterable(OTHER_NAMES[wanted])):
        for close in difflib.get_close_matches(name, list(plain), n=1, cutoff=0.8):
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
