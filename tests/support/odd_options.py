"""Command lines with one odd value: numbers out of range, names that no file can have, folders in place of files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pipeline_data import files_of, small_data, small_recipe

import featx
from featx.cli import app
from featx.recipes import dump_recipe

PLAIN = (
    *("", " ", "0", "-1", "1", "1.5", "9223372036854775808", "-9223372036854775809", "1e400", "nan", "inf", "-inf"),
    *("no/such/place", "/dev/null", "/dev/null/x", "/proc/self/mem", "/proc/nowhere/x", "~", "..", "-", "a=b"),
    *("=", "random", "random:x", "vgg16=", "1..3", "3..1", "1..", "png,,svg", ",", "é漢\n[bold]x[/]", "\udcff"),
    "x" * 5000,
)


@dataclass(frozen=True)
class Scene:
    """A small project in a folder: data, a recipe, a cache, a run and a saved comparison."""

    root: Path

    @property
    def words(self) -> dict[str, list[str]]:
        """The words of a command line of each command that works."""
        recipe = ["--recipe", "small.toml"]
        image = str(next(path for path in files_of(self.root / "data")).relative_to(self.root))
        return {
            "extract": ["data", *recipe],
            "fit-head": ["data", *recipe, "--out", "run"],
            "predict": ["run", image],
            "evaluate": ["run", "data"],
            "visualize": ["run", "--method", "pca", "--format", "csv", "--out", "maps"],
            "clusters": ["run", "--permutations", "9"],
            "compare": ["run", "--classifiers", "knn", "--folds", "2", "--repeats", "1"],
            "report": ["run", "--without", "audit,maps,comparison,clusters"],
            "sweep": ["data", *recipe, "--batch-size", "8", "--seeds", "1", "--out", "swept"],
            "reproduce": ["nowhere", "--out", "again", "--quick"],
            "cache info": [],
            "cache verify": [],
            "cache gc": ["--dry-run"],
            "cache explain": [image, *recipe],
            "recipes list": [],
            "recipes show": ["covid4-vgg16"],
        }

    @property
    def places(self) -> tuple[str, ...]:
        """What is there: data, folders, files."""
        inner = ("data", "data/train", "data/new", "run", "run/head.keras", "cache", "cache/new", "small.toml", ".")
        return (*inner, str(files_of(self.root / "data")[0]))


def make_scene(root: Path, model: Path) -> Scene:
    """Make the project, with all features in the cache."""
    small_data(root / "data", train=6, test=2, classes=2)
    recipe = small_recipe(model, {"fit.epochs": 1})
    (root / "small.toml").write_text(dump_recipe(recipe), encoding="utf-8")
    featx.fit_head(root / "data", recipe, out=root / "run", cache=root / "cache")
    return Scene(root)


def odd_lines(scene: Scene) -> Iterator[list[str]]:
    """Yield command lines that work but for one value of an option or an argument."""
    top: Any = typer.main.get_command(app)
    for name, words in scene.words.items():
        command = top
        for part in name.split():
            command = command.commands[part]
        for parameter in command.params:
            if parameter.name in ("help", "without") or getattr(parameter, "is_flag", False):
                continue  # sections that are not left out take long
            for value in (*PLAIN, *scene.places):
                yield [*name.split(), *_with(words, parameter, value)]


def _with(words: Sequence[str], parameter: Any, value: str) -> list[str]:
    """Put a value in the place of an argument, or of an option, which is added if it is not there."""
    changed = list(words)
    if parameter.param_type_name == "argument":
        place = 0 if parameter.nargs == 1 else len([word for word in words if not word.startswith("-")]) - 1
        changed[place : place + 1] = ["--", value] if value.startswith("-") and len(words) == 1 else [value]
        return changed
    option = parameter.opts[0]
    if option in changed:
        del changed[changed.index(option) : changed.index(option) + 2]
    return [*changed, f"{option}={value}"]


def reset(scene: Scene, kept: Path) -> None:
    """Put back what a command may rightly have changed."""
    for path in scene.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(kept, scene.root, dirs_exist_ok=True)
