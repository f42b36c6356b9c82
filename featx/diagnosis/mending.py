"""Something amiss with what is installed or stored, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Amiss:
    """Something that is not as it should be, and the command or step that mends it."""

    what: str
    mend: str
