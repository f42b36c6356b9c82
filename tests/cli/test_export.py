from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Featx
from pipeline_data import small_data, small_recipe

from featx.runs import fit_head

for package in ("onnx", "onnxruntime", "tf2onnx", "skl2onnx"):
    pytest.importorskip(package, reason=f"the package {package} is not installed")


@pytest.mark.slow
def test_export_prints_what_it_wrote(featx: Featx, tiny_model: Path, tmp_path: Path) -> None:
    small_data(tmp_path / "data", train=4, test=2)
    run = fit_head(tmp_path / "data", small_recipe(tiny_model), out=tmp_path / "run", cache=tmp_path / "cache").run
    file = tmp_path / "run.onnx"
    done = featx("export", run, "--format", "onnx", "--out", file, "--cache", tmp_path / "cache", "--json")
    assert done.code == 0
    assert {"file", "bytes", "checked", "largest_difference"} <= done.json.keys()
    assert done.json["file"] == str(file)
    assert done.json["bytes"] == file.stat().st_size
    assert done.json["checked"] == 8
    told = featx("export", run, "--out", file, "--cache", tmp_path / "cache")  # replaces it
    assert told.code == 0
    assert "8 images; largest difference from predict" in told.out
    assert "any height and width" in told.out


def test_another_file_is_not_replaced(featx: Featx, tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("notes")
    done = featx("export", tmp_path, "--out", tmp_path / "notes.onnx")
    assert done.code == 2
    assert "found something else there" in done.err
    assert (tmp_path / "notes.onnx").read_text() == "notes"


def test_a_wrong_ending_is_wrong_usage(featx: Featx, tmp_path: Path) -> None:
    done = featx("export", tmp_path, "--out", tmp_path / "run.pt")
    assert done.code == 2
    assert "ends in .onnx or .keras" in done.err
