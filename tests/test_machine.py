from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from featx import machine
from featx.control_groups import Memory
from featx.machine import free_bytes, this_machine, usable_cpus


def test_this_machine_is_what_the_system_says() -> None:
    found = this_machine()
    assert 1 <= found.cpus <= (os.cpu_count() or 1)
    assert found.processor
    assert found.memory is None or found.memory > 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of available memory in this way")
def test_memory_is_what_the_system_says() -> None:
    found = this_machine()
    assert found.memory is not None
    assert found.available is not None
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found.available <= found.memory <= pages


@pytest.mark.skipif(sys.platform != "linux", reason="a process is bound to processors on Linux")
def test_processors_that_this_process_may_not_use_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.sched_getaffinity(0)
    monkeypatch.setattr(machine, "allowed_cpus", lambda: None)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_what_a_container_leaves_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "MemTotal:  4096 kB\nMemAvailable:  3000 kB"
    monkeypatch.setattr(machine, "system_text", lambda path: text if path == Path("/proc/meminfo") else "")
    for allowed, memory, available in (
        (None, 4096 * 1024, 3000 * 1024),
        (Memory(1_000_000, 200_000), 1_000_000, 200_000),
        # It allows more than the machine has.
        (Memory(10**9, 10**9), 4096 * 1024, 3000 * 1024),
    ):
        monkeypatch.setattr(machine, "allowed_memory", lambda allowed=allowed: allowed)
        found = this_machine()
        assert (found.memory, found.available) == (memory, available)


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_a_share_of_the_processors_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = len(os.sched_getaffinity(0))
    for allowed, cpus in ((None, bound), (1, 1), (bound + 5, bound)):
        monkeypatch.setattr(machine, "allowed_cpus", lambda allowed=allowed: allowed)
        assert usable_cpus() == cpus


def test_settings_are_those_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in machine.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    assert this_machine().settings == {"OMP_NUM_THREADS": "3"}


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="the system tells of disks in another way")
def test_the_free_space_is_that_of_the_disk_that_a_folder_will_be_on(tmp_path: Path) -> None:
    known = os.statvfs(tmp_path)
    whole = known.f_blocks * known.f_frsize
    assert 0 < free_bytes(tmp_path / "not" / "there") <= whole
