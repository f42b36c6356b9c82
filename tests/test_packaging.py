"""The wheel and the source archive that are published."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest
from doc_blocks import ROOT

from featx import __version__

LIMIT = 8_000_000


def build(source: Path, out: Path, *kinds: str) -> Path:
    """Build in this environment, which has the backend; return the folder of the archives."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, and the wheel that is built from it."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(archives: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(archives / f"featx-{__version__}-py3-none-any.whl") as file:
        yield file


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return message_from_bytes(wheel.read(f"featx-{__version__}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def page(metadata: Message) -> str:
    return str(metadata.get_payload())


def repository() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"])


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_is_small(archives: Path, wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "featx").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == ours
    kinds = {PurePosixPath(name).suffix for name in inside}
    assert kinds >= {".py", ".pyi", ".typed", ".toml", ".npz", ".j2", ".css"}
    assert (archives / Path(str(wheel.filename)).name).stat().st_size < LIMIT


@pytest.mark.slow
def test_the_index_takes_both_archives(archives: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, archives.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_source_archive_has_what_tests_and_documentation_need(archives: Path) -> None:
    with tarfile.open(archives / f"featx-{__version__}.tar.gz") as file:
        inside = {name.partition("/")[2] for name in file.getnames()}
    assert inside >= {"pyproject.toml", "Makefile", "Dockerfile", "mkdocs.yml", "docs/index.md", "tests/conftest.py"}


@pytest.mark.slow
def test_tools_for_developers_are_no_extra(metadata: Message) -> None:
    assert metadata.get_all("Provides-Extra") == ["dicom", "gpu", "heic", "import", "jxl", "onnx", "pandas"]
    assert not re.search(r"pytest|mypy|mkdocs|ruff", "\n".join(metadata.get_all("Requires-Dist", ())))


@pytest.mark.slow
def test_links_of_the_index_page_lead_to_files_of_this_version(metadata: Message, page: str) -> None:
    links = re.findall(r'(?:\]\(|\b(?:src|href)=")([^)"\s]+)', page)
    raw = repository().replace("//github.com/", "//raw.githubusercontent.com/")
    starts = (f"{repository()}/blob/v{__version__}/", f"{raw}/v{__version__}/")
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    for link in links:
        for start in starts:
            if link.startswith(start):
                assert (ROOT / link.removeprefix(start).partition("#")[0]).is_file(), link
    assert f"{starts[1]}docs/images/demo-map.png" in links
    assert "pip install featx" in page
    assert "'featx[import]'" in page
    assert not re.search(r"pip install\s+'?\.", page)
    urls = [line.partition(", ")[2] for line in metadata.get_all("Project-URL", ())]
    assert repository() in urls
    assert [url for url in urls if not url.startswith(repository())] == []


@pytest.mark.slow
def test_what_docker_gets_is_enough_for_the_same_wheel(tmp_path: Path, wheel: zipfile.ZipFile) -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for name in (line[1:] for line in lines if line.startswith("!")):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / "source").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "source" / name)
    [built] = build(tmp_path / "source", tmp_path / "dist", "--wheel").iterdir()
    with zipfile.ZipFile(built) as file:
        assert sorted(file.namelist()) == sorted(wheel.namelist())


def test_the_image_s_versions_are_the_tested_ones() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    pinned = (ROOT / "constraints.txt").read_text("utf-8")
    assert "--constraint /constraints.txt" in text
    # The Dockerfile derives from it the version of tensorflow-cpu.
    assert len(re.findall(r"^tensorflow==\d", pinned, re.MULTILINE)) == 1
    assert re.search(r"^USER featx$", text, re.MULTILINE)
    assert repository() in text
