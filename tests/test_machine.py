from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from featx import machine
from featx.machine import free_bytes, this_machine, usable_cpus


def test_this_machine_is_what_the_system_says() -> None:
    found = this_machine()
    assert found.memory is not None
    assert found.available is not None
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found.available <= found.memory <= pages
    assert 1 <= found.cpus <= (os.cpu_count() or 1)
    assert found.processor


@pytest.mark.skipif(sys.platform != "linux", reason="a process is bound to processors on Linux")
def test_processors_that_this_process_may_not_use_are_not_counted() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {Path("/sys/fs/cgroup/memory.max"): ["1000000\n"], Path("/proc/meminfo"): ["MemTotal:  4096 kB"]}
    monkeypatch.setattr(machine, "_lines", lambda path: lines.get(path, []))
    assert this_machine().memory == 1_000_000
    lines[Path("/sys/fs/cgroup/memory.max")] = ["max\n"]
    assert this_machine().memory == 4096 * 1024


def test_settings_are_those_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in machine.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    assert this_machine().settings == {"OMP_NUM_THREADS": "3"}


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_gpus_are_those_that_the_driver_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for script, gpus in (
        ("echo 'Tesla V100-SXM2-16GB, 16384 MiB'", ("Tesla V100-SXM2-16GB, 16384 MiB",)),
        ("echo 'no driver' >&2; exit 9", ()),
    ):
        tool.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        assert this_machine().gpus == gpus


def test_the_free_space_is_that_of_the_disk_that_a_folder_will_be_on(tmp_path: Path) -> None:
    known = os.statvfs(tmp_path)
    whole = known.f_blocks * known.f_frsize
    assert 0 < free_bytes(tmp_path / "not" / "there") <= whole
