from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import pytest
from stored_rows import damage, fill, shard_files, some_keys, tree
from typer.testing import CliRunner

from featx import diagnosis, networks
from featx.cli import app
from featx.diagnosis import (
    Diagnosis,
    EngineTrial,
    Package,
    Problem,
    doctor,
    examine_cache,
    find_packages,
    try_engines,
)
from featx.machine import Machine

SOUND = (
    EngineTrial("keras", "network", "runs", 1.0),
    EngineTrial("openvino", "network", "not installed"),
    EngineTrial("keras", "fit", "runs", 1.0),
    EngineTrial("fused", "fit", "runs", 1.0),
)
PLAIN = Machine("Linux 6.1", "a processor", 2, 2 * 10**10, 10**10, (), {})
not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not stop root, or are others"
)


class LibraryError(Exception):
    """Like TensorFlow's and Numba's own errors, none of Python's kinds."""


def raising(error: Exception) -> Callable[..., Any]:
    """A function that raises an error, whatever its arguments."""

    def broken(*_: object, **__: object) -> None:
        raise error

    return broken


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain machine, and engines that work and are not tried."""
    monkeypatch.setattr(diagnosis, "this_machine", lambda: PLAIN)
    monkeypatch.setattr(diagnosis, "try_engines", lambda: SOUND)
    monkeypatch.setattr(diagnosis, "_devices", lambda: ("cpu:0",))


@pytest.fixture
def large_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "LITTLE_DISK", 0)


def text_of(problems: Diagnosis | list[Problem]) -> str:
    listed = problems.problems if isinstance(problems, Diagnosis) else problems
    return "\n".join(f"{problem.what}: {problem.fix}" for problem in listed)


def write_weights(path: Path) -> str:
    """Write a small weights file; return its SHA-256."""
    with h5py.File(path, "w") as file:
        file["layers/conv"] = [0.0] * 1000
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- packages ---


def test_the_packages_that_featx_needs_are_installed_here() -> None:
    packages = {package.name: package for package in find_packages()}
    assert packages["numpy"].installed == version("numpy")
    assert packages["numpy"].extra is None
    assert packages["openvino"].extra == "openvino"
    assert list(diagnosis._package_problems(tuple(packages.values()))) == []
    assert "mypy" not in packages  # for developers


def test_a_version_that_does_not_fit_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["alpha>=2", "beta>=2", "gamma", 'delta>=2; extra == "more"', "epsilon<3,>=1"]
    there = {"alpha": "1.9", "beta": "10.0rc1", "epsilon": "2.5"}

    def installed(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(diagnosis, "requires", lambda _: lines)
    monkeypatch.setattr(diagnosis, "version", installed)
    packages = {package.name: package for package in find_packages()}
    assert packages["alpha"] == Package("alpha", ">=2", "1.9", None, fits=False)
    assert packages["delta"].extra == "more"
    problems = list(diagnosis._package_problems(tuple(packages.values())))
    assert [problem.fix for problem in problems] == ["pip install 'alpha>=2'", "pip install 'gamma'"]
    assert "featx is not installed" in text_of(list(diagnosis._package_problems(())))


# --- engines and devices ---


@pytest.mark.slow
def test_every_engine_that_is_installed_works_here() -> None:
    trials = try_engines()
    assert [(trial.engine, trial.does) for trial in trials] == [(trial.engine, trial.does) for trial in SOUND]
    for trial in trials:
        works = trial.engine != "openvino" or networks.has_openvino()
        assert trial.state == ("runs" if works else "not installed"), trial.reason
    assert list(diagnosis._engine_problems(trials)) == []


@pytest.mark.slow
def test_an_engine_that_computes_something_else_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    build = networks.NetworkSource.build

    def build_wrong(*arguments: object) -> object:
        network = build(*arguments)  # type: ignore[arg-type]
        rows = network.rows
        network.rows = lambda images: rows(images) * 1.01  # type: ignore[method-assign]
        return network

    monkeypatch.setattr(networks.NetworkSource, "build", build_wrong)
    monkeypatch.setattr(diagnosis, "FusedFitter", raising(LibraryError("no symbol\nin libfused.so")))
    trials = {(trial.engine, trial.does): trial for trial in try_engines()}
    assert trials["keras", "network"].state == "wrong"
    assert trials["keras", "fit"].state == "runs"
    assert trials["fused", "fit"].state == "fails"
    assert trials["fused", "fit"].reason == "LibraryError: no symbol in libfused.so"
    problems = list(diagnosis._engine_problems(tuple(trials.values())))
    assert problems[-1].fix.endswith("numba")


@pytest.mark.slow
def test_a_tensorflow_that_does_not_load_does_not_end_the_diagnosis(tmp_path: Path) -> None:
    """In a process of its own, with the real libraries except for TensorFlow."""
    (tmp_path / "tensorflow.py").write_text(
        # As TensorFlow does it: the message is a traceback, longer than what is shown.
        "import traceback\n"
        "class InternalError(Exception): pass\n"
        "try:\n    raise InternalError('the driver is too old')\n"
        "except InternalError:\n    raise ImportError(traceback.format_exc() + 'See some page. ' * 50)\n",
        "utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, "-c", "from featx.cli import main; main()", "doctor", "--json", "--cache", "cache"]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    document = json.loads(run.stdout)
    problems = [problem for problem in document["problems"] if "engine" in problem["what"]]
    assert len(problems) == 1
    assert "InternalError: the driver is too old" in problems[0]["what"]
    assert problems[0]["fix"].endswith("tensorflow keras")
    states = [trial["state"] for trial in document["engines"] if trial["state"] != "not installed"]
    assert states == ["fails", *["needs keras"] * (len(states) - 1)]
    assert len(states) > 2
    assert document["devices"] == []


def test_a_full_disk_is_not_fixed_by_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("tempfile.TemporaryDirectory", raising(full))
    trial = diagnosis._try_engine("keras", "network")
    assert trial.state == "no space"
    assert "TMPDIR" in text_of(list(diagnosis._engine_problems((trial,))))


@pytest.mark.usefixtures("quick")
def test_a_gpu_that_is_not_used_and_little_memory_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "gpu_is_there", lambda: True)
    monkeypatch.setattr(diagnosis, "this_machine", lambda: replace(PLAIN, available=10**9))
    text = text_of(doctor(cache=tmp_path))
    assert "tensorflow[and-cuda]" in text
    assert "only 1.0 GB of memory are free" in text
    monkeypatch.setattr(diagnosis, "_devices", lambda: ("cpu:0", "gpu:0"))
    assert "GPU" not in text_of(doctor(cache=tmp_path))


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
    monkeypatch.setattr(diagnosis, "LITTLE_DISK", 1e18)
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
    page = Path(__file__).parents[1] / "docs" / "command-line.md"
    section = page.read_text("utf-8").split("## featx doctor")[1].split("\n## ")[0]
    described = section[section.index("JSON:") :]
    keys = {*document, *document["machine"], *document["engines"][0], *document["weights"][0], *document["cache"]}
    assert [key for key in sorted(keys) if f"`{key}`" not in described] == []
    assert document["cache"]["rows"] == 7
    text = CliRunner().invoke(app, ["doctor", "--cache", str(cache)]).stdout
    assert "7 rows in 1 shards, all verified" in text
    assert "memory     20.0 GB, 10.0 GB of it free\n" in text
    assert str(no_weights / "keras" / "models") in text
    assert "cpu:0" in text


@pytest.mark.usefixtures("quick")
def test_the_command_lists_problems_with_their_fixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Package("umap-learn", ">=0.5.7", None, None, fits=False)
    monkeypatch.setattr(diagnosis, "find_packages", lambda: (package,))
    trials = (*SOUND[:3], EngineTrial("fused", "fit", "fails", 0.1, "ImportError: no LLVM"))
    monkeypatch.setattr(diagnosis, "try_engines", lambda: trials)
    result = CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 0
    assert "missing    umap-learn\n" in result.stdout
    assert "  Fix: pip install 'umap-learn>=0.5.7'\n" in result.stdout
    problem = r"Problem: the engine fused .*: ImportError: no LLVM\.\n  Fix: pip install .* numba"
    assert re.search(problem, result.stdout)
    assert "openvino does not work" not in result.stdout  # an extra that is not installed is no problem
