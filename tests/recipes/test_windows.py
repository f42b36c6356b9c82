"""The fields for DICOM files: one window has one spelling, and what moves no row is not in the key."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from featx.recipes import ImagesPart, parse_window


@pytest.mark.parametrize(
    ("text", "kept", "numbers"),
    [
        ("file", "file", None),
        ("none", "none", None),
        ("40/400", "40/400", (40.0, 400.0)),
        ("+40.0/400.50", "40/400.5", (40.0, 400.5)),
        ("-600/1500", "-600/1500", (-600.0, 1500.0)),
        ("-0/000100", "0/100", (0.0, 100.0)),
        ("0.000001/0.00001", "0.000001/0.00001", (1e-6, 1e-5)),
    ],
)
def test_a_window_has_one_spelling(text: str, kept: str, numbers: tuple[float, float] | None) -> None:
    part = ImagesPart(window=text)
    assert part.window == kept
    assert parse_window(part.window) == numbers
    assert ImagesPart(window=kept) == part


@pytest.mark.parametrize(
    "text", ["", "lung", "40", "40/0", "40/-1", "40/400/1", "nan/1", "1e3/4", "40 / 400", "٤٠/٤٠٠", "1/0.0", "File"]
)
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValidationError, match="CENTER/WIDTH in the units of the images with a width above 0"):
        ImagesPart(window=text)


def test_defaults_leave_the_key_as_it_was() -> None:
    assert ImagesPart(window="file", frames="first").key() == {"size": 224, "resize": "bilinear"}


def test_a_window_moves_rows_and_frames_do_not() -> None:
    assert ImagesPart(window="40/400.0").key() == {"size": 224, "resize": "bilinear", "window": "40/400"}
    assert ImagesPart(frames="all").key() == ImagesPart().key()
