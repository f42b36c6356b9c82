from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from featx.gpus import NO_DRIVER, find_gpus


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for programs where there are none yet."""
    place = tmp_path / "programs"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))
    return place


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("script", "names", "fault"),
    [
        ("echo 'Tesla V100-SXM2-16GB, 16384 MiB'", ("Tesla V100-SXM2-16GB, 16384 MiB",), None),
        ("echo 'version mismatch' >&2; exit 18", (), "version mismatch"),
        # It tells most failures on standard output.
        (
            "echo \"couldn't communicate with\"; echo 'the driver.'; exit 9",
            (),
            "couldn't communicate with the driver.",
        ),
        ("exit 3", (), "exit code 3"),
    ],
)
def test_what_the_driver_tells(
    no_tool: Path, tmp_path: Path, script: str, names: tuple[str, ...], fault: str | None
) -> None:
    tool = no_tool / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    found = find_gpus(tmp_path)
    assert (found.names, found.fault) == (names, fault)
    assert found.makers == (("NVIDIA",) if names else ())


@pytest.mark.usefixtures("no_tool")
def test_the_maker_is_told_by_the_devices(tmp_path: Path) -> None:
    assert find_gpus(tmp_path).makers == ()
    put(tmp_path, "dev/kfd", "dev/dxg")
    assert find_gpus(tmp_path).makers == ("AMD",)
    put(tmp_path, "usr/lib/wsl/lib/libcuda.so.1")
    assert find_gpus(tmp_path).makers == ("NVIDIA", "AMD")


@pytest.mark.usefixtures("no_tool")
@pytest.mark.skipif(os.name == "nt", reason="the bus's devices have a colon in their names")
def test_a_gpu_without_a_driver_is_found_on_the_bus(tmp_path: Path) -> None:
    device = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    put(tmp_path, f"{device.relative_to(tmp_path)}/vendor")
    (device / "vendor").write_text("0x10de\n", "ascii")
    (device / "class").write_text("0x040300\n", "ascii")  # its sound
    assert find_gpus(tmp_path).makers == ()
    (device / "class").write_text("0x030000\n", "ascii")
    found = find_gpus(tmp_path)
    assert (found.makers, found.fault) == (("NVIDIA",), NO_DRIVER)
    put(tmp_path, "dev/nvidia0")
    found = find_gpus(tmp_path)
    assert (found.makers, found.fault) == (("NVIDIA",), None)
