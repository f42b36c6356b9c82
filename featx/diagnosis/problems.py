"""What is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be, and the command or step that fixes it."""

    what: str
    fix: str
