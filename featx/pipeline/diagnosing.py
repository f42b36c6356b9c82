"""What there is to work with on this machine, what of it is amiss, and what mends it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featx import __version__
from featx.backbones import BACKBONES
from featx.cache_admin import CacheInfo, info
from featx.errors import FeatxError
from featx.framework import gpu_is_there, load_keras
from featx.machine import Machine, free_bytes, this_machine
from featx.packages import Package, packages
from featx.pipeline.engine_trials import Trial, try_engines
from featx.pipeline.progress import Progress, silent
from featx.store import Store
from featx.weights import WEIGHTS_DIR, file_digest, find_imagenet, places

# VGG16's flat features of some thousand images; less is soon used up.
LITTLE_DISK = 2e9
# TensorFlow, VGG16 and a head of 51.9 million weights with both its moments.
LITTLE_MEMORY = 3e9


@dataclass(frozen=True)
class WeightsFound:
    """ImageNet weights of one backbone.

    Attributes:
        backbone: Its name.
        path: The file that would be taken; None where it would be downloaded.
        sha256: Of its bytes.
        looked: Where weights are looked for, in this order.
    """

    backbone: str
    path: str | None
    sha256: str | None
    looked: tuple[str, ...]


@dataclass(frozen=True)
class Amiss:
    """Something that is not as it should be, and the command or step that mends it."""

    what: str
    mend: str


@dataclass(frozen=True)
class Diagnosis:
    """All that `doctor` found.

    Attributes:
        packages: What featx needs and what is installed.
        machine: Processor, memory, GPUs, settings.
        devices: As TensorFlow sees them; empty where it does not load.
        engines: What came of trying each.
        weights: Of each backbone.
        cache: What the cache holds; None where there is none yet, or it cannot be read.
        cache_root: Its place.
        free_bytes: On the cache's disk.
        amiss: What should be mended.
    """

    packages: tuple[Package, ...]
    machine: Machine
    devices: tuple[str, ...]
    engines: tuple[Trial, ...]
    weights: tuple[WeightsFound, ...]
    cache: CacheInfo | None
    cache_root: Path
    free_bytes: int
    amiss: tuple[Amiss, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx doctor`."""
        return {
            "featx": __version__,
            "python": platform.python_version(),
            "packages": [asdict(package) for package in self.packages],
            "machine": asdict(self.machine),
            "devices": list(self.devices),
            "engines": [trial.to_json() for trial in self.engines],
            "weights": [asdict(found) for found in self.weights],
            "cache": {
                "root": str(self.cache_root),
                "free_bytes": self.free_bytes,
                "exists": self.cache is not None,
                **({} if self.cache is None else _cache_counts(self.cache)),
            },
            "amiss": [asdict(item) for item in self.amiss],
        }


def doctor(*, cache: str | Path = "cache", progress: Progress = silent) -> Diagnosis:
    """Look at packages, devices, engines, weights and the cache; only damaged files of that are touched: set aside.

    Args:
        cache: The store's folder.
        progress: Told how far the work is.
    """
    root = Path(cache)
    machine = this_machine()
    installed = tuple(packages())
    engines = tuple(try_engines(progress))
    devices = _devices() if engines[0].runs else ()
    weights = tuple(_weights(progress))
    amiss = [*_of_packages(installed), *_of_machine(machine, devices), *_of_engines(engines), *_of_weights()]
    found, of_cache = _cache(root)
    amiss += of_cache
    return Diagnosis(
        installed, machine, devices, engines, weights, found, root.absolute(), free_bytes(root), tuple(amiss)
    )


def _devices() -> tuple[str, ...]:
    return tuple(map(str, load_keras().distribution.list_devices()))


def _weights(progress: Progress) -> Iterator[WeightsFound]:
    for number, row in enumerate(BACKBONES.values()):
        progress("looking for weights", number, len(BACKBONES))
        path = find_imagenet(row)
        digest = None
        with suppress(FeatxError):  # without a digest it is seen to be unreadable
            digest = None if path is None else file_digest(path)
        yield WeightsFound(row.name, None if path is None else str(path), digest, tuple(map(str, places(row))))


def _cache(root: Path) -> tuple[CacheInfo | None, list[Amiss]]:
    if not root.exists():
        return None, []
    if not root.is_dir():
        return None, [Amiss(f"{root} is to be the cache and is no folder", "choose another with --cache")]
    amiss = []
    if not os.access(root, os.W_OK):
        amiss.append(Amiss(f"the cache {root} cannot be written", f"chmod -R u+w {root}, or choose another --cache"))
    if free_bytes(root) < LITTLE_DISK:
        amiss.append(
            Amiss(
                f"the disk of the cache {root} has only {free_bytes(root) / 1e9:.1f} GB left",
                f"featx cache gc --cache {root}, or choose a --cache on another disk",
            )
        )
    try:
        found = info(Store(root))
    except FeatxError as error:
        return None, [*amiss, Amiss(f"the cache cannot be read: {error}", "choose another with --cache")]
    if found.set_aside:
        what = (
            f"{found.set_aside} damaged files of the cache were set aside; their rows are computed again when needed"
        )
        amiss.append(Amiss(what, f"featx cache gc --cache {root}"))
    return found, amiss


def _cache_counts(found: CacheInfo) -> dict[str, Any]:
    return {
        "feature_sets": len(found.spaces),
        "rows": found.rows,
        "bytes": found.bytes + found.network_bytes + found.known_files_bytes,
        "networks": found.networks,
        "set_aside": found.set_aside,
        "leftovers": found.leftovers,
    }


def _of_packages(found: tuple[Package, ...]) -> Iterator[Amiss]:
    for package in found:
        if package.amiss:
            state = "is not installed" if package.installed is None else f"is {package.installed}"
            yield Amiss(
                f"the package {package.name} {state}, and featx needs {package.required or 'it'}",
                f"pip install '{package.name}{package.required}'",
            )


def _of_machine(machine: Machine, devices: tuple[str, ...]) -> Iterator[Amiss]:
    seen = any(device.startswith("gpu") for device in devices)
    if devices and gpu_is_there() and not seen:
        yield Amiss(
            "there is a GPU, and TensorFlow does not see it",
            "pip install 'tensorflow[and-cuda]' for one of NVIDIA's; CUDA_VISIBLE_DEVICES=-1 to do without it",
        )
    if machine.available is not None and machine.available < LITTLE_MEMORY:
        yield Amiss(
            f"only {machine.available / 1e9:.1f} GB of memory are free, and fitting covid4-vgg16 takes about 2.5 GB",
            "close other programs, or take a smaller network (--backbone mobilenetv2)",
        )


def _of_engines(trials: tuple[Trial, ...]) -> Iterator[Amiss]:
    for trial in trials:
        if trial.runs or trial.reason == "it is not installed":
            continue
        package = {"keras": "tensorflow keras", "openvino": "openvino", "fused": "numba"}[trial.engine]
        yield Amiss(
            f"the engine {trial.engine} does not run ({trial.does}): {trial.reason}",
            f"pip install --upgrade --force-reinstall {package}",
        )


def _of_weights() -> Iterator[Amiss]:
    folder = os.environ.get(WEIGHTS_DIR)
    if folder and not Path(folder).is_dir():
        yield Amiss(f"{WEIGHTS_DIR} names {folder}, which is no folder", f"unset {WEIGHTS_DIR}, or correct it")
