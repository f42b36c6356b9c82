"""What there is to work with on this machine, what of it is amiss, and what mends it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featx import __version__
from featx.diagnosis.cache_health import CacheHealth, examine_cache
from featx.diagnosis.engine_trials import BACKEND, Trial, other_backend, said, try_engines
from featx.diagnosis.mending import Amiss
from featx.diagnosis.packages import Package, packages
from featx.diagnosis.thread_counts import Threads, threads_in_effect
from featx.diagnosis.weights_found import WeightsFound, amiss_with_weights, look_for_weights
from featx.machine import Machine, this_machine
from featx.networks import gpu_is_there, has_openvino, load_keras
from featx.progress import Progress, reports_progress

# TensorFlow, VGG16 and a head of 51.9 million weights with both its moments.
LITTLE_MEMORY = 3e9
REINSTALL = "pip install --upgrade --force-reinstall"
PACKAGES = {"keras": "tensorflow keras", "openvino": "openvino", "fused": "numba"}


@dataclass(frozen=True)
class Diagnosis:
    """All that `doctor` found.

    Attributes:
        packages: What featx needs and what is installed.
        machine: Processor, memory, GPUs, settings.
        devices: As TensorFlow sees them; empty where it does not load.
        threads: How many each library computes with; those that are not loaded are left out.
        engines: What came of trying each.
        weights: Of each backbone.
        cache: What the cache holds and whether it is sound.
        amiss: What should be mended.
    """

    packages: tuple[Package, ...]
    machine: Machine
    devices: tuple[str, ...]
    threads: tuple[Threads, ...]
    engines: tuple[Trial, ...]
    weights: tuple[WeightsFound, ...]
    cache: CacheHealth
    amiss: tuple[Amiss, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx doctor`."""
        return {
            "featx": __version__,
            "python": platform.python_version(),
            "packages": [asdict(package) for package in self.packages],
            "machine": asdict(self.machine),
            "devices": list(self.devices),
            "threads": [each._asdict() for each in self.threads],
            "engines": [trial.to_json() for trial in self.engines],
            "weights": [asdict(found) for found in self.weights],
            "cache": self.cache.to_json(),
            "amiss": [asdict(item) for item in self.amiss],
        }


@reports_progress
def doctor(*, cache: str | Path = "cache", progress: Progress | None = None) -> Diagnosis:
    """Look at packages, devices, engines, weights and the cache; only damaged files of that are touched: set aside.

    Args:
        cache: The store's folder.
        progress: Told how far the work is.
    """
    machine = this_machine()
    installed = tuple(packages())
    engines = tuple(try_engines())
    devices, no_devices = _devices(engines)
    threads = threads_in_effect()
    weights = look_for_weights()
    health, of_cache = examine_cache(Path(cache))
    amiss = (
        *_of_packages(installed),
        *_of_engines(engines),
        *no_devices,
        *_of_gpus(machine, devices),
        *_of_memory(machine),
        *amiss_with_weights(weights),
        *of_cache,
    )
    return Diagnosis(installed, machine, devices, threads, engines, weights, health, amiss)


def _devices(trials: tuple[Trial, ...]) -> tuple[tuple[str, ...], list[Amiss]]:
    """Return TensorFlow's devices; what keeps it from telling them is amiss where its engine's trial did not tell."""
    if other_backend() is not None:
        return (), []
    try:
        return tuple(map(str, load_keras().distribution.list_devices())), []
    except Exception as error:  # noqa: BLE001 - what a broken library fails with is what a diagnosis is to tell
        known = any(trial.engine == "keras" and trial.amiss for trial in trials)
        what = f"TensorFlow does not tell its devices: {said(error)}"
        return (), [] if known else [Amiss(what, f"{REINSTALL} {PACKAGES['keras']}")]


def _of_packages(found: tuple[Package, ...]) -> Iterator[Amiss]:
    if not found:
        yield Amiss("featx is not installed, so nobody knows which packages it needs", "pip install featx")
    for package in found:
        if package.amiss:
            state = "is not installed" if package.installed is None else f"is {package.installed}"
            yield Amiss(
                f"the package {package.name} {state}, and featx needs {package.required or 'it'}",
                f"pip install '{package.name}{package.required}'",
            )


def _of_engines(trials: tuple[Trial, ...]) -> Iterator[Amiss]:
    for trial in trials:
        if trial.amiss:
            yield Amiss(f"the engine {trial.engine} does not run ({trial.does}): {trial.reason}", _mend_engine(trial))


def _mend_engine(trial: Trial) -> str:
    if trial.engine == "keras" and other_backend() is not None:
        return f"unset {BACKEND}"
    if trial.state == "no space":
        return "free some space where temporary files go, or name another folder in TMPDIR"
    return f"{REINSTALL} {PACKAGES[trial.engine]}"


def _of_gpus(machine: Machine, devices: tuple[str, ...]) -> Iterator[Amiss]:
    """Tell of GPUs that are here and not used; CUDA_VISIBLE_DEVICES=-1 says that this is wanted."""
    hidden = machine.settings.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    if hidden or any(device.startswith("gpu") for device in devices):
        return
    alone = "to do without it, export CUDA_VISIBLE_DEVICES=-1"
    if "NVIDIA" in machine.gpu_makers and machine.gpu_fault is not None:
        yield Amiss(
            f"there is a GPU of NVIDIA's, and it cannot be used: {machine.gpu_fault}",
            "install NVIDIA's driver again and restart the machine, or give the container its GPU (docker run --gpus "
            f"all); {alone}",
        )
    elif "NVIDIA" in machine.gpu_makers and devices:
        yield Amiss(
            "there is a GPU of NVIDIA's, and TensorFlow does not see it",
            f"pip install 'tensorflow[and-cuda]'; {alone}",
        )
    elif gpu_is_there() and has_openvino() and devices:
        # Harmless without OpenVINO: Keras would run on the processor in any case.
        yield Amiss(
            "there is a GPU that TensorFlow does not see, and for it networks are run by Keras, not by OpenVINO",
            "export CUDA_VISIBLE_DEVICES=-1, or --engine openvino",
        )


def _of_memory(machine: Machine) -> Iterator[Amiss]:
    if machine.available is not None and machine.available < LITTLE_MEMORY:
        yield Amiss(
            f"only {machine.available / 1e9:.1f} GB of memory are free, and fitting covid4-vgg16 takes about 2.5 GB",
            "close other programs, or take a smaller network (--backbone mobilenetv2)",
        )
