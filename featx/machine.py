"""The computer: processors, memory, GPUs, and the settings that change how libraries run on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# These change where libraries look, how many threads they start and which devices they use.
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
# By version of Linux's control groups: the files of the limit and of the use, and the entry of memory.stat for file
# pages, which count as used and are given back at once. Sources: the kernel's cgroup-v1/memory.rst and cgroup-v2.rst.
GROUP_FILES = {
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "": ("memory.max", "memory.current", "inactive_file"),
}


@dataclass(frozen=True)
class Machine:
    """A computer as this process may use it.

    Attributes:
        system: Such as `Linux 6.1`.
        processor: Its model, or the architecture where the system does not name one.
        cpus: Logical processors that this process may use.
        memory: Bytes of main memory, or the limit of a container or batch system if that is less.
        available: Bytes of it that new processes can have.
        gpus: Name and memory of each NVIDIA GPU.
        settings: The environment variables of `SETTINGS` that are set.
    """

    system: str
    processor: str
    cpus: int
    memory: int
    available: int
    gpus: tuple[str, ...]
    settings: dict[str, str]


def this_machine() -> Machine:
    """Describe the computer that this process runs on."""
    import psutil

    memory = psutil.virtual_memory()
    limits = [(memory.total, memory.available), *_group_limits()]
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cpus=usable_cpus(),
        memory=min(limit for limit, _ in limits),
        available=min(left for _, left in limits),
        gpus=_nvidia_gpus(),
        settings={name: os.environ[name] for name in SETTINGS if name in os.environ},
    )


def usable_cpus() -> int:
    """Return how many logical processors this process may use, by its affinity and its container's quota."""
    from joblib import cpu_count

    return int(cpu_count())


def _group_limits(root: Path = Path("/")) -> Iterator[tuple[int, int]]:
    """Yield limit and free bytes of every control group around this process that limits memory; the least counts."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        controller = "memory" if "memory" in controllers.split(",") else controllers
        if controller not in GROUP_FILES:
            continue
        limit_file, use_file, file_pages = GROUP_FILES[controller]
        inner = Path(path.strip("/"))
        for group in (root / "sys/fs/cgroup" / controller / each for each in (inner, *inner.parents)):
            limit = _text(group / limit_file)
            if limit.isdigit():  # version 2 writes "max" where there is none, version 1 more than any memory has
                pages = re.search(rf"^{file_pages} (\d+)$", _text(group / "memory.stat"), re.MULTILINE)
                used = int(_text(group / use_file) or 0) - int(pages[1] if pages else 0)
                yield int(limit), max(0, int(limit) - max(0, used))


def _processor() -> str:
    model = re.search(r"^model name\s*: (.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


def _nvidia_gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError):  # no GPU, or a driver that does not work
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def _text(path: Path) -> str:
    """Return a system file's text; empty where there is none, as on another system."""
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
