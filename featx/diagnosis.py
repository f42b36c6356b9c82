"""What `featx doctor` checks: packages, devices, engines, weights and the cache; each problem comes with a fix."""

from __future__ import annotations

import errno
import os
import platform
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from featx import __version__, networks
from featx.errors import FeatxError, WeightsError
from featx.heads import Fitter, FusedFitter, KerasFitter, TrainingBatches
from featx.machine import SHARED_MEMORY, KeptFolder, Machine, can_write, find_folders, this_machine
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import BackbonePart, DenseLayer, FitPart, HeadPart, Recipe
from featx.store import Store, info, verify

# Bytes. TensorFlow, VGG16 and a head of 51.9 million weights with both its moments take 2.5 GB; VGG16's flat features
# of some ten thousand images take 2 GB.
LITTLE_MEMORY, LITTLE_DISK = 3e9, 2e9
SIZE = 16
# As a share of the rows' norm. TensorFloat-32, in which TensorFlow convolves on recent NVIDIA GPUs, keeps 10 bits of
# a factor: 3e-4 here. Rows in a wrong order, or a transposed kernel, differ by about the norm itself.
TOLERANCE = 1e-3
ENGINES = (("keras", "network"), ("openvino", "network"), ("keras", "fit"), ("fused", "fit"))
REINSTALL = {
    engine: f"pip install --upgrade --force-reinstall {packages}"
    for engine, packages in (("keras", "tensorflow keras"), ("openvino", "openvino"), ("fused", "numba"))
}
CACHE_FIX = "check the permissions of its folder, or choose another folder with --cache"

EngineState = Literal["runs", "wrong", "fails", "no space", "not installed", "needs keras"]


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be, and the command or step that fixes it."""

    what: str
    fix: str


@dataclass(frozen=True)
class Package:
    """A package that featx needs, always or for an extra; `fits` if the installed version is among those required."""

    name: str
    required: str
    installed: str | None
    extra: str | None
    fits: bool


@dataclass(frozen=True)
class EngineTrial:
    """The outcome of trying an engine on a small network or head with a known result; loading counts as time."""

    engine: str
    does: str
    state: EngineState
    seconds: float = 0.0
    reason: str | None = None


@dataclass(frozen=True)
class WeightsFile:
    """The ImageNet weights of a backbone: their file (None if not here), its fault, and where they are looked for."""

    backbone: str
    path: str | None
    sha256: str | None
    fault: str | None
    looked: tuple[str, ...]


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


@dataclass(frozen=True)
class Diagnosis:
    """The state of this installation; `devices` are those that TensorFlow sees."""

    packages: tuple[Package, ...]
    machine: Machine
    devices: tuple[str, ...]
    engines: tuple[EngineTrial, ...]
    weights: tuple[WeightsFile, ...]
    cache: CacheHealth
    problems: tuple[Problem, ...]
    folders: tuple[KeptFolder, ...] = ()

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
    problems = [*_package_problems(packages), *_engine_problems(engines), *_device_problems(machine, devices)]
    problems += [*_weight_problems(weights), *cache_problems]
    folders = find_folders()
    problems += _folder_problems(folders)
    return Diagnosis(packages, machine, devices, engines, weights, health, tuple(problems), folders)


def find_packages() -> tuple[Package, ...]:
    """Return the packages that featx's metadata names, without those for its developers."""
    try:
        requirements = requires("featx") or []
    except PackageNotFoundError:
        return ()
    packages = [package for package in map(_package, requirements) if package.extra != "dev"]
    return tuple(sorted(packages, key=lambda package: (package.extra is not None, package.name)))


def _package(line: str) -> Package:
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion

    requirement = Requirement(line)
    extra = re.search(r"""extra == ["'](\w+)""", str(requirement.marker))
    installed, fits = None, False
    with suppress(PackageNotFoundError, InvalidVersion):  # not installed, or its metadata is damaged
        installed = version(requirement.name)
        fits = requirement.specifier.contains(installed, prereleases=True)
    return Package(requirement.name, str(requirement.specifier), installed, extra[1] if extra else None, fits)


def _package_problems(packages: tuple[Package, ...]) -> Iterator[Problem]:
    if not packages:
        yield Problem("featx is not installed, so the packages that it needs are unknown", "pip install featx")
    for package in packages:
        if not package.fits and (package.installed is not None or package.extra is None):
            state = "is not installed" if package.installed is None else f"is {package.installed}"
            what = f"the package {package.name} {state}, and featx needs {package.required or 'it'}"
            yield Problem(what, f"pip install '{package.name}{package.required}'")


def try_engines() -> tuple[EngineTrial, ...]:
    """Try every engine; all need Keras, which makes the networks for OpenVINO and the first weights for `fused`."""
    trials: list[EngineTrial] = []
    for engine, does in ENGINES:
        report_progress("trying engines", len(trials), len(ENGINES))
        if engine == "openvino" and not networks.has_openvino():
            trials.append(EngineTrial(engine, does, "not installed"))
        elif trials and trials[0].state == "fails":
            trials.append(EngineTrial(engine, does, "needs keras"))
        else:
            trials.append(_try_engine(engine, does))
    report_progress("trying engines", len(ENGINES), len(ENGINES))
    return tuple(trials)


def _try_engine(engine: str, does: str) -> EngineTrial:
    start = time.perf_counter()
    try:
        reason = _run_network(engine) if does == "network" else _train_head(engine)
        state: EngineState = "runs" if reason is None else "wrong"
    except Exception as error:  # noqa: BLE001 - whatever a broken library raises is what the diagnosis reports
        state = "no space" if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) else "fails"
        reason = _message(error)
    return EngineTrial(engine, does, state, round(time.perf_counter() - start, 2), reason)


def _run_network(engine: Any) -> str | None:
    """Run a convolution with known weights; return what is wrong with its rows."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(SIZE, SIZE, 3, 4)).astype(np.float32)
    images = generator.normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps files that are mapped
        path = Path(folder) / "trial.keras"
        with networks.plain_keras() as keras:
            inputs = keras.Input((SIZE, SIZE, 3))
            model = keras.Model(inputs, keras.layers.Conv2D(4, SIZE, use_bias=False)(inputs))
            model.set_weights([kernel])
            model.save(path)
        source = networks.NetworkSource(
            BackbonePart(name=str(path)),
            (SIZE, SIZE),
            networks.find_weights(str(path)),
            Store(Path(folder) / "cache"),
        )
        rows = source.build(engine, 2).rows(images)
    expected = np.tensordot(images, kernel, 3)
    right = rows.shape == expected.shape and np.linalg.norm(rows - expected) <= TOLERANCE * np.linalg.norm(expected)
    return None if right else "its rows of a small network are wrong"


def _train_head(engine: str) -> str | None:
    """Train a small head on two classes that a line separates; return what is wrong with its loss."""
    layers = (DenseLayer(type="dense", units=8, activation="relu"),)
    fit = FitPart(learning_rate=0.05, batch_size=8)
    recipe = Recipe(backbone=BackbonePart(name="vgg16"), head=HeadPart(layers=layers), fit=fit)
    labels = np.arange(32) % 2
    rows = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32) + 3 * labels[:, None].astype(np.float32)
    fitter: Fitter = KerasFitter(recipe, 4, 2) if engine == "keras" else FusedFitter(recipe, 4, 2)
    batches = TrainingBatches(rows, labels, 1, 8, 0)
    losses = [fitter.run_epoch(batches, epoch, 0.05, epoch == 7)[0] for epoch in range(8)]
    right = losses[-1] < 0.5 * losses[0]
    return None if right else f"its loss on a small head only went from {losses[0]:.3g} to {losses[-1]:.3g}"


def _message(error: Exception) -> str:
    """Return an error's message on one line, after its kind if it is not featx's own, and cut if it is long."""
    # TensorFlow that does not load has a whole traceback for a message, and cutting it would lose the reason.
    if str(error).startswith("Traceback") and isinstance(error.__context__, Exception):
        return _message(error.__context__)
    kind = "" if isinstance(error, FeatxError) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())[:200]


def _engine_problems(trials: tuple[EngineTrial, ...]) -> Iterator[Problem]:
    for trial in trials:
        if trial.state in ("wrong", "fails", "no space"):
            fix = REINSTALL[trial.engine]
            if trial.state == "no space":
                fix = "free some space where temporary files are written, or name another folder in TMPDIR"
            yield Problem(f"the engine {trial.engine} does not work ({trial.does}): {trial.reason}", fix)


def _devices() -> tuple[str, ...]:
    """Return the devices that TensorFlow sees; none if it does not load, which trying the engines has reported."""
    try:
        return tuple(map(str, networks.load_keras().distribution.list_devices()))
    except Exception:  # noqa: BLE001 - as above
        return ()


def _device_problems(machine: Machine, devices: tuple[str, ...]) -> Iterator[Problem]:
    if devices and networks.gpu_is_there() and not any(device.startswith("gpu") for device in devices):
        yield Problem(
            "there is a GPU, but TensorFlow does not see it, so Keras runs the networks on the processor",
            "for a GPU of NVIDIA, check its driver with nvidia-smi and pip install 'tensorflow[and-cuda]'; to do "
            "without the GPU, export CUDA_VISIBLE_DEVICES=-1",
        )
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
    return WeightsFile(backbone.name, None if path is None else str(path), digest, fault, tuple(looked))


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
        if file.path is not None and file.fault is not None:
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
