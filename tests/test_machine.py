from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import psutil
import pytest

from featx import machine
from featx.machine import _group_limits, _nvidia_gpus, this_machine, usable_cpus


def test_this_machine_is_described() -> None:
    described = this_machine()
    assert 1 <= described.cpus <= (os.cpu_count() or 1)
    assert described.processor
    assert 0 < described.available <= described.memory <= psutil.virtual_memory().total


@pytest.mark.skipif(sys.platform != "linux", reason="a process is bound to processors on Linux")
def test_processors_that_this_process_may_not_use_are_not_counted() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_container_s_limit_counts_if_it_is_the_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_group_limits", lambda: [(10**6, 2 * 10**5), (10**7, 10**5)])
    assert (this_machine().memory, this_machine().available) == (10**6, 10**5)
    monkeypatch.setattr(machine, "_group_limits", lambda: [(2**63 - 4096, 2**62)])
    assert this_machine().memory == psutil.virtual_memory().total


def test_settings_are_those_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in machine.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    assert this_machine().settings == {"OMP_NUM_THREADS": "3"}


# --- control groups ---


def limits(root: Path, groups: str, files: dict[str, str]) -> list[tuple[int, int]]:
    """The limits in a file system with these control groups."""
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n", "utf-8")
    return list(_group_limits(root))


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert list(_group_limits(tmp_path)) == []
    assert limits(tmp_path, "0::/", {"memory.max": "max", "memory.current": "7"}) == []


def test_file_pages_count_as_free(tmp_path: Path) -> None:
    """4,000 bytes allowed, 3,000 used, of which 1,000 are file pages: 2,000 are left."""
    files = {"memory.max": "4000", "memory.current": "3000", "memory.stat": "anon 2000\ninactive_file 1000\nfile 1"}
    assert limits(tmp_path, "0::/", files) == [(4000, 2000)]


def test_all_groups_around_a_process_are_read(tmp_path: Path) -> None:
    """The outer group allows more, and other processes have used up most of it."""
    files = {
        "job/memory.max": "9000",
        "job/memory.current": "8500",
        "job/step/memory.max": "6000",
        "job/step/memory.current": "1000",
        "job/step/task/memory.max": "max",
    }
    assert limits(tmp_path, "0::/job/step/task", files) == [(6000, 5000), (9000, 500)]


@pytest.mark.parametrize("path", ["/batch/7", "/docker/0a1b", "/../../outside"])
def test_version_1_is_read_in_a_container_too(tmp_path: Path, path: str) -> None:
    """A container sees its own group as the outermost one, while the path may be the host's."""
    files = {
        "memory/memory.limit_in_bytes": "5000",
        "memory/memory.usage_in_bytes": "4000",
        "memory/memory.stat": "inactive_file 5\ntotal_inactive_file 1500",
    }
    assert limits(tmp_path, f"4:memory:{path}\n1:cpu,cpuacct:{path}", files) == [(5000, 2500)]


# --- GPUs ---


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("script", "names"),
    [("echo 'Tesla V100-SXM2-16GB, 16384 MiB'", ("Tesla V100-SXM2-16GB, 16384 MiB",)), ("exit 9", ()), (None, ())],
)
def test_gpus_are_those_that_the_driver_lists(
    tmp_path: Path, script: str | None, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if script is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert _nvidia_gpus() == names
