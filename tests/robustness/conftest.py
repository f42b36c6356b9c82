"""What tests of this folder share: a place where commands run in processes of their own."""

from __future__ import annotations

import pytest
from killed_processes import Workshop, workshop


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Data, a recipe and a cache with all rows, computed by OpenVINO."""
    pytest.importorskip("openvino")
    return workshop(tmp_path_factory.mktemp("place") / "openvino", "openvino")
