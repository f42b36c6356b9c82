from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from stored_rows import damage, fill, shard_files, some_keys, tree
from typer.testing import CliRunner

from featx import networks
from featx.cli import app
from featx.diagnosis import diagnosing
from featx.diagnosis.diagnosing import Diagnosis, doctor, examine_cache
from featx.diagnosis.engine_trials import EngineTrial
from featx.diagnosis.packages import Package
from featx.diagnosis.problems import Problem
from featx.machine import Machine

SOUND = (
    EngineTrial("keras", "network", "runs", 1.0),
    EngineTrial("openvino", "network", "not installed"),
    EngineTrial("onnxruntime", "network", "not installed"),
    EngineTrial("keras", "fit", "runs", 1.0),
    EngineTrial("fused", "fit", "runs", 1.0),
)
PLAIN = Machine("Linux 6.1", "a processor", 2, 2 * 10**10, 10**10, (), {})
not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not stop root, or are others"
)


def raising(error: Exception) -> Callable[..., Any]:
    """A function that raises an error, whatever its arguments."""

    def broken(*_: object, **__: object) -> None:
        raise error

    return broken


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain machine, and engines that work and are not tried."""
    monkeypatch.setattr(diagnosing, "this_machine", lambda: PLAIN)
    monkeypatch.setattr(diagnosing, "try_engines", lambda: SOUND)
    monkeypatch.setattr(diagnosing, "_devices", lambda: ("cpu:0",))


@pytest.fixture
def large_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosing, "LITTLE_DISK", 0)


def text_of(problems: Diagnosis | list[Problem]) -> str:
    listed = problems.problems if isinstance(problems, Diagnosis) else problems
    return "\n".join(f"{problem.what}: {problem.fix}" for problem in listed)


def write_weights(path: Path) -> str:
    """Write a small weights file; return its SHA-256."""
    with h5py.File(path, "w") as file:
        file["layers/conv"] = [0.0] * 1000
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- devices ---


@pytest.mark.usefixtures("quick")
def test_a_gpu_that_is_not_used_and_little_memory_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "gpu_is_there", lambda: True)
    monkeypatch.setattr(diagnosing, "this_machine", lambda: replace(PLAIN, available=10**9))
    text = text_of(doctor(cache=tmp_path))
    assert "nvidia-smi lists none" in text
    assert "only 1.0 GB of memory are free" in text
    monkeypatch.setattr(diagnosing, "_devices", lambda: ("cpu:0", "gpu:0"))
    assert "GPU" not in text_of(doctor(cache=tmp_path))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("built", "cudnn", "fix"),
    [
        (False, None, "pip uninstall tensorflow tensorflow-cpu, then pip install 'featx[gpu]'; "),
        (True, None, ": pip install 'featx[gpu]'; "),
        (True, "9.3", "compare the driver's version in nvidia-smi"),
    ],
)
def test_what_a_gpu_of_nvidia_lacks_is_named(
    built: bool, cudnn: str | None, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "gpu_is_there", lambda: True)
    monkeypatch.setattr(networks, "is_built_for_gpus", lambda: built)
    monkeypatch.setattr(diagnosing, "this_machine", lambda: replace(PLAIN, gpus=("NVIDIA A100, 40960 MiB",)))
    package = Package("nvidia-cudnn-cu12", ">=9", cudnn, "gpu", fits=cudnn is not None)
    monkeypatch.setattr(diagnosing, "find_packages", lambda: (package,))
    [problem] = (each for each in doctor(cache=tmp_path).problems if "GPU" in each.what)
    assert "there is a GPU (NVIDIA A100), but TensorFlow does not see it" in problem.what
    assert fix in f": {problem.fix}"
    assert "CUDA_VISIBLE_DEVICES=-1" in problem.fix


# --- weights ---


@pytest.mark.usefixtures("quick")
def test_weights_are_found_where_they_are_looked_for(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {file.backbone: file for file in doctor(cache=no_weights / "cache").weights}
    assert (files["vgg16"].path, files["vgg16"].fault) == (None, None)
    folder = no_weights / "weights"
    folder.mkdir()
    digest = write_weights(folder / "vgg16_notop.weights.h5")
    monkeypatch.setenv("FEATX_WEIGHTS_DIR", str(folder))
    diagnosed = doctor(cache=no_weights / "cache")
    file = next(file for file in diagnosed.weights if file.backbone == "vgg16")
    assert (file.path, file.sha256, file.fault) == (file.looked[0], digest, None)
    assert "weights" not in text_of(diagnosed)
    shutil.rmtree(folder)
    assert "unset or correct FEATX_WEIGHTS_DIR" in text_of(doctor(cache=no_weights / "cache"))


@pytest.mark.usefixtures("quick")
def test_damaged_weights_are_a_problem(no_weights: Path) -> None:
    folder = no_weights / "keras" / "models"
    folder.mkdir(parents=True)
    broken = folder / networks.BACKBONES["mobilenetv2"].weights_file
    write_weights(broken)
    broken.write_bytes(broken.read_bytes()[:3000])
    other = folder / networks.BACKBONES["vgg16"].weights_file
    write_weights(other)  # opens, and is not what Keras publishes under this name
    text = text_of(doctor(cache=no_weights / "cache"))
    assert f"mobilenetv2: the file {broken} is a damaged HDF5 file" in text
    assert f"vgg16: the file {other} does not match the digest" in text
    assert all(f": rm {shlex.quote(str(path))}, then copy" in text for path in (broken, other))


@pytest.mark.usefixtures("quick")
def test_a_folder_that_cannot_be_read_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden = PermissionError(13, "Permission denied", "/somebody/models")
    monkeypatch.setattr(networks, "find_imagenet", raising(forbidden))
    monkeypatch.delenv("FEATX_WEIGHTS_DIR", raising=False)
    problems = doctor(cache=tmp_path / "cache").problems
    assert len([problem for problem in problems if "/somebody/models" in problem.what]) == 1


@pytest.mark.usefixtures("quick")
def test_weights_that_come_with_featx_are_looked_for_nowhere_else(
    no_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnosed = doctor(cache=no_weights / "cache")
    (file,) = (file for file in diagnosed.weights if file.packaged)
    assert (file.backbone, file.fault, file.looked) == ("efficientnetlite0", None, (file.path,))
    assert file.sha256 == networks.BACKBONES["efficientnetlite0"].sha256
    text = CliRunner().invoke(app, ["doctor", "--cache", str(no_weights / "cache")]).stdout
    assert re.search("efficientnetlite0 +comes with featx", text)
    assert str(Path(file.looked[0]).parent) not in text
    monkeypatch.setattr(networks, "weights_problem", lambda _: "is not as it came with featx")
    (problem,) = doctor(cache=no_weights / "cache").problems
    assert "efficientnetlite0" in problem.what
    assert problem.fix == "pip install --upgrade --force-reinstall --no-deps featx"


# --- the cache ---


@pytest.mark.usefixtures("large_disk")
def test_a_cache_that_is_not_there_yet_is_no_problem(tmp_path: Path) -> None:
    health, problems = examine_cache(tmp_path / "not" / "there")
    assert (health.state, health.rows, problems) == ("none yet", None, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("large_disk")
def test_a_sound_cache_is_counted_and_left_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, some_keys(7))
    before = tree(tmp_path)
    health, problems = examine_cache(tmp_path)
    assert (health.state, health.rows, health.shards, problems) == ("read", 7, 1, [])
    assert tree(tmp_path) == before


def test_a_full_disk_is_a_problem_before_there_is_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosing, "LITTLE_DISK", 1e18)
    cache = tmp_path / "a cache"
    assert "GB left: choose a --cache on another disk" in text_of(examine_cache(cache)[1])
    fill(cache, some_keys(3))
    assert f"featx cache gc --cache {shlex.quote(str(cache))} --drop ID" in text_of(examine_cache(cache)[1])


def test_a_file_is_not_taken_for_a_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for cache in (tmp_path / "file", tmp_path / "file" / "cache"):
        health, problems = examine_cache(cache)
        assert health.state == "cannot be read"
        assert f"{tmp_path / 'file'} is not a folder" in text_of(problems)


@pytest.mark.usefixtures("large_disk")
def test_damaged_shards_are_found_and_set_aside(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(7))
    damage(shard_files(space)[0])
    for _ in range(2):
        health, problems = examine_cache(tmp_path)
        assert (health.rows, health.set_aside) == (0, 1)
        text = text_of(problems)
        assert f"1 damaged files; their rows are computed again: featx cache gc --cache {tmp_path}" in text


@not_root
@pytest.mark.usefixtures("large_disk")
def test_a_cache_without_permission_is_a_problem(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    space = fill(cache, some_keys(7))
    damage(shard_files(space)[0])
    space.path.chmod(0o500)
    assert "1 damaged files" in text_of(examine_cache(cache)[1])
    space.path.chmod(0)
    assert examine_cache(cache)[0].state == "cannot be read"
    space.path.chmod(0o700)
    tmp_path.chmod(0o500)
    assert f"the cache {tmp_path / 'new'} cannot be written" in text_of(examine_cache(tmp_path / "new")[1])
    tmp_path.chmod(0)
    assert examine_cache(cache)[0].state == "cannot be read"
    tmp_path.chmod(0o700)


# --- the command ---


@pytest.mark.usefixtures("quick")
def test_the_command_shows_all_of_it(no_weights: Path) -> None:
    cache = no_weights / "cache"
    fill(cache, some_keys(7))
    result = CliRunner().invoke(app, ["doctor", "--json", "--cache", str(cache)])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    section = page.read_text("utf-8").split("## featx doctor")[1].split("\n## ")[0]
    described = section[section.index("JSON:") :]
    keys = {*document, *document["machine"], *document["engines"][0], *document["weights"][0], *document["cache"]}
    assert [key for key in sorted(keys) if f"`{key}`" not in described] == []
    assert document["cache"]["rows"] == 7
    text = CliRunner().invoke(app, ["doctor", "--cache", str(cache)]).stdout
    assert "7 rows in 1 shard, all verified" in text
    assert "memory     20.0 GB, 10.0 GB of it free\n" in text
    assert str(no_weights / "keras" / "models") in text
    assert "cpu:0" in text


@pytest.mark.usefixtures("quick")
def test_the_command_lists_problems_with_their_fixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Package("umap-learn", ">=0.5.7", None, None, fits=False)
    there = Package("onnx", "", "1.0", "onnx", fits=True)
    absent = tuple(Package(name, "", None, "import", fits=False) for name in ("torch", "timm"))
    monkeypatch.setattr(diagnosing, "find_packages", lambda: (package, there, *absent))
    trials = (*SOUND[:4], EngineTrial("fused", "fit", "fails", 0.1, "ImportError: no LLVM"))
    monkeypatch.setattr(diagnosing, "try_engines", lambda: trials)
    result = CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 0
    assert "missing    umap-learn\n" in result.stdout
    assert "  Fix: pip install 'umap-learn>=0.5.7'\n" in result.stdout
    assert "extra      onnx is installed\n" in result.stdout
    assert "extra      import lacks torch, timm: pip install 'featx[import]'\n" in result.stdout
    problem = r"Problem: the engine fused .*: ImportError: no LLVM\.\n  Fix: pip install .* numba"
    assert re.search(problem, result.stdout)
    assert "openvino does not work" not in result.stdout  # what is not installed is listed with the packages
