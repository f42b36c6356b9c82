from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from stored_rows import damage, fill, shard_files, some_keys
from typer.testing import CliRunner

from featx import framework
from featx.cli import app
from featx.packages import Package
from featx.pipeline import diagnosing, engine_trials, networks
from featx.pipeline.diagnosing import Diagnosis, doctor
from featx.pipeline.engine_trials import Trial, try_engines
from featx.pipeline.progress import silent

SOUND = [
    Trial("keras", "network", True, 1.0),
    Trial("openvino", "network", False, 0.0, "it is not installed"),
    Trial("keras", "fit", True, 1.0),
    Trial("fused", "fit", True, 1.0),
]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that run, without trying them."""
    monkeypatch.setattr(diagnosing, "try_engines", lambda _: list(SOUND))


def mends(found: Diagnosis) -> str:
    return "\n".join(f"{item.what}: {item.mend}" for item in found.amiss)


def test_every_engine_that_is_installed_runs_here() -> None:
    trials = try_engines(silent)
    assert [(trial.engine, trial.does) for trial in trials] == [(trial.engine, trial.does) for trial in SOUND]
    for trial in trials:
        assert trial.runs == (trial.engine != "openvino" or framework.has_openvino()), trial.reason


def test_an_engine_that_computes_something_else_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    true = networks.build_network

    def wrong(*arguments: object) -> object:
        network = true(*arguments)  # type: ignore[arg-type]
        rows = network.rows
        network.rows = lambda images: rows(images) + 1  # type: ignore[method-assign]
        return network

    def broken(*_: object) -> object:
        raise ImportError("libfused.so: cannot open shared object file")

    monkeypatch.setattr(engine_trials, "build_network", wrong)
    monkeypatch.setattr(engine_trials, "FusedFitter", broken)
    trials = {(trial.engine, trial.does): trial for trial in try_engines(silent)}
    assert trials["keras", "network"].reason == "RuntimeError: its rows of a small network are wrong"
    assert trials["keras", "fit"].runs
    assert trials["fused", "fit"].reason == "ImportError: libfused.so: cannot open shared object file"


@pytest.mark.usefixtures("quick")
def test_weights_are_found_where_they_are_looked_for(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {one.backbone: one for one in doctor(cache=no_weights / "cache").weights}
    assert found["vgg16"].path is None
    folder = no_weights / "weights"
    folder.mkdir()
    (folder / "vgg16_notop.weights.h5").write_bytes(b"weights")
    monkeypatch.setenv("FEATX_WEIGHTS_DIR", str(folder))
    one = next(one for one in doctor(cache=no_weights / "cache").weights if one.backbone == "vgg16")
    assert (one.path, one.sha256) == (one.looked[0], hashlib.sha256(b"weights").hexdigest())
    shutil.rmtree(folder)
    assert "unset FEATX_WEIGHTS_DIR, or correct it" in mends(doctor(cache=no_weights / "cache"))


@pytest.mark.usefixtures("quick")
def test_the_cache_is_counted_and_left_as_it_is(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert doctor(cache=cache).cache is None
    assert not cache.exists()
    fill(cache, some_keys(7))
    found = doctor(cache=cache)
    assert found.cache is not None
    assert found.cache.rows == 7
    assert "cache" not in mends(found)


@pytest.mark.usefixtures("quick")
def test_damage_in_the_cache_comes_with_what_mends_it(tmp_path: Path) -> None:
    space = fill(tmp_path / "cache", some_keys(7))
    damage(shard_files(space)[0])
    found = doctor(cache=tmp_path / "cache")
    assert found.cache is not None
    assert found.cache.set_aside == 1
    assert f"featx cache gc --cache {tmp_path / 'cache'}" in mends(found)
    (tmp_path / "file").touch()
    assert "is no folder: choose another with --cache" in mends(doctor(cache=tmp_path / "file"))


@pytest.mark.usefixtures("quick")
def test_packages_engines_and_devices_that_are_amiss_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package("umap-learn", ">=0.5.7", None, None, fits=False)
    monkeypatch.setattr(diagnosing, "packages", lambda: [package])
    monkeypatch.setattr(diagnosing, "gpu_is_there", lambda: True)
    trials = [*SOUND[:3], Trial("fused", "fit", False, 0.0, "ImportError: no LLVM")]
    monkeypatch.setattr(diagnosing, "try_engines", lambda _: trials)
    told = mends(doctor(cache=tmp_path))
    assert "pip install 'umap-learn>=0.5.7'" in told
    assert "tensorflow[and-cuda]" in told
    assert "the engine fused does not run (fit): ImportError: no LLVM" in told
    # An extra that nobody asked for is nothing to mend.
    assert "openvino" not in told


@pytest.mark.usefixtures("quick")
def test_the_command_tells_all_of_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json", "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert {"featx", "python", "packages", "machine", "devices", "engines", "weights", "cache", "amiss"} == set(
        document
    )
    assert document["cache"]["free_bytes"] > 0
    text = CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path / "cache")]).stdout
    assert "vgg16" in text
    assert "none yet" in text
    assert not (tmp_path / "cache").exists()
