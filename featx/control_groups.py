"""What Linux's control groups, and so containers and batch systems, leave a process of memory and processors.

Both versions are read, and all groups around the process: each may set a limit, and the tightest holds. Sources:
the kernel's documents cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from featx.system_files import system_text

# What the kernel writes for "no limit" in version 1 is the largest number of whole pages; no memory is as large.
NO_LIMIT = 2**60


class Memory(NamedTuple):
    """Memory that a group allows.

    Attributes:
        limit: Bytes.
        available: Bytes of them that are not in use; file pages that the kernel gives back at once count as free.
    """

    limit: int
    available: int


def allowed_memory(root: Path = Path("/")) -> Memory | None:
    """Return the smallest limit on memory of the groups around this process, and the least that is left of one.

    Args:
        root: Of the file system, with `proc` and `sys` in it.

    Returns:
        None where there is no limit.
    """
    found = [
        *_memories(root, "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
        *_memories(root, "", ("memory.max", "memory.current", "inactive_file")),
    ]
    if not found:
        return None
    return Memory(min(each.limit for each in found), min(each.available for each in found))


def allowed_cpus(root: Path = Path("/")) -> int | None:
    """Return how many processors' time the groups around this process allow, rounded up; None without a limit.

    Args:
        root: As above.
    """
    shares = []
    for group in _groups(root, "cpu"):
        shares.append(_share(system_text(group / "cpu.cfs_quota_us"), system_text(group / "cpu.cfs_period_us")))
    for group in _groups(root, ""):
        quota, _, period = system_text(group / "cpu.max").partition(" ")
        shares.append(_share(quota, period))
    limits = [share for share in shares if share is not None]
    return max(1, math.ceil(min(limits))) if limits else None


def _memories(root: Path, controller: str, names: tuple[str, str, str]) -> Iterator[Memory]:
    limit_name, usage_name, cached_name = names
    for group in _groups(root, controller):
        limit, usage = system_text(group / limit_name), system_text(group / usage_name)
        if limit.isdigit() and int(limit) < NO_LIMIT:
            used = int(usage) - _cached(group, cached_name) if usage.isdigit() else 0
            yield Memory(int(limit), min(int(limit), max(0, int(limit) - used)))


def _cached(group: Path, wanted: str) -> int:
    for line in system_text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == wanted and value.isdigit():
            return int(value)
    return 0


def _share(quota: str, period: str) -> float | None:
    """Return the processors that a quota of microseconds a period comes to; none is -1 in version 1, max in 2."""
    if not (quota.isdigit() and period.isdigit() and int(quota) and int(period)):
        return None
    return int(quota) / int(period)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Give the folders of this process's group and of those around it; of version 2 for an empty controller.

    In a container the path may be the host's, of which the outermost folder here is the innermost part: those that
    do not exist are passed over by whoever reads in them.
    """
    for line in system_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            for mount in _mounts(root, controllers):
                inner = Path(path.strip("/"))
                yield from (mount / each for each in (inner, *inner.parents) if ".." not in each.parts)


def _mounts(root: Path, controllers: str) -> list[Path]:
    """Return where a hierarchy is found: systemd and containers agree on it."""
    system = root / "sys/fs/cgroup"
    if not controllers:
        return [system, system / "unified"]
    # A hierarchy of two controllers, such as cpu,cpuacct, is there under both names as well as under each.
    return [path for path in (system / name for name in (controllers, *controllers.split(","))) if path.is_dir()][:1]
