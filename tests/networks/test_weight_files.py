from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from featx.networks import weight_files
from featx.networks.backbones import BACKBONES
from featx.networks.weight_files import KERAS_DIGESTS, fault_in


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "vgg16_notop.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv"] = np.zeros((3, 3, 3, 64), np.float32)
    return path


def test_a_file_that_opens_is_whole(whole: Path) -> None:
    assert fault_in(whole) is None


def test_what_is_not_whole_is_told(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert "damaged HDF5 file" in str(fault_in(whole))
    whole.write_bytes(b"<html>404 Not Found</html>")
    assert fault_in(whole) == "is no HDF5 file"
    whole.write_bytes(b"")
    assert fault_in(whole) == "is no HDF5 file"
    assert "cannot be read: no such file" in str(fault_in(tmp_path / "gone.h5"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not stop root")
def test_a_file_that_may_not_be_read_is_told(whole: Path) -> None:
    whole.chmod(0)
    assert fault_in(whole) == "cannot be read: permission denied"


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_file_under_kerass_name_is_held_against_kerass_digest(
    whole: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.new(kind, whole.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(weight_files.KERAS_DIGESTS, whole.name, digest)
    assert fault_in(whole) is None
    with h5py.File(whole, "a") as file:
        file["layers/conv"][0] = 1
    assert fault_in(whole) == "does not match the digest that Keras publishes for it"


def test_the_digests_are_kerass() -> None:
    """Read from its source, without loading it."""
    keras = importlib.util.find_spec("keras")
    assert keras is not None
    assert keras.origin is not None
    sources = (Path(keras.origin).parent / "src" / "applications").glob("*.py")
    published = "".join(path.read_text("utf-8") for path in sources)
    for name, digest in KERAS_DIGESTS.items():
        assert f'"{digest}"' in published, name
    assert set(KERAS_DIGESTS) <= {row.weights_file for row in BACKBONES.values()}
