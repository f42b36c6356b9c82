"""The window of DICOM files: which of their values become black and white."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator

_NUMBER = r"[-+]?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_WINDOW = re.compile(rf"({_NUMBER})/({_NUMBER})")


def parse_window(text: str) -> tuple[float, float] | None:
    """Return centre and width of `CENTER/WIDTH`, in the units of the images; None for `file` and `none`.

    Raises:
        ValueError: It is none of these, or the width is not above 0.
    """
    if text in ("file", "none"):
        return None
    match = _WINDOW.fullmatch(text)
    center, width = map(float, match.groups()) if match else (0.0, 0.0)
    if width <= 0:
        raise ValueError(
            "expected file, none, or CENTER/WIDTH in the units of the images with a width above 0, such as 40/400, "
            f"received {text[:80]!r}"
        )
    return center, width


def _as_in_keys(text: str) -> str:
    """Return a window as it is written in keys: `40/400`, never `40.0/400`."""
    if parse_window(text) is None:
        return text
    return "/".join(f"{Decimal(number).normalize() + 0:f}" for number in text.split("/"))


Window = Annotated[str, AfterValidator(_as_in_keys)]
