"""How often files of a folder, and rows of feature spaces, are read in this process."""

from __future__ import annotations

import builtins
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from featx.store import RowKey, Rows, Space


@dataclass
class Reads:
    """How often each file, by name, and the rows of each feature space, by id, were read."""

    files: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)


def count_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Count what is read of a folder's own files, and of all feature spaces, from now on."""
    reads = Reads()
    open_file, rows_of = io.open, Space.rows

    def counted_open(file: Any, *args: Any, **kwargs: Any) -> Any:
        if Path(str(file)).parent == folder:
            reads.files[Path(str(file)).name] += 1
        return open_file(file, *args, **kwargs)

    def counted_rows(space: Space, keys: list[RowKey]) -> Rows:
        reads.rows[space.id] += 1
        return rows_of(space, keys)

    monkeypatch.setattr(io, "open", counted_open)
    monkeypatch.setattr(builtins, "open", counted_open)
    monkeypatch.setattr(Space, "rows", counted_rows)
    return reads
