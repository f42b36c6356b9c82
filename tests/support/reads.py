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
    rows_of = Space.rows

    def counted(opening: Any) -> Any:
        def open_and_count(file: Any, *args: Any, **kwargs: Any) -> Any:
            if Path(str(file)).parent == folder:
                reads.files[Path(str(file)).name] += 1
            return opening(file, *args, **kwargs)

        return open_and_count

    def counted_rows(space: Space, keys: list[RowKey]) -> Rows:
        reads.rows[space.id] += 1
        return rows_of(space, keys)

    monkeypatch.setattr(io, "open", counted(io.open))
    monkeypatch.setattr(builtins, "open", io.open)
    monkeypatch.setattr(io, "FileIO", counted(io.FileIO))  # featx.files opens what a user names in this way
    monkeypatch.setattr(Space, "rows", counted_rows)
    return reads
