"""What this machine is: processor, memory, disk, GPUs and the settings that change how libraries run on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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
GPU_QUERY_SECONDS = 10


@dataclass(frozen=True)
class Machine:
    """A computer, as the operating system tells of it.

    Attributes:
        system: Such as `Linux 6.1`.
        processor: Its name, or the architecture where the system does not tell.
        cpus: Logical processors that this process may use.
        memory: Bytes of main memory, or of what a container allows if that is less; None if not known.
        available: Of them, bytes that new programs can have; None if not known.
        gpus: Name and memory of each GPU of NVIDIA's, as its driver tells.
        settings: Environment variables of `SETTINGS` that are set.
    """

    system: str
    processor: str
    cpus: int
    memory: int | None
    available: int | None
    gpus: tuple[str, ...]
    settings: dict[str, str]


def this_machine() -> Machine:
    """Return what is known of this machine; nothing heavy is loaded."""
    memory = _meminfo("MemTotal") or _pages("SC_PHYS_PAGES")
    limit = _container_limit()
    available = _meminfo("MemAvailable") or _pages("SC_AVPHYS_PAGES")
    if limit is not None:
        memory = min(limit, memory or limit)
        available = min(memory, available or memory)
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cpus=usable_cpus(),
        memory=memory,
        available=available,
        gpus=_gpus(),
        settings={name: os.environ[name] for name in SETTINGS if name in os.environ},
    )


def usable_cpus() -> int:
    """Return how many logical processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of a folder that need not exist yet."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _meminfo(wanted: str) -> int | None:
    for line in _lines(Path("/proc/meminfo")):
        name, _, value = line.partition(":")
        if name == wanted:
            return int(value.split()[0]) * 1024
    return None


def _pages(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # another system, or one that does not tell
        return None


def _container_limit() -> int | None:
    """Return what the control group allows (version 2), where there is one with a limit."""
    text = "".join(_lines(Path("/sys/fs/cgroup/memory.max"))).strip()
    return int(text) if text.isdigit() else None


def _gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=GPU_QUERY_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):  # a driver that does not answer has no GPU for us
        return ()
    return tuple(line.strip() for line in found.stdout.splitlines() if line.strip())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except OSError:  # another system
        return []
