"""Results whose files cannot be written are not lost: they are printed, and what was computed is kept."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import Featx

from featx import fit_head
from featx.errors import RunError, StoreError, UnwrittenError
from featx.runs import read_run, read_source

MADE = Path(__file__).parents[1] / "made_before"


@pytest.fixture
def full(featx: Featx, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a disk without space, in the working folder, beside a run, its images and its cache."""
    shutil.copytree(MADE, ".", dirs_exist_ok=True)
    folder = Path("full").absolute()
    replace = Path.replace

    def fails(path: Path, target: Any) -> Path:
        if folder in Path(target).absolute().parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "entry"),
    [
        (["fit-head", "images", "--recipe", "run/recipe.toml", "--out", "full/run"], "test"),
        (["clusters", "run", "--permutations", 3, "--out", "full/clusters"], "layer"),
        (["visualize", "run", "--method", "pca", "--format", "csv", "--out", "full/maps"], "method"),
        (["compare", "run", "--classifiers", "knn", "--out", "full/compared"], "layer"),
        (["compare", "run", "--classifiers", "knn", "--save-best", "full/best"], "layer"),
        (["predict", "run", "images/test", "--out", "full/predicted.csv"], "predictions"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_the_result_is_printed_though_the_disk_is_full(
    full: Path, featx: Featx, words: list[object], entry: str
) -> None:
    outcome = featx(*words, "--json")
    assert outcome.code == 1
    assert entry in outcome.json
    assert "cannot be written: No space left on device" in outcome.err.splitlines()[-1]
    again = featx(*words)
    assert (again.code, "cannot be written" in again.err) == (1, True)
    assert len(again.out.splitlines()) > 1


@pytest.mark.slow
def test_a_run_is_written_though_its_penultimate_features_are_not(full: Path, featx: Featx) -> None:
    shutil.move("cache", full)
    outcome = featx(
        "fit-head", "images", "--recipe", "run/recipe.toml", "--epochs", 2, "--out", "other", "--cache", full
    )
    assert outcome.code == 1
    assert "No space is left to write the cache" in outcome.err.splitlines()[-1]
    assert "2 epochs" in outcome.out
    run = read_run("other")
    assert len(run.images) == 24
    with pytest.raises(RunError, match="penultimate features of the run other are not all in the cache"):
        read_source("other", cache=full)
    assert len(read_source("other", layer="backbone", cache=full).table) == 24


@pytest.mark.slow
def test_the_error_has_the_result(full: Path) -> None:
    with pytest.raises(UnwrittenError, match="No space left") as caught:
        fit_head("images", "run/recipe.toml", out=full / "run", cache="cache")
    assert isinstance(caught.value, StoreError)
    assert caught.value.result.test.n == 6
    assert not (full / "run" / "manifest.json").exists()
