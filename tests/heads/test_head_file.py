from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.heads.head_file import check_head_file

SAVED = Path(__file__).parents[1] / "made_before" / "run" / "head.keras"
NEEDED = ("logits", "dense_1")


def forged(path: Path, change: Callable[[Any], object], *, zeros: int = 0) -> Path:
    """A head's file with another description of its layers, and with zeros that are packed to nearly nothing."""
    packing = zipfile.ZIP_DEFLATED if zeros else zipfile.ZIP_STORED
    with zipfile.ZipFile(SAVED) as saved, zipfile.ZipFile(path, "w", packing) as archive:
        for name in saved.namelist():
            content = saved.read(name)
            if name == "config.json":
                document = json.loads(content)
                change(document["config"])
                content = json.dumps(document).encode()
            archive.writestr(name, content + bytes(zeros))
    return path


def test_a_head_that_was_saved_is_sound() -> None:
    check_head_file(SAVED, NEEDED)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda config: config["layers"][2]["config"].update(units=10**9), "no space for the weights"),
        (lambda config: config["layers"][2]["config"].update(units=-5), "no space for the weights"),
        (lambda config: config["layers"][0]["config"].update(batch_shape=[None, 10**9]), "no space for the weights"),
        (lambda config: config["layers"][1].update(class_name="Lambda"), "no layer of the kind Lambda"),
        (lambda config: config["layers"][2]["config"].update(name="other"), "no dense layer dense_1"),
        (lambda config: config.update(layers=[]), r"of another program \(IndexError\)"),
        (lambda config: config.update(layers=None), r"of another program \(TypeError\)"),
        (lambda config: config.clear(), r"of another program \(KeyError\)"),
    ],
)
def test_other_layers_are_refused(change: Callable[[Any], object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        check_head_file(forged(tmp_path / "head.keras", change), NEEDED)


def test_a_file_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unpacks to more than a head has"):
        check_head_file(forged(tmp_path / "head.keras", lambda _: None, zeros=10**6), NEEDED)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "head.keras")
    with pytest.raises(OSError, match="it is not a regular file but a named pipe"):
        check_head_file(tmp_path / "head.keras", NEEDED)
