from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from stored_rows import fill, some_keys
from typer.testing import CliRunner

from featx.cli import app
from featx.diagnosis import diagnosing, weights_found
from featx.diagnosis.diagnosing import Diagnosis, doctor
from featx.diagnosis.engine_trials import Trial
from featx.diagnosis.packages import Package
from featx.machine import Machine
from featx.networks import BACKBONES

SOUND = [
    Trial("keras", "network", "runs", 1.0),
    Trial("openvino", "network", "not installed"),
    Trial("keras", "fit", "runs", 1.0),
    Trial("fused", "fit", "runs", 1.0),
]
PLAIN = Machine("Linux 6.1", "a processor", 2, 2 * 10**10, 10**10, (), (), None, {})


class LibraryError(Exception):
    """What TensorFlow's own errors are: no kind of the usual ones."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain machine and engines that run, without trying them."""
    monkeypatch.setattr(diagnosing, "this_machine", lambda: PLAIN)
    monkeypatch.setattr(diagnosing, "try_engines", lambda _: list(SOUND))
    monkeypatch.setattr(diagnosing, "_devices", lambda _: (("cpu:0",), []))


def mends(found: Diagnosis) -> str:
    return "\n".join(f"{item.what}: {item.mend}" for item in found.amiss)


def write_weights(path: Path) -> str:
    """A small weights file; returns its SHA-256."""
    with h5py.File(path, "w") as file:
        file["layers/conv"] = [0.0] * 1000
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- weights ---


@pytest.mark.usefixtures("quick")
def test_weights_are_found_where_they_are_looked_for(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {one.backbone: one for one in doctor(cache=no_weights / "cache").weights}
    assert (found["vgg16"].path, found["vgg16"].fault) == (None, None)
    folder = no_weights / "weights"
    folder.mkdir()
    digest = write_weights(folder / "vgg16_notop.weights.h5")
    monkeypatch.setenv("FEATX_WEIGHTS_DIR", str(folder))
    told = doctor(cache=no_weights / "cache")
    one = next(one for one in told.weights if one.backbone == "vgg16")
    assert (one.path, one.sha256, one.fault) == (one.looked[0], digest, None)
    assert "weights" not in mends(told)
    shutil.rmtree(folder)
    assert "unset FEATX_WEIGHTS_DIR, or correct it" in mends(doctor(cache=no_weights / "cache"))


@pytest.mark.usefixtures("quick")
def test_weights_that_are_not_whole_are_amiss(no_weights: Path) -> None:
    folder = no_weights / "keras" / "models"
    folder.mkdir(parents=True)
    broken = folder / BACKBONES["mobilenetv2"].weights_file
    write_weights(broken)
    broken.write_bytes(broken.read_bytes()[:3000])
    other = folder / BACKBONES["vgg16"].weights_file
    write_weights(other)  # opens, and is not what Keras publishes under this name
    told = mends(doctor(cache=no_weights / "cache"))
    assert f"mobilenetv2: the file {broken} is a damaged HDF5 file" in told
    assert f"vgg16: the file {other} does not match the digest" in told
    assert all(f": rm {shlex.quote(str(path))}, and copy it" in told for path in (broken, other))


@pytest.mark.usefixtures("quick")
def test_a_place_that_cannot_be_looked_into_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: object) -> Path:
        raise PermissionError(13, "Permission denied", "/somebody/models")

    monkeypatch.setattr(weights_found, "find_imagenet", forbidden)
    monkeypatch.delenv("FEATX_WEIGHTS_DIR", raising=False)
    found = doctor(cache=tmp_path / "cache")
    assert len([item for item in found.amiss if "/somebody/models" in item.what]) == 1


# --- packages and engines ---


@pytest.mark.usefixtures("quick")
def test_packages_and_engines_that_are_amiss_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Package("umap-learn", ">=0.5.7", None, None, fits=False)
    monkeypatch.setattr(diagnosing, "packages", lambda: [package])
    trials = [*SOUND[:3], Trial("fused", "fit", "fails", 0.1, "ImportError: no LLVM")]
    monkeypatch.setattr(diagnosing, "try_engines", lambda _: trials)
    told = mends(doctor(cache=tmp_path))
    assert "pip install 'umap-learn>=0.5.7'" in told
    assert re.search(r"the engine fused .*: ImportError: no LLVM: pip install .* numba", told)
    # An extra that nobody asked for is nothing to mend.
    assert "openvino" not in told
    text = CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path / "cache")]).stdout
    assert "not there  umap-learn\n" in text
    monkeypatch.setattr(diagnosing, "packages", list)
    assert "featx is not installed" in mends(doctor(cache=tmp_path))


@pytest.mark.usefixtures("quick")
def test_a_broken_tensorflow_is_one_thing_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [
        Trial("keras", "network", "fails", 0.1, "ImportError: DLL"),
        *(replace(t, state="needs keras") for t in SOUND[1:]),
    ]
    monkeypatch.setattr(diagnosing, "try_engines", lambda _: trials)
    found = doctor(cache=tmp_path)
    assert len([item for item in found.amiss if "engine" in item.what]) == 1
    assert "tensorflow keras" in mends(found)
    assert "numba" not in mends(found)


def test_a_tensorflow_that_does_not_load_does_not_end_the_diagnosis(tmp_path: Path) -> None:
    """In a process of its own, with nothing stood in for but TensorFlow."""
    (tmp_path / "tensorflow.py").write_text(
        # As TensorFlow does it: the message is a traceback, longer than anybody shows.
        "import traceback\n"
        "class InternalError(Exception): pass\n"
        "try:\n    raise InternalError('the driver is too old')\n"
        "except InternalError:\n    raise ImportError(traceback.format_exc() + 'See some page. ' * 50)\n",
        "utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, "-c", "from featx.cli import main; main()", "doctor", "--json", "--cache"]
    told = subprocess.run(
        [*command, str(tmp_path / "cache")], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    document = json.loads(told.stdout)
    engines = [item for item in document["amiss"] if "engine" in item["what"]]
    assert len(engines) == 1
    assert "InternalError: the driver is too old" in engines[0]["what"]
    assert engines[0]["mend"].endswith("tensorflow keras")
    assert document["devices"] == []


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_is_mended_by_the_variable(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left out here: the trials and the devices are the real ones, and load nothing."""
    monkeypatch.setenv("KERAS_BACKEND", backend)
    found = doctor(cache=tmp_path)
    assert [item.mend for item in found.amiss if "engine" in item.what] == ["unset KERAS_BACKEND"]
    assert found.devices == ()
    assert CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path)]).exit_code == 0


def test_devices_that_cannot_be_told_do_not_end_the_diagnosis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> object:
        raise LibraryError("no CUDA-capable device")

    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(diagnosing, "load_keras", broken)
    monkeypatch.setattr(diagnosing, "try_engines", lambda _: list(SOUND))
    found = doctor(cache=tmp_path)
    assert found.devices == ()
    assert "does not tell its devices: LibraryError: no CUDA-capable device" in mends(found)


def test_a_full_disk_is_not_mended_by_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [Trial("keras", "network", "no space", 0.1, "OSError: No space left on device"), *SOUND[1:]]
    assert [item.mend for item in diagnosing._of_engines(tuple(trials))] == [
        "free some space where temporary files go, or name another folder in TMPDIR"
    ]


# --- the machine ---


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("machine", "mend", "never"),
    [
        (replace(PLAIN, gpu_makers=("NVIDIA",)), "tensorflow[and-cuda]", "driver again"),
        (
            replace(PLAIN, gpu_makers=("NVIDIA",), gpu_fault="mismatch"),
            "mismatch: install NVIDIA's driver",
            "and-cuda",
        ),
        # A tool without a GPU is as common as harmless.
        (replace(PLAIN, gpu_fault="no devices were found"), "", "no devices"),
        (replace(PLAIN, gpu_makers=("AMD",)), "--engine openvino", "and-cuda"),
        (replace(PLAIN, gpu_makers=("NVIDIA",), settings={"CUDA_VISIBLE_DEVICES": "-1"}), "", "GPU"),
        (replace(PLAIN, available=10**9), "only 1.0 GB of memory are free", "GPU"),
    ],
)
def test_what_mends_a_gpu_goes_by_its_maker(
    tmp_path: Path, machine: Machine, mend: str, never: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosing, "this_machine", lambda: machine)
    monkeypatch.setattr(diagnosing, "gpu_is_there", lambda: bool(machine.gpu_makers))
    monkeypatch.setattr(diagnosing, "has_openvino", lambda: True)
    told = mends(doctor(cache=tmp_path))
    assert mend in told
    assert never not in told
    monkeypatch.setattr(diagnosing, "_devices", lambda _: (("cpu:0", "gpu:0"), []))
    assert "GPU" not in mends(doctor(cache=tmp_path))


@pytest.mark.usefixtures("quick")
def test_memory_is_shown_as_far_as_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosing, "this_machine", lambda: replace(PLAIN, available=None))
    text = CliRunner().invoke(app, ["doctor", "--cache", str(tmp_path)]).stdout
    assert "memory     20.0 GB\n" in text


# --- the command ---


@pytest.mark.usefixtures("quick")
def test_the_command_tells_all_of_it(no_weights: Path) -> None:
    cache = no_weights / "cache"
    result = CliRunner().invoke(app, ["doctor", "--json", "--cache", str(cache)])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    section = page.read_text("utf-8").split("## featx doctor")[1].split("\n## ")[0]
    described = section[section.index("JSON:") :]
    keys = {*document, *document["machine"], *document["engines"][0], *document["weights"][0], *document["cache"]}
    assert [key for key in sorted(keys) if f"`{key}`" not in described] == []
    assert document["cache"]["free_bytes"] > 0
    text = CliRunner().invoke(app, ["doctor", "--cache", str(cache)]).stdout
    assert f"{cache}: none yet" in text
    assert str(no_weights / "keras" / "models") in text
    assert "cpu:0" in text
    assert not cache.exists()
    fill(cache, some_keys(7))
    text = CliRunner().invoke(app, ["doctor", "--cache", str(cache)]).stdout
    assert "1 shards and 0 converted networks hashed: none damaged" in text
    held = json.loads(CliRunner().invoke(app, ["doctor", "--json", "--cache", str(cache)]).stdout)["cache"]
    assert held["rows"] == 7
    assert [key for key in sorted(held) if f"`{key}`" not in described] == []
    file = no_weights / "file"
    file.touch()
    text = CliRunner().invoke(app, ["doctor", "--cache", str(file)]).stdout
    assert f"{file}: cannot be read" in text
