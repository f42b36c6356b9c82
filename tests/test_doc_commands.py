"""Every command that the documentation shows parses, and every command of featx has its options listed."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from doc_blocks import DOCS, PAGES, SHELLS, blocks_of, commands_of, rows_below, text_of, without_blocks
from typer.main import get_command

from featx.cli import app
from featx.maps import FORMATS
from featx.networks import find_backbone
from featx.recipes import recipe_names


class Line(NamedTuple):
    """A featx command in the documentation; one in running text may leave out what it needs to run."""

    page: str
    arguments: list[str]
    whole: bool


def command_lines() -> Iterator[Line]:
    for path in PAGES:
        text = path.read_text("utf-8")
        for block in blocks_of(text):
            if block.language in SHELLS:
                for command, _ in commands_of(block):
                    yield from command_line(path.name, command, whole=True)
        for code in re.findall(r"`(featx [^`]+)`", without_blocks(text)):
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
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    own = {name for parameter in shown for name in parameter.opts if name.startswith("-")}
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


def listed(section: str) -> set[str]:
    """The options in the first table of a section of the page on the command line; none where it has no table."""
    _, found, below = text_of("command-line.md").partition(f"\n## {section}\n")
    assert found, section
    own = "\n\n" + below.partition("\n## ")[0]
    rows = rows_below(own, "") if "\n|" in own else []
    return {option for row in rows for option in re.findall("`(-.+?)`", row[0])}


EVERY_COMMAND = listed("Options of every command { #every-command }")
CHOOSE_FEATURES = listed("Options that choose features { #feature-options }")
READ_DATA = listed("Options that say how data is read { #data-options }")
TAKE_DATA = ("extract", "fit-head", "visualize", "compare", "clusters", "audit", "search", "sweep")
ONLY_READ_DATA = ("evaluate",)


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_its_options_listed(name: str) -> None:
    shared = CHOOSE_FEATURES | READ_DATA if name.split()[-1] in TAKE_DATA else set()
    shared = READ_DATA if name.split()[-1] in ONLY_READ_DATA else shared
    own = listed(name)
    assert not own & (EVERY_COMMAND | shared)
    assert own | EVERY_COMMAND | shared == options_of(LEAVES[name])


def test_help_names_the_formats_that_maps_have() -> None:
    option = next(row for row in LEAVES["featx visualize"].params if row.name == "formats")
    assert option.metavar == "|".join(FORMATS)
    assert option.show_default == ",".join(FORMATS)
    row = next(
        row for row in rows_below(text_of("command-line.md"), "## featx visualize\n") if row[0] == "`--format`"
    )
    assert row[1] == f"`{','.join(FORMATS)}`"
    assert re.findall("`([a-z]+)`", row[2]) == list(FORMATS)


def test_the_gallery_s_script_runs_what_its_page_shows() -> None:
    script = runpy.run_path(str(DOCS / "gallery.py"))
    assert script["commands"]() == [
        shlex.join(["featx", *line.arguments]) for line in LINES if line.page == "gallery.md" and line.whole
    ]
