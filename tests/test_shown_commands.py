"""Every command of the documentation runs, on phantoms, with small images and networks that know nothing.

The pages that are walked through, with their output, are in `test_tutorial`; most snippets of Python in `test_docs`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from doc_blocks import PAGES, SHELLS, blocks_of, commands_of, run_command
from pipeline_data import small_data, write_model

from featx.networks import KerasNetwork, find_weights
from featx.recipes import BackbonePart
from featx.recipes import files as recipe_files

pytestmark = pytest.mark.slow

SIZE = 32
EPOCHS = 4
BACKBONES = ("vgg16", "mobilenetv2", "resnet50v2")
WALKED = {"tutorial.md", "own-images-networks-heads.md", "python.md"}
SNIPPETS = {"README.md", "reproduction.md"}
# What the pages' placeholders stand for here, where a folder of that name will not do.
STANDS_FOR = [
    (r"\bDATA(?= .*--by\b)", "xrays.csv"),
    (r"\bresnet50v2=FILE\b", "resnet50v2=weights/resnet50v2_notop.weights.h5"),
    (r"\bfeatx-demo/cache\b", "cache"),
]


def featx_commands(page: Path) -> list[str]:
    return [
        command
        for block in blocks_of(page.read_text("utf-8"))
        if block.language in SHELLS
        for command, _ in commands_of(block)
        if command.startswith("featx ")
    ]


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FEATX_CACHE", raising=False)
        yield patch


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> Path:
    """A folder with all that the pages' commands take: images, weights, a run, a saved classifier, a cache."""
    folder = tmp_path_factory.mktemp("prepared")
    write_recipes(folder / "recipes")
    patched.setattr(recipe_files, "_shipped", lambda: folder / "recipes")
    patched.setenv("FEATX_WEIGHTS_DIR", str(folder / "weights"))
    write_weights(folder / "weights")
    write_images(folder)
    write_model(folder / "mine.keras", size=None)
    patched.chdir(folder)
    for command in (
        "featx recipes show covid4-vgg16 > mine.toml",
        "featx extract DATA",
        "featx fit-head DATA --recipe covid4-vgg16 --out RUN",
        "featx compare RUN --classifiers logreg --folds 3 --repeats 1 --save-best best",
    ):
        run(command)
    for name in ("RUN-1", "RUN-2", "run"):
        shutil.copytree("RUN", name)
    return folder


def write_recipes(folder: Path) -> None:
    """Write the recipes that come with featx with small images and few epochs."""
    folder.mkdir()
    for name in recipe_files.recipe_names():
        shipped = Path(recipe_files.__file__).parent / f"{name}.toml"
        document = tomllib.loads(shipped.read_text("utf-8"))
        for part, field, value in (("images", "size", SIZE), ("views", "count", 2), ("fit", "epochs", EPOCHS)):
            document.setdefault(part, {})[field] = value
        (folder / f"{name}.toml").write_text(tomli_w.dumps(document), "utf-8")


def write_weights(folder: Path) -> None:
    folder.mkdir()
    for name in BACKBONES:
        network = KerasNetwork(BackbonePart(name=name), (SIZE, SIZE), find_weights(name, "random"))
        network.model.save_weights(folder / f"{name}_notop.weights.h5")


def write_images(folder: Path) -> None:
    small_data(folder / "DATA")
    small_data(folder / "xrays")
    small_data(folder / "photos")
    small_data(folder / "ROOT" / "two", train=8, classes=2)
    small_data(folder / "ROOT" / "all", train=8)
    small_data(folder / "new", train=1, test=0, seed=1)
    (folder / "new" / "train").rename(folder / "new-images")
    shutil.copy(min((folder / "new-images").rglob("*.png")), folder / "new-images" / "1.png")
    small_data(folder / "other", train=3, test=0, seed=2)
    (folder / "other" / "train").rename(folder / "elsewhere")
    images = sorted((folder / "DATA").rglob("*.png"))
    shutil.copy(images[0], folder / "xray.png")
    rows = [
        ",".join([image.relative_to(folder).as_posix(), image.parent.name, image.parts[-3], "AB"[number % 2]])
        for number, image in enumerate(images)
    ]
    (folder / "xrays.csv").write_text("\n".join(["path,label,split,scanner", *rows]), "utf-8")
    found = (folder / "elsewhere").rglob("*.png")
    elsewhere = [f"{image.relative_to(folder)},{image.parent.name}" for image in found]
    (folder / "elsewhere.csv").write_text("\n".join(["path,label", *sorted(elsewhere)]), "utf-8")
    (folder / "more.csv").write_text("path\nxray.png\n", "utf-8")


def run(command: str) -> None:
    """Run a command, with its output where `>` sends it."""
    command, _, target = command.partition(" > ")
    output = run_command(command)
    if target:
        Path(target).write_text(output, "utf-8")


def stands_for(command: str) -> str:
    for placeholder, name in STANDS_FOR:
        command = re.sub(placeholder, name, command)
    if "--drop" in command:
        first = min(folder.name for folder in Path("cache/features").iterdir())
        command = re.sub(r"--drop [0-9a-f]{12}", f"--drop {first[:12]}", command)
    return command


def as_done(command: str) -> str:
    """What a command comes down to: pages call a run and the data by several names, and write to several places."""
    words = shlex.split(command, comments=True)
    for option in ("--out", ">"):
        if option in words:
            place = words.index(option)
            del words[place : place + 2]
    return shlex.join({"run": "RUN", "xrays": "DATA", "photos": "DATA"}.get(word, word) for word in words)


@pytest.fixture(scope="module")
def done() -> set[str]:
    """What has been run for an earlier page."""
    return set()


@pytest.mark.parametrize(
    "page", [path for path in PAGES if path.name not in WALKED and featx_commands(path)], ids=lambda path: path.name
)
def test_what_the_page_shows_runs(
    page: Path, prepared: Path, done: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(prepared)
    names: dict[str, Any] = {}
    for block in blocks_of(page.read_text("utf-8")):
        if block.language == "toml":
            document = tomllib.loads(block.body)
            Path(f"{document.get('name', 'unnamed')}.toml").write_text(block.body, "utf-8")
        elif block.language == "python" and page.name in SNIPPETS:
            exec(compile(block.body, page.name, "exec"), names)
    for command in map(stands_for, featx_commands(page)):
        if as_done(command) not in done:
            run(command)
            done.add(as_done(command))
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is not None:
        plt.close("all")


def test_the_same_under_another_name_is_run_once() -> None:
    assert as_done("featx compare run --out a  # why") == as_done("featx compare RUN") == "featx compare RUN"
    assert as_done("featx compare RUN --save-best a") != as_done("featx compare RUN")
    assert as_done("featx recipes show x > mine.toml") == "featx recipes show x"
