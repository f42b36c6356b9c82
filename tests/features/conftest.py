from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline_data import small_recipe

from featx.features import decoding
from featx.images import decode
from featx.recipes import Recipe


@pytest.fixture(scope="session")
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model)


@pytest.fixture
def featurewise(recipe: Recipe) -> Recipe:
    return recipe.replaced({"preprocess.mode": "featurewise"})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that were decoded."""
    names: list[str] = []

    def counting(content: bytes, name: str, **options: Any) -> NDArray[np.uint8]:
        names.append(name)
        return decode(content, name, **options)

    monkeypatch.setattr(decoding, "decode", counting)
    return names
