"""The images that a saved classifier was trained with, as digests: it may be passed on, and names tell too much."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from featx.digests import sha256
from featx.errors import RunError, reason_of
from featx.files import is_file, open_file, write_csv
from featx.runs import Source

TRAINED_ON = "trained-on.csv"
MARK = re.compile(r"[0-9a-f]{64}|")
LIMIT = 2**32  # bytes


def group_mark(group: str) -> str:
    """Return what stands for a group: the SHA-256 of its name, from which short names can be guessed."""
    return sha256(f"featx group {group}".encode())


def write_trained_on(folder: Path, source: Source) -> None:
    """Write the digest of each training image's bytes, and the mark of its group."""
    table = source.table
    rows = {
        (digest, "" if group is None else group_mark(group))
        for digest, group in zip(table.digests, table.groups, strict=True)
    }
    write_csv(folder / TRAINED_ON, ("sha256", "group"), sorted(rows))


def read_trained_on(folder: Path) -> tuple[tuple[str, str | None], ...] | None:
    """Return the digest and the group's mark of each training image; None for a classifier that lacks the file.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / TRAINED_ON
    if not is_file(path):
        return None
    rows: list[tuple[str, str | None]] = []
    try:
        with io.TextIOWrapper(open_file(path, LIMIT), "utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                digest, mark = row["sha256"], row["group"]
                if not digest or not MARK.fullmatch(digest) or not MARK.fullmatch(mark):
                    raise ValueError(f"{digest[:70]!r} is no digest")
                rows.append((digest, mark or None))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(
            f"Expected digests of training images in {path}, but it cannot be read ({reason_of(error)}); save the "
            "classifier again with featx compare --save-best."
        ) from None
    return tuple(rows)
