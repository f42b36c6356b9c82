"""Tests of networks of torchxrayvision, from files of random weights as it has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from featx.errors import UsageError, WeightsError
from featx.networks.importing.from_xrayvision import build_xrayvision

torch = pytest.importorskip("torch", reason="networks of PyTorch are built")
xrv = pytest.importorskip("torchxrayvision", reason="networks of torchxrayvision are built")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

NAME = "densenet121-res224-all"


@pytest.mark.parametrize("older", [False, True])
def test_a_pickled_network_gives_its_tensors_and_the_features_of_torchxrayvision(tmp_path: Path, older: bool) -> None:
    torch.manual_seed(0)
    model = xrv.models.DenseNet(weights=None).eval()
    torch.save(model, tmp_path / "all.pt", _use_new_zipfile_serialization=not older)
    if older:
        # PyTorch reads no network from such a file without running it.
        with pytest.raises(
            WeightsError, match=r"which runs that code, save the network's state_dict.*all\.pt\.tensors"
        ):
            build_xrayvision(NAME, tmp_path / "all.pt")
        torch.save(model.state_dict(), tmp_path / "all.pt.tensors")
    built = build_xrayvision(NAME, tmp_path / "all.pt")
    image = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    prepared = built.prepare(image)
    assert prepared.shape == (1, 224, 224)
    assert -1024 <= prepared.min() < prepared.max() <= 1024
    with torch.inference_mode():
        expected = model.features2(torch.from_numpy(prepared[None])).numpy()
    assert np.array_equal(built.outputs(prepared[None])["features"], expected)
    assert (built.input.colour, built.input.size) == ("grey", (224, 224))


class Harmful:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_file_with_code_is_refused_and_the_code_does_not_run(tmp_path: Path) -> None:
    torch.save(Harmful(tmp_path / "made"), tmp_path / "all.pt")
    with pytest.raises(WeightsError, match="can run any code"):
        build_xrayvision(NAME, tmp_path / "all.pt")
    assert not (tmp_path / "made").exists()


def test_a_name_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=NAME):
        build_xrayvision("densenet121-res224-none", tmp_path / "all.pt")
