"""Files in which an operating system tells of itself: not every system has them."""

from __future__ import annotations

from pathlib import Path


def system_text(path: Path) -> str:
    """Return what a file says, without white space around it; "" where it cannot be read, as on another system."""
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
