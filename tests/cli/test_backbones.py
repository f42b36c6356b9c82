"""Tests of `featx backbones`, from the command line to features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Featx
from onnx_networks import write_onnx
from pipeline_data import small_data


def test_list_is_a_table_and_a_list(featx: Featx, no_weights: Path) -> None:
    done = featx("backbones", "list", "--json")
    rows = json.loads(done.out)
    assert done.code == 0
    assert list(rows[0]) == ["name", "width", "size", "source", "licence", "here"]
    assert rows[0]["name"] == "efficientnetlite0"
    assert featx("backbones", "list").out.splitlines()[1].split()[:3] == ["efficientnetlite0", "1,280", "224"]


def test_show_tells_where_weights_are_looked_for(featx: Featx, no_weights: Path) -> None:
    done = featx("backbones", "show", "vgg16")
    assert done.code == 0
    assert "x in BGR order" in done.out
    assert "Licence of the weights: CC BY 4.0" in done.out
    assert "not on this machine; looked for in" in done.out
    assert featx("backbones", "show", "vgg16", "--json").json["weights"]["sha256"] is None
    assert featx("backbones", "show", "vgg61").code == 2


@pytest.mark.slow
def test_an_onnx_file_is_brought_in_shown_and_used(featx: Featx, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the test writes a small network with it")
    pytest.importorskip("openvino", reason="OpenVINO runs the network")
    model = write_onnx(tmp_path / "small.onnx", output="row", side=("h", "w"))
    refused = featx("backbones", "import", model, "--out", "mine")
    assert refused.code == 2
    assert "featx does not guess" in refused.err
    done = featx("backbones", "import", model, "--like", "mobilenetv2", "--out", "mine", "--json")
    assert done.code == 0
    assert {"card", "onnx", "largest_difference"} <= set(done.json)
    assert Path(done.json["card"]).name == "card.toml"
    shown = featx("backbones", "show", "mine")
    assert shown.out.startswith("# Digest: ")
    Path("again.toml").write_text(shown.out)
    data = small_data(tmp_path / "data", train=2, test=0, classes=2)
    extracted = featx("extract", data, "--backbone", "mine", "--json")
    assert extracted.code == 0
    assert (extracted.json["rows"], extracted.json["dim"]) == (4, 6)


def test_an_import_that_cannot_be_written_says_so(featx: Featx, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = featx("backbones", "import", "timm:resnet18", "--out", tmp_path / "file")
    assert done.code == 1
    assert "is a file; choose another --out" in done.err
