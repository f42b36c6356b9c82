from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_data import Place, write_place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Place:
    return write_place(tmp_path_factory.mktemp("evaluated"), tiny_model)
