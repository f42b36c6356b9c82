from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from featx import machine
from featx.machine import (
    _group_limits,
    _nvidia_gpus,
    can_write,
    find_folders,
    provide_folders,
    provide_home,
    this_machine,
    usable_cpus,
)


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


# --- folders for what libraries keep ---


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in `home` and a temporary folder in `tmp`, no folder named, and packages that cannot be written."""
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in (*machine.KEPT, "XDG_CONFIG_HOME"):
        # What the code sets itself is taken back after the test, too.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    may = machine.can_write
    package = Path(machine.__file__).parent
    monkeypatch.setattr(machine, "can_write", lambda folder: folder != package and may(folder))
    return tmp_path


def without(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let folders, and what is in them, not be writable."""
    may = machine.can_write
    monkeypatch.setattr(
        machine, "can_write", lambda folder: not any(map(folder.is_relative_to, folders)) and may(folder)
    )


def own(places: Path) -> Path:
    return places / "tmp" / f"featx-{os.getuid()}"


unix = pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")


@unix
def test_libraries_keep_their_own_folders_where_these_can_be_written(places: Path) -> None:
    provide_folders()
    assert not set(machine.KEPT) & set(os.environ)
    assert list((places / "tmp").iterdir()) == []
    assert list((places / "home").iterdir()) == []


@unix
def test_libraries_get_a_private_temporary_folder_where_their_own_cannot_be_written(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, places / "home")
    provide_folders()
    assert {Path(os.environ[variable]).parent for variable in machine.KEPT} == {own(places)}
    assert stat.S_IMODE(own(places).stat().st_mode) == 0o700
    before = {variable: os.environ[variable] for variable in machine.KEPT}
    provide_folders()
    assert before == {variable: os.environ[variable] for variable in machine.KEPT}


@unix
def test_a_folder_that_the_user_named_is_kept(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, places / "home")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(places / "mine"))
    provide_folders(["NUMBA_CACHE_DIR"])
    assert os.environ["NUMBA_CACHE_DIR"] == str(places / "mine")
    without(monkeypatch, places / "mine")
    provide_folders(["NUMBA_CACHE_DIR"])
    assert os.environ["NUMBA_CACHE_DIR"] == str(own(places) / "numba_cache_dir")


@unix
def test_numba_that_is_loaded_already_is_told(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, places / "home")
    config = SimpleNamespace(CACHE_DIR="")
    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(config=config, __spec__=None))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    provide_folders()
    assert str(own(places) / "numba_cache_dir") == config.CACHE_DIR


@unix
@pytest.mark.parametrize("way", ["open to others", "a link", "a file"])
def test_a_temporary_folder_that_others_may_have_made_is_not_used(
    places: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    without(monkeypatch, places / "home")
    if way == "open to others":
        own(places).mkdir()
        own(places).chmod(0o777)
    elif way == "a link":
        own(places).symlink_to(places / "home")
    else:
        own(places).write_bytes(b"")
    provide_folders(["NUMBA_CACHE_DIR"])
    chosen = Path(os.environ["NUMBA_CACHE_DIR"]).parent
    assert chosen != own(places)
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o700


@unix
def test_a_user_without_a_home_gets_a_temporary_one(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provide_home()
    assert os.environ["HOME"] == str(places / "home")
    monkeypatch.setenv("HOME", "~")
    provide_home()
    assert os.environ["HOME"] == str(own(places))


@unix
def test_the_current_folder_is_no_temporary_one(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes it where it can write nowhere else."""
    (places / "work").mkdir()
    monkeypatch.chdir(places / "work")
    monkeypatch.setattr("tempfile.tempdir", str(places / "work"))
    monkeypatch.delenv("TMPDIR", raising=False)
    without(monkeypatch, places / "home")
    provide_folders()
    provide_home()
    assert list((places / "work").iterdir()) == []
    assert ("temporary files", False) in [(folder.what, folder.writable) for folder in find_folders()]
    monkeypatch.setenv("TMPDIR", str(places / "work"))
    assert ("temporary files", True) in [(folder.what, folder.writable) for folder in find_folders()]


@unix
def test_the_folders_are_listed_with_those_that_cannot_be_written(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {folder.what: folder.path for folder in find_folders()} == {
        "machine code of Numba": str(places / "home/.cache/numba"),
        "settings and fonts of Matplotlib": str(places / "home/.config/matplotlib"),
        "lists of fonts": str(places / "home/.cache"),
        "temporary files": str(places / "tmp"),
        "memory that processes share": "/dev/shm",
    }
    without(monkeypatch, places / "home", places / "tmp", Path("/dev/shm"))
    monkeypatch.setattr("tempfile.mkdtemp", raising)
    assert {folder.what: folder.writable for folder in find_folders()} == {
        "machine code of Numba": False,
        "settings and fonts of Matplotlib": False,
        "lists of fonts": False,
        "temporary files": True,
        "memory that processes share": False,
    }


def raising(**_: object) -> str:
    raise OSError


def test_what_cannot_be_written_is_seen_without_writing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert can_write(tmp_path / "new" / "newer")
    assert not can_write(tmp_path / "file" / "in it")
    assert not can_write(Path("~/.cache"))
    assert not can_write(Path("/" + "x" * 5000))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
@unix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount")
def test_compiled_functions_load_where_neither_packages_nor_home_can_be_written(tmp_path: Path) -> None:
    packages = Path(np.__file__).parents[1]
    for name in ("home", "tmp", "work"):
        (tmp_path / name).mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in machine.KEPT}
    environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    kernel = "import numba\n@numba.njit(cache=True)\ndef one(x):\n    return x + 1\n"
    (tmp_path / "work" / "kernel.py").write_text(kernel, encoding="utf-8")
    script = (
        "from featx.machine import NUMBA, provide_folders; provide_folders([NUMBA]); import kernel; "
        "print(kernel.one(1))"
    )
    # In a name space of mounts of its own, the folders stay as they are for all other programs.
    mounts = 'mount -t tmpfs -o ro tmpfs "$HOME" || exit 99\n'
    for folder in (packages, Path(machine.__file__).parent, tmp_path / "work"):
        mounts += f"mount --bind '{folder}' '{folder}' && mount -o remount,ro,bind '{folder}' || exit 99\n"
    command = ["unshare", "--mount", "bash", "-c", f'{mounts}exec "$@"', "bash", sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=tmp_path / "work", env=environment | {"PYTHONPATH": "."}, capture_output=True, check=False
    )
    if done.returncode == 99 or b"unshare failed" in done.stderr:
        pytest.skip("mounting is not possible here")
    assert (done.returncode, done.stdout) == (0, b"2\n"), done.stderr
    assert (tmp_path / "tmp" / f"featx-{os.getuid()}" / "numba_cache_dir").is_dir()
