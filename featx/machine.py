"""The computer: processors, memory, GPUs, folders for libraries, and the settings that change how these run on it."""

from __future__ import annotations

import atexit
import importlib.util
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
    "MPLCONFIGDIR",
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

NUMBA = "NUMBA_CACHE_DIR"
# What libraries keep for later, by the environment variable that names its folder.
KEPT = {
    NUMBA: "machine code of Numba",
    "MPLCONFIGDIR": "settings and fonts of Matplotlib",
    "XDG_CACHE_HOME": "lists of fonts",
}
TEMPORARY_FOLDERS = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108 - where Python looks on Unix before the current folder
SHARED_MEMORY = "memory that processes share"
SHARED = Path("/dev/shm")  # noqa: S108


@dataclass(frozen=True)
class KeptFolder:
    """A folder beside the cache that featx or a library writes into, and whether it can; `what` it is for."""

    what: str
    path: str | None
    writable: bool


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
    limits = _memory_limits()
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cpus=usable_cpus(),
        memory=min(limit for limit, _ in limits),
        available=min(left for _, left in limits),
        gpus=_nvidia_gpus(),
        settings={name: os.environ[name] for name in SETTINGS if name in os.environ},
    )


def available_memory() -> int:
    """Return the bytes of main memory that new work can have, also within a container or batch system."""
    return min(left for _, left in _memory_limits())


def gpu_memory() -> int:
    """Return the bytes of memory of the largest NVIDIA GPU; 0 where there is none."""
    return max((int(size[1]) * 2**20 for gpu in _nvidia_gpus() if (size := re.search(r"(\d+) MiB$", gpu))), default=0)


def usable_cpus() -> int:
    """Return how many logical processors this process may use, by its affinity and its container's quota."""
    from joblib import cpu_count

    return int(cpu_count())


def _memory_limits() -> list[tuple[int, int]]:
    """Return the size and the free bytes of the memory, and the limit and free bytes of control groups."""
    import psutil

    memory = psutil.virtual_memory()
    return [(memory.total, memory.available), *_group_limits()]


def provide_folders(variables: Iterable[str] = KEPT) -> None:
    """Name folders below the temporary one for what libraries keep, where their own ones cannot be written.

    Without a folder, libraries that are compiled by Numba do not load, and Matplotlib makes a new one each time.
    """
    for variable in variables:
        if any(map(can_write, _usual_folders(variable))):
            continue
        own = _own_temporary_folder()
        if own is not None:
            os.environ[variable] = str(own / variable.lower())
            if variable == NUMBA and "numba" in sys.modules:
                sys.modules["numba"].config.CACHE_DIR = os.environ[variable]


def provide_home() -> None:
    """Name a home folder below the temporary one for a user who has none, as in a container with a number for a user.

    Without one, some libraries fail, and others make a folder called ~ in the current one.
    """
    own = None if _home().is_absolute() else _own_temporary_folder()
    if own is not None:
        os.environ["HOME"] = str(own)


def _home() -> Path:
    """Return the home folder; if there is none, the name still begins with ~ and is not absolute."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises an error then


def find_folders() -> tuple[KeptFolder, ...]:
    """Return the folders of libraries, which `provide_folders` may have named, and those for temporary files."""
    provide_folders()
    folders = []
    for variable, what in KEPT.items():
        usual = list(_usual_folders(variable))
        place = next(filter(can_write, usual), usual[0])
        folders.append(KeptFolder(what, str(place), can_write(place)))
    temporary = _temporary_folder()
    named = os.environ.get("TMPDIR") if temporary is None else str(temporary)
    folders.append(KeptFolder("temporary files", named, temporary is not None))
    if sys.platform == "linux":
        folders.append(KeptFolder(SHARED_MEMORY, str(SHARED), can_write(SHARED)))
    return tuple(folders)


def can_write(folder: Path) -> bool:
    """Tell whether files can be written into a folder, which is made if needed; nothing is written to find out."""
    try:
        around = next(each for each in (folder, *folder.parents) if each.exists())
        return folder.is_absolute() and around.is_dir() and os.access(around, os.W_OK | os.X_OK)
    except (OSError, ValueError):  # a folder of another user, or a name that no folder can have
        return False


def _usual_folders(variable: str) -> Iterator[Path]:
    """Yield folders, one of which suffices."""
    home = _home()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = os.environ.get(variable)
    if variable == "XDG_CACHE_HOME":
        yield caches
    elif variable == "MPLCONFIGDIR":
        unix = sys.platform.startswith(("linux", "freebsd"))
        yield Path(named or (settings / "matplotlib" if unix else home / ".matplotlib"))
    else:
        # Numba tries all of these: a folder by name, then beside the code that it compiles, then the user's own.
        yield from (Path(named),) if named else ()
        yield caches / "numba"
        numba = importlib.util.find_spec("numba")
        if numba is not None and numba.origin is not None and can_write(Path(__file__).parent):
            yield Path(numba.origin).parent


def _temporary_folder() -> Path | None:
    """Return the folder for temporary files; None if only the current one, which stays clean, can be written."""
    try:
        place = Path(tempfile.gettempdir())  # it has tried to write into each
        current = place == Path.cwd()
    except OSError:
        return None
    named = {os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")}
    return None if current and os.name != "nt" and str(place) not in {*named, *TEMPORARY_FOLDERS} else place


def _own_temporary_folder() -> Path | None:
    """Return a folder in the temporary one for this user's later processes, too; None if there is no temporary one.

    What Numba reads there is run, so nobody else may write into it.
    """
    user = getattr(os, "getuid", lambda: 0)()
    temporary = _temporary_folder()
    if temporary is None:
        return None
    place = temporary / f"featx-{user}"
    try:
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        state = place.lstat()
        # On Windows each user has a temporary folder of their own.
        private = os.name == "nt" or not state.st_mode & 0o022
        if stat.S_ISDIR(state.st_mode) and state.st_uid == user and private and can_write(place):
            return place
        place = Path(tempfile.mkdtemp(prefix="featx-"))
    except OSError:
        return None
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


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
