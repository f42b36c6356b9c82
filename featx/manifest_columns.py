"""Columns of a manifest: their names, and the text in those that featx knows."""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_COLUMNS = ("path", "label", "split", "group")
"""The columns that featx knows, all read as text."""

_OTHER_NAMES = {
    "path": ("file", "filename", "filepath", "image", "imagepath", "img"),
    "label": ("labels", "class", "category", "target", "diagnosis"),
}


def checked_names(manifest: Path, names: Sequence[str], labelled: bool) -> list[str]:
    """Returns column names without surrounding spaces, after a check that those needed are there, and once.

    Args:
        manifest: The file, for the message.
        names: As written; an empty one stands for a column to be left out.
        labelled: Whether a column `label` is needed.

    Raises:
        DataError: A column is missing, or there twice.
    """
    names = [name.strip() for name in names]
    required = ["path", "label"] if labelled else ["path"]
    found = [name for name in names if name]
    missing = [name for name in required if name not in found]
    if missing:
        hints = [f"did you mean {like} for {name}?" for name in missing for like in _lookalikes(name, found)]
        raise DataError(
            f"Expected column{'s' * labelled} {' and '.join(required)} in {manifest}, found "
            f"{', '.join(found)}; {' '.join(hints) or 'add or rename ' + ' and '.join(missing) + '.'}"
        )
    if len(set(found)) < len(found):
        raise DataError(f"Expected each column of {manifest} once, found {', '.join(found)}; rename the twins.")
    return names


def text_column(manifest: Path, table: pa.Table, name: str) -> list[str | None]:
    """Returns a column's cells as text, None where a cell is empty or the table has no such column.

    Raises:
        DataError: The column holds something else than text or numbers.
    """
    import pyarrow as pa

    if name not in table.column_names:
        return [None] * table.num_rows
    kind = table.schema.field(name).type
    if pa.types.is_nested(kind) or "binary" in str(kind):
        raise DataError(f"Expected text or numbers in column {name} of {manifest}, found {kind}.")
    texts = [_text(value) for value in table[name].to_pylist()]
    return texts if name == "path" else [text and unicodedata.normalize("NFC", text).strip() for text in texts]


def _lookalikes(wanted: str, found: Sequence[str]) -> list[str]:
    """At most one of the columns found: the one that may be meant by a required name."""
    plain = {name.casefold().replace("_", ""): name for name in found if name not in TEXT_COLUMNS}
    for name in (wanted, *_OTHER_NAMES[wanted]):
        for close in difflib.get_close_matches(name, list(plain), n=1, cutoff=0.75):
            return [plain[close]]
    return []


def _text(value: Any) -> str | None:
    # An integer column with gaps reaches Parquet as floats: there 1.0 means 1 and NaN a gap.
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    text = "" if value is None else str(value)
    return text if text.strip() else None
