"""What `featx doctor` checks: packages, devices, engines, weights and the cache; each problem comes with a fix."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from featx import __version__, networks
from featx.diagnosis.engine_trials import EngineTrial, engine_problems, try_engines
from featx.diagnosis.packages import Package, find_packages, missing_of_extras, package_problems, tensorflow_problems
from featx.diagnosis.problems import Problem
from featx.errors import FeatxError, WeightsError
from featx.frames import Shown
from featx.machine import SHARED_MEMORY, KeptFolder, Machine, can_write, find_folders, this_machine
from featx.progress import Progress, report_progress, reports_progress
from featx.store import Store, info, verify

# Bytes. TensorFlow, VGG16 and a head of 51.9 million weights with both its moments take 2.5 GB; VGG16's flat features
# of some ten thousand images take 2 GB.
LITTLE_MEMORY, LITTLE_DISK = 3e9, 2e9
GPU_EXTRA = "gpu"
CACHE_FIX = "check the permissions of its folder, or choose another folder with --cache"


@dataclass(frozen=True)
class WeightsFile:
    """The ImageNet weights of a backbone: their file (None if not here), its fault, and where they are looked for.

    `packaged` weights come with featx and are looked for nowhere else.
    """

    backbone: str
    path: str | None
    sha256: str | None
    fault: str | None
    looked: tuple[str, ...]
    packaged: bool = False


@dataclass(frozen=True)
class CacheHealth:
    """The cache's folder, the free bytes of its disk, and counts of what it holds; None for what is not known."""

    root: str
    state: Literal["none yet", "read", "cannot be read"]
    free_bytes: int | None = None
    feature_sets: int | None = None
    rows: int | None = None
    shards: int | None = None
    bytes: int | None = None
    networks: int | None = None
    set_aside: int | None = None
    leftovers: int | None = None


@dataclass(frozen=True, repr=False)
class Diagnosis(Shown):
    """The state of this installation; `devices` are those that TensorFlow sees."""

    packages: tuple[Package, ...]
    machine: Machine
    devices: tuple[str, ...]
    engines: tuple[EngineTrial, ...]
    weights: tuple[WeightsFile, ...]
    cache: CacheHealth
    problems: tuple[Problem, ...]
    folders: tuple[KeptFolder, ...] = ()

    def headline(self) -> str:
        """Return how many problems there are."""
        n = len(self.problems)
        return f"{n or 'no'} problem{'s' * (n != 1)} with featx {__version__} on Python {platform.python_version()}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the problems and how to fix them."""
        return ("problem", "fix"), [(problem.what, problem.fix) for problem in self.problems]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx doctor`."""
        return {
            "featx": __version__,
            "python": platform.python_version(),
            **asdict(self),
            "engines": [{**asdict(trial), "runs": trial.state == "runs"} for trial in self.engines],
        }


@reports_progress
def doctor(*, cache: str | Path = "cache", progress: Progress | None = None) -> Diagnosis:
    """Check packages, devices, engines, weights and the cache.

    Nothing is downloaded. The cache is verified as `featx cache verify` does it: damaged files are set aside.

    Args:
        cache: The cache's folder, which need not exist.
        progress: Called with the stage, how much of it is done and how much there is.

    Returns:
        What was found, and problems with their fixes. A library that fails is a problem, not an exception.
    """
    machine = this_machine()
    packages = find_packages()
    engines = try_engines()
    devices = _devices()
    weights = find_weight_files()
    health, cache_problems = examine_cache(Path(cache))
    problems = [*package_problems(packages), *tensorflow_problems(), *engine_problems(engines)]
    problems += [*_gpu_problems(machine, devices, packages), *_memory_problems(machine)]
    problems += [*_weight_problems(weights), *cache_problems]
    folders = find_folders()
    problems += _folder_problems(folders)
    return Diagnosis(packages, machine, devices, engines, weights, health, tuple(problems), folders)


def _devices() -> tuple[str, ...]:
    """Return the devices that TensorFlow sees; none if it does not load, which trying the engines has reported."""
    try:
        return tuple(map(str, networks.load_keras().distribution.list_devices()))
    except Exception:  # noqa: BLE001 - as above
        return ()


def _gpu_problems(machine: Machine, devices: tuple[str, ...], packages: tuple[Package, ...]) -> Iterator[Problem]:
    """Yield a problem if there is a GPU that TensorFlow does not see, with what its build and its libraries lack."""
    if not devices or not networks.gpu_is_there() or any(device.startswith("gpu") for device in devices):
        return
    name = machine.gpus[0].partition(",")[0] if machine.gpus else "GPU"
    if not machine.gpus:
        reason = "nvidia-smi lists none, so its driver may not work, or it is not a GPU of NVIDIA"
        fix = "for a GPU of NVIDIA, install its driver"
    elif not networks.is_built_for_gpus():
        reason = "this package of TensorFlow is for processors only"
        fix = "on Linux, x86-64: pip uninstall tensorflow tensorflow-cpu, then pip install 'featx[gpu]'"
    elif missing_of_extras(packages).get(GPU_EXTRA):
        reason, fix = "the libraries of CUDA that it needs are not installed by pip", "pip install 'featx[gpu]'"
    else:
        reason = "the libraries of CUDA are installed, so the driver may be older than they need"
        fix = "compare the driver's version in nvidia-smi with what tensorflow.org/install/pip asks for"
    what = f"there is a GPU ({name}), but TensorFlow does not see it: {reason}"
    yield Problem(
        f"{what}; until then Keras runs the networks on the processor",
        f"{fix}; to do without the GPU, export CUDA_VISIBLE_DEVICES=-1, so that OpenVINO runs them",
    )


def _memory_problems(machine: Machine) -> Iterator[Problem]:
    if machine.available < LITTLE_MEMORY:
        yield Problem(
            f"only {machine.available / 1e9:.1f} GB of memory are free, and covid4-vgg16 takes about 2.5 GB to train",
            "close other programs, or use a smaller network (--backbone mobilenetv2)",
        )


def find_weight_files() -> tuple[WeightsFile, ...]:
    """Look for the ImageNet weights of every backbone, and check the files."""
    report_progress("looking for weights", 0, 1)
    return tuple(map(_find_weight_file, networks.BACKBONES.values()))


def _find_weight_file(backbone: networks.Backbone) -> WeightsFile:
    looked: list[str] = []
    path = digest = fault = None
    try:
        looked = list(map(str, networks.weights_places(backbone)))
        path = networks.find_imagenet(backbone)
        if path is not None:
            fault = networks.weights_problem(path)
            digest = networks.file_digest(path)
    except (WeightsError, OSError, RuntimeError) as error:  # a file or folder of another user, or no home folder
        fault = fault or f"cannot be looked for ({error})"
    place, packaged = None if path is None else str(path), backbone.packaged is not None
    return WeightsFile(backbone.name, place, digest, fault, tuple(looked), packaged)


def _weight_problems(files: tuple[WeightsFile, ...]) -> Iterator[Problem]:
    folder = os.environ.get(networks.WEIGHTS_DIR)
    if folder and not (Path(folder).is_dir() and os.access(folder, os.R_OK | os.X_OK)):
        what = f"{networks.WEIGHTS_DIR} names {folder}, which is not a folder that can be read"
        yield Problem(what, f"unset or correct {networks.WEIGHTS_DIR}")
        return
    # A folder that cannot be read is the same for all backbones.
    for fault in sorted({file.fault for file in files if file.path is None and file.fault is not None}):
        yield Problem(f"ImageNet weights {fault}", f"name a readable folder in {networks.WEIGHTS_DIR} or KERAS_HOME")
    for file in files:
        if file.packaged and (file.path is None) == (file.fault is None):
            what = f"the weights of {file.backbone}, which come with featx, {file.fault or 'are missing'}"
            yield Problem(what, "pip install --upgrade --force-reinstall --no-deps featx")
        elif file.path is not None and file.fault is not None:
            where = shlex.quote(file.path)
            fix = f"rm {where}, then copy the file again or let it be downloaded when it is needed"
            if file.sha256 is None:
                fix = f"chmod u+r {where}, or name another folder in {networks.WEIGHTS_DIR}"
            yield Problem(f"the weights of {file.backbone}: the file {file.path} {file.fault}", fix)


def examine_cache(root: Path) -> tuple[CacheHealth, list[Problem]]:
    """Verify the cache, count what it holds, and look at its folder and disk."""
    place, free = root.absolute(), None
    problems: list[Problem] = []
    try:
        around = next(each for each in (place, *place.parents) if each.exists() or each.is_symlink())
        if not around.is_dir():
            raise NotADirectoryError(f"{around} is not a folder")
        free = shutil.disk_usage(around).free
        problems += _place_problems(place, around, free)
        if around != place:
            return CacheHealth(str(place), "none yet", free), problems
        damaged = len(verify(Store(root)).damaged)
        held = info(Store(root))
    except (FeatxError, OSError) as error:
        problems.append(Problem(f"the cache {place} cannot be read: {error}", CACHE_FIX))
        return CacheHealth(str(place), "cannot be read", free), problems
    if damaged or held.set_aside:
        what = f"the cache has {max(damaged, held.set_aside)} damaged files; their rows are computed again"
        problems.append(Problem(what, f"featx cache gc --cache {shlex.quote(str(place))}"))
    counts = {name: getattr(held, name) for name in ("rows", "shards", "networks", "set_aside", "leftovers")}
    size = held.bytes + held.network_bytes
    return CacheHealth(str(place), "read", free, len(held.spaces), bytes=size, **counts), problems


def _folder_problems(folders: tuple[KeptFolder, ...]) -> Iterator[Problem]:
    for folder in folders:
        if not folder.writable:
            fix = "name a folder in TMPDIR that can be written"
            if folder.what == SHARED_MEMORY:
                fix = "start the container with --shm-size 1g, or use --jobs 1 where a command has it"
            yield Problem(f"the folder for {folder.what}, {folder.path or 'unknown'}, cannot be written", fix)


def _place_problems(place: Path, around: Path, free: int) -> Iterator[Problem]:
    """Check the cache's folder, or the innermost existing one around it, and the free bytes of its disk."""
    if not can_write(around):
        yield Problem(f"the cache {place} cannot be written", CACHE_FIX)
    if free < LITTLE_DISK:
        what = f"the disk of the cache {place} has only {free / 1e9:.1f} GB left"
        drop = f"remove feature sets (featx cache gc --cache {shlex.quote(str(place))} --drop ID), or "
        yield Problem(what, f"{drop if around == place else ''}choose a --cache on another disk")
