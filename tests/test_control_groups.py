from __future__ import annotations

from pathlib import Path

from featx.control_groups import Memory, allowed_cpus, allowed_memory

NO_LIMIT = "9223372036854771712"  # what version 1 of the kernel's control groups writes for none


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A file system with what the kernel tells of control groups."""
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n", "utf-8")
    return root


def test_no_groups_are_no_limit(tmp_path: Path) -> None:
    assert allowed_memory(tmp_path) is None
    assert allowed_cpus(tmp_path) is None
    system(tmp_path, "0::/", {"memory.max": "max", "memory.current": "7", "cpu.max": "max 100000"})
    assert allowed_memory(tmp_path) is None
    assert allowed_cpus(tmp_path) is None


def test_what_is_in_use_is_taken_from_the_limit(tmp_path: Path) -> None:
    """4 GB allowed, 3 GB used, of which 1 GB are file pages that go when memory is asked for: 2 GB are left."""
    files = {"memory.max": "4000", "memory.current": "3000", "memory.stat": "anon 2000\ninactive_file 1000\nfile 1"}
    assert allowed_memory(system(tmp_path, "0::/", files)) == Memory(4000, 2000)
    system(tmp_path, "0::/", {"memory.max": "2500", "memory.stat": "inactive_file 0"})
    assert allowed_memory(tmp_path) == Memory(2500, 0)


def test_the_tightest_of_the_groups_around_a_process_holds(tmp_path: Path) -> None:
    """The inner group has more left of its own than the outer one, which others use as well, has of its limit."""
    files = {
        "job/memory.max": "9000",
        "job/memory.current": "8500",
        "job/step/memory.max": "6000",
        "job/step/memory.current": "1000",
        "job/step/task/memory.max": "max",
        "job/cpu.max": "150000 100000",
        "job/step/cpu.max": "max 100000",
    }
    root = system(tmp_path, "0::/job/step/task", files)
    assert allowed_memory(root) == Memory(6000, 500)
    assert allowed_cpus(root) == 2


def test_the_first_version_of_groups_is_read_too(tmp_path: Path) -> None:
    groups = "4:memory:/batch/7\n1:cpu,cpuacct:/batch/7\n0::/"
    files = {
        "memory/memory.limit_in_bytes": NO_LIMIT,
        "memory/memory.usage_in_bytes": "1",
        "memory/batch/7/memory.limit_in_bytes": "5000",
        "memory/batch/7/memory.usage_in_bytes": "4000",
        "memory/batch/7/memory.stat": "inactive_file 5\ntotal_inactive_file 1500",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "cpu,cpuacct/batch/7/cpu.cfs_quota_us": "50000",
        "cpu,cpuacct/batch/7/cpu.cfs_period_us": "100000",
    }
    root = system(tmp_path, groups, files)
    assert allowed_memory(root) == Memory(5000, 2500)
    assert allowed_cpus(root) == 1


def test_a_path_of_the_host_stands_for_the_containers_own_group(tmp_path: Path) -> None:
    """A container of version 1 sees its own group as the outermost, and its path as the host has it."""
    files = {
        "memory/memory.limit_in_bytes": "3000",
        "memory/memory.usage_in_bytes": "1000",
        "cpu/cpu.cfs_quota_us": "300000",
        "cpu/cpu.cfs_period_us": "100000",
    }
    root = system(tmp_path, "4:memory:/docker/0a1b\n3:cpu:/docker/0a1b", files)
    assert allowed_memory(root) == Memory(3000, 2000)
    assert allowed_cpus(root) == 3
    (root / "proc/self/cgroup").write_text("4:memory:/../../outside\n", "utf-8")
    assert allowed_memory(root) == Memory(3000, 2000)
