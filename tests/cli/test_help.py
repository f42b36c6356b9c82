"""Help: each option has a plain sentence, each command examples that run, and names in it are those that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from featx.classifiers.models import CLASSIFIERS
from featx.cli import app, options
from featx.cli.examples import EXAMPLES
from featx.networks import BACKBONES

WIDEST = 76  # characters of an example, so that it is not wrapped in a terminal of 80


def leaves(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for child, inner in command.commands.items():
            yield from leaves(inner, f"{name} {child}".strip())
    else:
        yield name, command


COMMANDS = dict(leaves(get_command(app)))


def options_of(name: str) -> list[Any]:
    return [option for option in COMMANDS[name].params if not getattr(option, "hidden", False)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_plain_sentence(name: str) -> None:
    for option in options_of(name):
        text = option.help
        assert text, option.name
        assert text[0].isupper(), text
        assert text.endswith("."), text
        assert not re.fullmatch(r"(Of|By|For|In|With) [^,]*\.", text), text  # only a part of a sentence


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_shows_its_default(name: str) -> None:
    """An option without a value of its own says what happens without it, unless it asks for something more."""
    more = {
        *("recipe", "by", "export", "out", "add", "add_split", "setting", "save_best", "html", "test", "without"),
        *("backbones", "drop", "run", "like", "batch_size", "learning_rate", "epochs", "views", "backbone", "form"),
    }
    for option in options_of(name):
        has_default = option.default not in (None, []) or option.required or option.is_flag
        assert has_default or option.show_default is not True or option.name in more, option.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_parse(name: str) -> None:
    assert len(EXAMPLES[name]) >= 2
    for line in EXAMPLES[name]:
        assert len(line) <= WIDEST
        assert line.startswith(f"featx {name}")
        words = shlex.split(line.partition(" > ")[0])[1 + len(name.split()) :]
        COMMANDS[name].make_context(f"featx {name}", words)


def test_no_examples_are_left_of_a_command_that_is_gone() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_shown_one_a_line(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "-h"], env={"COLUMNS": "80"}).stdout
    lines = [line.strip() for line in shown.splitlines()]
    below = lines[lines.index("Examples") + 1 :]
    assert tuple(filter(None, below)) == EXAMPLES[name]
    assert "[bold]" not in shown


def test_names_in_help_are_those_that_exist() -> None:
    assert sorted(options.BACKBONE_NAMES.split(", ")) == sorted(BACKBONES)
    assert options.CLASSIFIER_NAMES.split(", ") == [name for name in CLASSIFIERS if name != "majority"]


def test_help_names_backbones_and_classifiers() -> None:
    shown = " ".join(CliRunner().invoke(app, ["compare", "--help"], env={"COLUMNS": "200"}).stdout.split())
    assert "efficientnetv2b0" in shown
    assert "svm-rbf" in shown


@pytest.mark.parametrize(
    "words", ["--class-weight balnced", "--epochs many", "--seed -1", "--engine fast", "--test x"]
)
def test_a_value_that_cannot_be_is_refused_without_a_kind_of_error(words: str) -> None:
    done = CliRunner().invoke(app, ["fit-head", "photos", "--out", "run", *words.split()], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    option = words.split()[0]
    assert re.search(rf"Invalid value for '{option}': (input should|'\w+' is not one of) ", done.stderr), done.stderr
