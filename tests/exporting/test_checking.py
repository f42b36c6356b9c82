from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx.errors import UntrustedError
from featx.exporting.checking import Check, check

# What `predict` gives for three images; the second is as much of one class as of the other.
EXPECTED = np.array([[0.9, 0.1], [0.5, 0.5], [0.5005, 0.4995]])


def checked(folder: Path, received: NDArray[np.float64]) -> Check:
    images = []
    for place in range(len(EXPECTED)):
        path = folder / f"{place}.png"
        Image.new("RGB", (2, 2), (place, 0, 0)).save(path)
        images.append(SimpleNamespace(item=SimpleNamespace(path=path, id=path.name)))
    model: Any = SimpleNamespace(probabilities=lambda _: EXPECTED, multilabel=False)
    extraction: Any = SimpleNamespace(images=images, view_rows=lambda _: None)
    return check(lambda pixels: received[pixels[0, 0, 0]], model, extraction)


def test_rounding_may_choose_between_equal_classes(tmp_path: Path) -> None:
    received = EXPECTED + np.array([[0, 0], [-1e-8, 1e-8], [2e-4, -2e-4]])
    result = checked(tmp_path, received)
    assert result.images == 3
    assert result.largest_difference == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("place", "row", "message"),
    [
        (0, [0.898, 0.102], "1 of 3 images, on 0.png by 0.002;"),  # a probability
        (2, [0.4999, 0.5001], "1 of 3 images, on 2.png by 0.0006"),  # the class
        (1, [np.nan, np.nan], "1 of 3 images, on 1.png by nan"),
    ],
)
def test_another_class_or_probability_is_refused(place: int, row: list[float], message: str, tmp_path: Path) -> None:
    received = EXPECTED.copy()
    received[place] = row
    with pytest.raises(UntrustedError, match=message):
        checked(tmp_path, received)
