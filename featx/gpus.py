"""Which GPUs this machine has, by maker, as its devices and NVIDIA's driver tell; no library is loaded."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from featx.system_files import system_text

QUERY_SECONDS = 10
MICROSOFT = "/dev/dxg"  # Windows's GPUs within Linux, of whatever maker
NVIDIA = ("/dev/nvidia0", "/dev/nvidiactl")
AMD = "/dev/kfd"  # also of processors with graphics inside
WSL_DRIVER = "/usr/lib/wsl/lib/libcuda.so.1"
NO_DRIVER = "NVIDIA's driver is not loaded, or not for this container"
_PCI_NVIDIA, _PCI_DISPLAY = "0x10de", "0x03"


@dataclass(frozen=True)
class GPUs:
    """The GPUs of a machine.

    Attributes:
        names: Name and memory of each of NVIDIA's, as its driver tells.
        makers: `NVIDIA` and `AMD`, of those whose devices are here.
        fault: What NVIDIA's own tool `nvidia-smi` says where it fails, or `NO_DRIVER`; None where nothing is wrong.
    """

    names: tuple[str, ...]
    makers: tuple[str, ...]
    fault: str | None


def find_gpus(root: Path = Path("/")) -> GPUs:
    """Look for GPUs.

    Args:
        root: Of the file system, with `dev` and `sys` in it.
    """
    names, fault = _asked()
    driven = bool(names) or _there(root, *NVIDIA) or (_there(root, MICROSOFT) and _there(root, WSL_DRIVER))
    undriven = not driven and _on_the_bus(root)
    if undriven and fault is None:
        fault = NO_DRIVER
    makers = {"NVIDIA": driven or undriven, "AMD": _there(root, AMD)}
    return GPUs(names, tuple(maker for maker, there in makers.items() if there), fault)


def _there(root: Path, *names: str) -> bool:
    return any((root / name.lstrip("/")).exists() for name in names)


def _on_the_bus(root: Path) -> bool:
    """Tell whether there is a display controller of NVIDIA's, whether or not a driver runs it."""
    return any(
        system_text(device / "vendor") == _PCI_NVIDIA and system_text(device / "class").startswith(_PCI_DISPLAY)
        for device in (root / "sys/bus/pci/devices").glob("*")
    )


def _asked() -> tuple[tuple[str, ...], str | None]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return (), None
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(  # noqa: S603
            query, capture_output=True, encoding="utf-8", errors="replace", timeout=QUERY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return (), f"it does not answer within {QUERY_SECONDS} seconds"
    except OSError as error:
        return (), str(error.strerror or error)
    if found.returncode:
        # Most of its failures are told on standard output.
        told = " ".join(f"{found.stderr} {found.stdout}".split())
        return (), told[:200] or f"exit code {found.returncode}"
    return tuple(line.strip() for line in found.stdout.splitlines() if line.strip()), None
