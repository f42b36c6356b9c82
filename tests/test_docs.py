"""The documentation against the code: snippets run, commands parse, tables say what the code does."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel
from typer.main import get_command

from featx.backbones import BACKBONES, find_backbone
from featx.cli import app
from featx.recipe import (
    BackbonePart,
    DenseLayer,
    DropoutLayer,
    FeaturesPart,
    FitPart,
    HeadPart,
    ImagesPart,
    PreprocessPart,
    Recipe,
    SchedulePart,
    ViewsPart,
)
from featx.recipe_files import load_recipe, recipe_names
from featx.store import Store

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = re.compile(r"^<!-- runnable -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Where a table's fields are in docs/recipes.md: the heading or line above it.
FIELDS_OF: dict[str, type[BaseModel]] = {
    "### At the top": Recipe,
    "### `[images]`": ImagesPart,
    "### `[views]`": ViewsPart,
    "### `[preprocess]`": PreprocessPart,
    "### `[backbone]`": BackbonePart,
    "### `[features]`": FeaturesPart,
    "### `[head]`": HeadPart,
    "A dropout layer": DropoutLayer,
    "A dense layer": DenseLayer,
    "### `[fit]`": FitPart,
    "### `[fit.schedule]`": SchedulePart,
}


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def rows_below(text: str, start: str) -> list[list[str]]:
    """The cells of the first table below a line that starts so, without its header."""
    _, found, below = text.partition(f"\n{start}")
    assert found, f"no line starts with {start!r}"
    lines = below.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table[2:]


# Snippets


def run_snippets(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for snippet in RUNNABLE.findall(text):
        exec(compile(snippet, "snippet", "exec"), names)
    return names


def test_python_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_snippets(page("python.md"), tmp_path, monkeypatch)
    shown = capsys.readouterr().out
    # 4 classes: 6 images of 2 views each to train on, 2 to test.
    assert "56 rows computed, 0 reused" in shown
    assert "(24, 1280) covid train/covid/covid-000.png" in shown
    assert "DataError 1 Expected" in shown
    assert names["result"].test.n == 8
    assert len(names["result"].history) == 3
    assert len(names["predictions"].rows) == 8
    assert "(24, 1286) ['id', 'label', 'split', 'group', 'view', 'sha256', 'x0']" in shown
    assert names["rows"].shape == (2, 1280)
    assert (
        names["search"].predict(["phantoms/test/normal/normal-000.png"])[0]
        in names["result"].extraction.dataset.classes
    )
    assert all((tmp_path / file).is_file() for file in names["drawn"].files)
    assert all((tmp_path / file).is_file() for file in (*names["drawn"].files, *names["files"]))
    assert [len(part.ids) for part in names["apart"].parts] == [24, 24, 8, 8]


def test_cache_page_reads_what_the_store_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = "ab" * 32
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    for dtype in ("float32", "float16"):
        with Store(tmp_path / "cache").space({"kind": dtype}).writer(dtype=dtype) as writer:
            writer.add([(digest, 0), (digest, 2)], rows)
    names = run_snippets(page("cache.md"), tmp_path, monkeypatch)
    shown = capsys.readouterr().out.splitlines()
    assert sorted(shown) == [f"{dtype} (2, 3) {dtype} abababababab 0" for dtype in ("float16", "float32")]
    np.testing.assert_array_equal(names["X"], rows)
    assert names["digests"] == [digest, digest]


def test_interactive_page_writes_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_snippets(page("interactive-maps.md"), tmp_path, monkeypatch)
    assert "<h1" in (tmp_path / "map.html").read_text("utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_blocks_compile(path: Path) -> None:
    for language, block in FENCE.findall(path.read_text("utf-8")):
        if language == "python":
            compile(block, path.name, "exec")


# Commands


class Line(NamedTuple):
    """A featx command in the documentation; one in running text may leave out what it needs to run."""

    page: str
    arguments: list[str]
    whole: bool


def command_lines() -> Iterator[Line]:
    for path in PAGES:
        text = path.read_text("utf-8")
        for language, block in FENCE.findall(text):
            if language in ("sh", "bash", "shell", "console"):
                joined = block.replace("\\\n", " ")
                for line in joined.splitlines():
                    if language != "console" or line.startswith("$ "):
                        yield from command_line(path.name, line.removeprefix("$ "), whole=True)
        for code in re.findall(r"`(featx [^`]+)`", FENCE.sub("", text)):
            yield from command_line(path.name, code, whole=False)


def command_line(name: str, line: str, *, whole: bool) -> Iterator[Line]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;<>()"):
            break
        words.append(word)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        del words[0]
    if words and words[0] == "featx":
        yield Line(name, words[1:], whole)


LINES = list(command_lines())


def leaf(arguments: list[str]) -> tuple[str, Any, list[str]]:
    """The command meant, and what is left for it."""
    command: Any = get_command(app)
    names, rest = ["featx"], list(arguments)
    while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        assert rest[0] in command.commands, f"there is no command {rest[0]!r}"
        names.append(rest[0])
        command = command.commands[rest.pop(0)]
    return " ".join(names), command, rest


def options_of(command: Any) -> set[str]:
    own = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    return own | {"-h", "--help"}


def test_commands_are_found() -> None:
    assert len([line for line in LINES if line.whole]) > 20
    assert {line.page for line in LINES} >= {"index.md", "recipes.md", "cache.md", "command-line.md"}


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.page}: featx {' '.join(line.arguments)}")
def test_command_parses(line: Line) -> None:
    name, command, rest = leaf(line.arguments)
    given = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert given <= options_of(command)
    if line.whole and not given & {"-h", "--help", "--version"}:
        # Parses and checks all values, and calls nothing.
        command.make_context(name, rest)
    for option, value in pairwise(rest):
        if option == "--recipe" and re.fullmatch(r"[a-z0-9-]+", value):
            assert value in recipe_names()
        if option == "--backbone":
            assert find_backbone(value)


def all_leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for child, inner in command.commands.items():
            yield from all_leaves(inner, f"{name} {child}")
    else:
        yield name, command


LEAVES = dict(all_leaves(get_command(app), "featx"))


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_its_options_listed(name: str) -> None:
    documented = {
        option
        for row in rows_below(page("command-line.md"), f"## {name}\n")
        for option in re.findall("`(-.+?)`", row[0])
    }
    assert documented | {"-h", "--help"} == options_of(LEAVES[name])


# Pictures


def test_the_gallery_shows_every_picture_that_its_script_makes() -> None:
    script = runpy.run_path(str(DOCS / "gallery.py"))
    shown = re.findall(r"^!\[[^\]]+\]\(images/gallery/(\S+?)\)", page("gallery.md"), re.MULTILINE)
    assert sorted(shown) == sorted(script["SOURCES"])
    assert sorted(path.name for path in script["PICTURES"].iterdir()) == sorted(shown)
    assert script["commands"]() == [
        shlex.join(["featx", *line.arguments]) for line in LINES if line.page == "gallery.md" and line.whole
    ]


def test_pictures_are_there_and_small() -> None:
    pictures = {
        path.parent / name
        for path in PAGES
        for name in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", path.read_text("utf-8"))
        if "://" not in name
    }
    assert len(pictures) > 15
    sizes = {path.name: path.stat().st_size for path in pictures if path.parent.name == "gallery"}
    assert max(sizes.values()) <= 60_000
    assert sum(sizes.values()) <= 1_000_000
    for path in pictures:
        with Image.open(path) as picture:
            picture.verify()


def test_the_gallery_has_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "gallery.toml"
    path.write_text(next(block for language, block in FENCE.findall(page("gallery.md")) if language == "toml"))
    assert load_recipe(str(path)).backbone.name == "mobilenetv2"


# Recipes


@pytest.mark.parametrize("start", FIELDS_OF)
def test_every_field_is_documented_with_its_default(start: str) -> None:
    fields = FIELDS_OF[start].model_fields
    table = {row[0].strip("`"): row for row in rows_below(page("recipes.md"), start)}
    parts = {name for name in fields if FIELDS_OF[start] is Recipe and f"\n### `[{name}]`" in page("recipes.md")}
    assert set(table) - {"base"} == set(fields) - parts
    for name, row in table.items():
        if name == "base":
            continue
        field = fields[name]
        if field.is_required():
            assert row[2] == "required", name
        elif field.default is None:
            assert row[2] == "none", name
        else:
            assert row[2] == f"`{json.dumps(field.default)}`", name


def parameters(recipe: Recipe, classes: int) -> int:
    """Trainable parameters of a head: weights and a bias a unit."""
    widths = [find_backbone(recipe.backbone.name).width(recipe.backbone.pooling, recipe.images.size)]
    widths += [layer.units for layer in recipe.head.layers if isinstance(layer, DenseLayer)]
    widths += [1 if recipe.head.output == "sigmoid" else classes]
    return sum((width + 1) * units for width, units in pairwise(widths))


def test_shipped_recipes_are_tabled_with_their_parameters() -> None:
    text = page("recipes.md")
    table = rows_below(text, "## The recipes that come with featx")
    variants = rows_below(text, "### Variants by name")
    assert sorted(row[0].strip("`") for row in table + variants) == recipe_names()
    for name, classes, _, trainable, frozen, total in table:
        found = parameters(load_recipe(name.strip("`")), int(classes))
        assert trainable == f"{found:,}"
        assert total == f"{found + int(frozen.replace(',', '')):,}"


def test_rates_by_epoch() -> None:
    table = rows_below(page("recipes.md"), "### The schedule")
    for column, name in ((1, "covid4-resnet50v2"), (2, "covid4-resnet50v2-factors")):
        fit = load_recipe(name).fit
        for row in table:
            for epoch in map(int, re.findall(r"\d+", row[0])):
                assert fit.rate(epoch) == pytest.approx(float(row[column])), (name, epoch)


def test_backbones_are_tabled_with_their_widths() -> None:
    table = rows_below(page("recipes.md"), "Networks known by name")
    found = {row[0].strip("`"): [int(cell.replace(",", "")) for cell in row[1:]] for row in table}
    assert found == {name: [row.width("avg"), row.width("none", 224)] for name, row in BACKBONES.items()}


# The site


def test_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs comes with the extra 'dev'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").glob("*.html"))
    assert {path.stem for path in pages} >= {"index", "recipes", "cache", "command-line", "python"}
    for path in pages:
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", path.read_text("utf-8"))
        assert tags
        assert not [tag for tag in tags if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag)]
