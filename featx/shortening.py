"""Names that fit into drawings."""

from __future__ import annotations

from collections.abc import Sequence


def short_names(names: Sequence[str], length: int = 20) -> dict[str, str]:
    """Return for each name one for drawings, which have little room: cut where it is long, yet no two alike."""
    found: dict[str, str] = {}
    for name in names:
        short = name if len(name) <= length else name[: length - 1] + "…"
        turn = 1
        while short in found.values():
            turn += 1
            short = f"{name[: length - 4]}… {turn}"
        found[name] = short
    return found
