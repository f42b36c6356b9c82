"""Small file systems and folders that may only be read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, *mounts: Sequence[str]) -> Iterator[Path]:
    """Mount at a folder with these arguments, one after the other; skips the test where that is not possible."""
    try:
        for arguments in mounts:
            done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Within the block a folder and all in it may only be read."""
    if os.geteuid() == 0:  # whom no permission stops
        with mounted(folder, ["--bind", str(folder)], ["-o", "remount,ro,bind"]):
            yield folder
        return
    folders = [path for path in (folder, *folder.rglob("*")) if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    yield folder
    for path in folders:
        path.chmod(0o755)
