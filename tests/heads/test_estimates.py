"""Training that no memory, disk or day holds is refused before it begins, and only that."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
from pipeline_data import small_data, small_recipe

from featx import limits
from featx.data import Dataset, Item
from featx.errors import ResourcesError
from featx.features import extraction
from featx.heads.estimates import check_fit_memory
from featx.recipes import load_recipe
from featx.runs import fit_head

Usage = namedtuple("Usage", "total used free")


def test_recipes_that_come_with_featx_are_not_refused_with_four_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: 4 * 10**9)
    monkeypatch.setattr(limits, "gpu_memory", lambda: 0)
    items = tuple(Item(str(n), Path(str(n)), "abcd"[n % 4], "train") for n in range(306))
    dataset = Dataset(Path(), items, ("a", "b", "c", "d"))
    for name in ("covid4-vgg16", "covid2-vgg16", "covid4-resnet50v2"):
        for engine in ("auto", "keras"):
            check_fit_memory(load_recipe(name), None, dataset, engine)
    wide = load_recipe("covid4-vgg16").replaced({"images.size": 4096})
    with pytest.raises(ResourcesError, match=r"4\.0 GB, but training the head takes about 430\.\d GB"):
        check_fit_memory(wide, None, dataset, "auto")


def test_a_head_that_no_memory_holds_is_refused_before_an_image_is_read(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=4, test=1, classes=2)
    monkeypatch.setattr(extraction, "hash_images", None)
    dense = {"type": "dense", "units": 100_000, "activation": "relu"}
    recipe = small_recipe(tiny_model, {"head": {"layers": [dense, dense]}})
    with pytest.raises(ResourcesError, match=r"training the head takes about 250\.\d GB"):
        fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()


def test_a_head_that_no_disk_holds_is_refused_before_it_is_trained(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=4, test=1, classes=2)
    recipe = small_recipe(tiny_model)
    fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache")
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(1, 1, 0))
    monkeypatch.setattr(limits, "LITTLE_DISK", 3000)
    # 96 x 16 + 16 + 16 x 2 + 2 weights of 4 bytes.
    with pytest.raises(ResourcesError, match=r"the disk of .*again, .* the file of the head takes about 6\.3 kB"):
        fit_head(data, recipe, out=tmp_path / "again", cache=tmp_path / "cache")


def test_training_of_more_than_a_day_stops_and_keeps_the_features(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data(tmp_path / "data", train=4, test=1, classes=2)
    recipe = small_recipe(tiny_model, {"fit.epochs": 50})
    monkeypatch.setattr(limits, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(limits, "LONGEST_SECONDS", -1.0)
    with pytest.raises(ResourcesError, match="training for 50 epochs takes about 0 hours; lower epochs"):
        fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()
    result = fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache", yes=True)
    assert len(result.history) == 50
    assert result.extraction.computed == 0
