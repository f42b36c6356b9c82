"""What this machine is: processor, memory, disk, GPUs and the settings that change how libraries run on it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from featx.control_groups import allowed_cpus, allowed_memory
from featx.gpus import find_gpus
from featx.system_files import system_text

# What changes where libraries look, how many threads they start and which devices they use.
SETTINGS = (
    "FEATX_CACHE",
    "FEATX_WEIGHTS_DIR",
    "KERAS_HOME",
    "KERAS_BACKEND",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMBA_CACHE_DIR",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
)


@dataclass(frozen=True)
class Machine:
    """A computer, as the operating system tells of it.

    Attributes:
        system: Such as `Linux 6.1`.
        processor: Its name, or the architecture where the system does not tell.
        cpus: Logical processors that this process may use, or as many as a container gives it the time of.
        memory: Bytes of main memory, or of what a container allows if that is less; None if not known.
        available: Of them, bytes that new programs can have; None if not known.
        gpus: Name and memory of each GPU of NVIDIA's, as its driver tells.
        gpu_makers: `NVIDIA` and `AMD`, of those whose devices are here, with or without a driver.
        gpu_fault: What `nvidia-smi` says where it fails, or that there is no driver; None where nothing is wrong.
        settings: Environment variables of `SETTINGS` that are set.
    """

    system: str
    processor: str
    cpus: int
    memory: int | None
    available: int | None
    gpus: tuple[str, ...]
    gpu_makers: tuple[str, ...]
    gpu_fault: str | None
    settings: dict[str, str]


def this_machine() -> Machine:
    """Return what is known of this machine; nothing heavy is loaded."""
    memory, available = _memory()
    gpus = find_gpus()
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cpus=usable_cpus(),
        memory=memory,
        available=available,
        gpus=gpus.names,
        gpu_makers=gpus.makers,
        gpu_fault=gpus.fault,
        settings={name: os.environ[name] for name in SETTINGS if name in os.environ},
    )


def usable_cpus() -> int:
    """Return how many logical processors this process may use."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    bound = len(os.sched_getaffinity(0))
    return min(bound, allowed_cpus() or bound)


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of a folder that need not exist yet."""
    return shutil.disk_usage(nearest(folder)).free


def nearest(path: Path) -> Path:
    """Return a path, or the innermost folder around it that exists where it does not."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _memory() -> tuple[int | None, int | None]:
    """Return the bytes of memory and those available, of which a container may leave less than the machine has."""
    memory = _meminfo("MemTotal") or _pages("SC_PHYS_PAGES")
    available = _meminfo("MemAvailable") or _pages("SC_AVPHYS_PAGES")
    allowed = allowed_memory()
    if allowed is None:
        return memory, available
    return (
        min(allowed.limit, memory or allowed.limit),
        min(allowed.available, allowed.available if available is None else available),
    )


def _processor() -> str:
    for line in system_text(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _meminfo(wanted: str) -> int | None:
    for line in system_text(Path("/proc/meminfo")).splitlines():
        name, _, value = line.partition(":")
        if name == wanted:
            return int(value.split()[0]) * 1024
    return None


def _pages(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # another system, or one that does not tell
        return None
