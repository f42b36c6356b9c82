"""The scripts of `shared/cases`: inputs from public reports that once failed, and what each must show now.

A script that is not in the table must show no traceback and nothing that featx did not expect.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from killed_processes import stored_rows
from PIL import Image
from pipeline_data import read_table

pytestmark = pytest.mark.slow

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
SCRIPTS = sorted(CASES.glob("*.sh")) if CASES.is_dir() else []
PATIENCE = 600  # seconds until a script counts as hanging


@dataclass(frozen=True)
class Shown:
    """What a script printed, standard output and errors in the order of time, and the folder that it worked in."""

    text: str
    work: Path

    @property
    def exits(self) -> list[int]:
        """The exit codes that the script printed."""
        return [int(code) for code in re.findall(r"exit (\d+)", self.text)]

    def after(self, heading: str) -> str:
        """What follows a heading `--- heading`, up to the next one."""
        return self.text.split(f"--- {heading}", 1)[1].split("\n--- ", 1)[0]


def run_script(script: Path, folder: Path) -> Shown:
    # Exported and empty, so that shells within a script see what env.sh sets.
    places = {"FEATX_BIN": str(Path(sys.executable).parent), "SITE": sys.prefix, "TMPDIR": str(folder)}
    environment = os.environ | places | {"T": "", "V": "", "WORK": ""}
    process = subprocess.Popen(
        ["bash", str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"the script hangs: {process.communicate()[0]}")
    (work,) = (path for path in folder.glob("tmp.*") if (path / "tiny.toml").is_file())
    return Shown(out, work)


def many_classes(shown: Shown) -> None:
    assert "GUARD kills" not in shown.text
    assert "rc=0 " in shown.text
    assert (shown.work / "run" / "manifest.json").is_file()


def read_only_home(shown: Shown) -> None:
    if "unshare" in shown.text or "mount:" in shown.text:
        pytest.skip("mounting is not possible here")
    assert shown.exits == [0, 0]


def nan_network(shown: Shown) -> None:
    assert shown.exits == [1, 1, 1]
    assert "finite" in shown.text
    assert stored_rows(shown.work / "cache") == stored_rows(shown.work / "c2") == {}


def channels_first(shown: Shown) -> None:
    assert shown.text.count("26 rows of 8 features") == 3
    assert len(set(re.findall(r"Feature set (\w+) in (?:right|\S*cache)", shown.text)[:3])) == 1
    right, rows = stored_rows(shown.work / "right"), stored_rows(shown.work / "cache")
    assert len(right) == 26
    assert right.items() <= rows.items()
    assert shown.exits == [0]
    assert "reinstall" not in shown.text


def capital_columns(shown: Shown) -> None:
    assert "exit 4" in shown.after("lower.csv")
    for name in ("Group.csv", "Path.csv"):
        section = shown.after(name)
        assert "exit 4" in section or name.removesuffix(".csv") in section
    split = shown.after("Split.csv")
    assert re.search(r"test .*\d/4\b", split) or "Split" in split


def split_folders(shown: Shown) -> None:
    predictions = shown.work / "run" / "predictions.csv"
    if predictions.exists():
        assert {row["label"] for row in read_table(predictions)} == {"cats", "dogs"}
        assert {row["split"] for row in read_table(predictions)} == {"train", "test"}
    assert "cats" in shown.text or "training_set" in shown.text


def system_folders(shown: Shown) -> None:
    assert "8 images" in shown.text
    assert shown.exits == [0]
    assert {row["label"] for row in read_table(shown.work / "run" / "predictions.csv")} == {"covid", "normal"}


def two_classes_of_one_image(shown: Shown) -> None:
    assert re.search(r"copy\d\.png|benign-00\d\.png", shown.text)


def own_rescaling(shown: Shown) -> None:
    assert "raw" in shown.text
    for name, code in zip(("uint8", "own"), shown.exits, strict=True):
        if code == 0 and name == "uint8":
            X = np.load(shown.work / f"{name}.npz", allow_pickle=False)["X"]
            assert X.std(axis=0).mean() > 1e-4


def png_metadata(shown: Shown) -> None:
    assert shown.exits == [0]
    assert "4 images, 4 rows" in shown.text


def planar_tiff(shown: Shown) -> None:
    errors = [float(value) for value in re.findall(r"mean error ([\d.e-]+)", shown.text)]
    assert len(errors) == 3
    assert max(errors) < 0.5


def twelve_bits(shown: Shown) -> None:
    assert [line.split(" ", 1)[1] for line in shown.text.splitlines() if " to " in line] == ["0 to 255"] * 3


def underscore_class(shown: Shown) -> None:
    assert "_background" in (shown.work / "run" / "pca-penultimate-train.svg").read_text("utf-8")
    for picture in ("run/pca-penultimate-train.png", "cmp/roc.png"):
        with Image.open(shown.work / picture) as image:
            image.load()


def output_encoding(shown: Shown) -> None:
    assert shown.exits == [0, 0]
    assert "kNN purity" in (shown.work / "c.txt").read_text("cp1252")
    assert "test" in (shown.work / "f.txt").read_text("cp932")
    assert (shown.work / "run" / "manifest.json").is_file()


def model_file(shown: Shown) -> None:
    assert shown.exits == [0, 0, 0, 0]


def keras_2(shown: Shown) -> None:
    assert re.search(r"Keras 2|2\.15", shown.after("k2_func.keras"))
    assert "HDF5" in shown.after("n_h5_renamed.keras")
    assert "No backbone is named" not in shown.after("UPPER.KERAS")


def spaces(shown: Shown) -> None:
    assert shown.exits == [0]
    assert "8 images" in shown.text


def unlabelled_test(shown: Shown) -> None:
    assert len(shown.exits) == 2
    if shown.exits == [0, 0]:
        assert shown.text.count("12 images, 12 rows") == 2
    else:
        assert "/train" in shown.text


def raw_warnings(shown: Shown) -> None:
    assert not re.search(r"Warning|Glyph|site-packages", shown.text)


def keras_backend(shown: Shown) -> None:
    assert shown.exits == [0] or "KERAS_BACKEND" in shown.text


def advice(shown: Shown) -> None:
    assert "how the head was fitted" not in shown.text
    assert "alike" in shown.text or "same" in shown.text


CHECKS: dict[str, Callable[[Shown], None]] = {
    "F01-many-classes": many_classes,
    "F02-readonly-home": read_only_home,
    "F03-nan-network": nan_network,
    "F04-keras-json-channels-first": channels_first,
    "F05-capital-columns": capital_columns,
    "F06-training_set-test_set": split_folders,
    "F08-nas-and-bin-folders": system_folders,
    "F09-one-image-two-classes": two_classes_of_one_image,
    "F11-networks-own-rescaling": own_rescaling,
    "F13-png-large-metadata": png_metadata,
    "F14-tiff-planar-16": planar_tiff,
    "F16-12-bit-colour": twelve_bits,
    "F18-underscore-class": underscore_class,
    "F19-stdout-encoding": output_encoding,
    "F20-model-file-path": model_file,
    "P01-keras2-files": keras_2,
    "P03-spaces-in-paths": spaces,
    "P05-unlabelled-test-folder": unlabelled_test,
    "P06-raw-warnings": raw_warnings,
    "P07-kerasbackend": keras_backend,
    "P09-advice-off-the-mark": advice,
}


@pytest.mark.skipif(not SCRIPTS, reason="there is no folder shared/cases beside the project")
@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.name != "env.sh"], ids=lambda path: path.stem)
def test_a_script_shows_what_it_must(script: Path, tmp_path: Path) -> None:
    shown = run_script(script, tmp_path)
    assert "did not expect" not in shown.text
    if script.stem != "F03-nan-network":  # where the script itself looks for a file that is rightly not there
        assert "Traceback" not in shown.text, shown.text
    if script.stem in CHECKS:
        CHECKS[script.stem](shown)
