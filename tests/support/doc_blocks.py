"""What the documentation shows: its pages, their blocks of code, and the commands in them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from featx.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n)?(?P<vary>^<!-- figures may differ -->\n)?"
    r"(?P<runnable>^<!-- runnable -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHELLS = ("sh", "bash", "shell", "console")


class Block(NamedTuple):
    """A fenced block; `file` is where one that is to be saved goes; `vary` where other figures are as right."""

    language: str
    body: str
    file: str | None
    vary: bool
    runnable: bool


def text_of(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def blocks_of(text: str) -> list[Block]:
    return [
        Block(found["language"], found["body"], found["file"], bool(found["vary"]), bool(found["runnable"]))
        for found in BLOCK.finditer(text)
    ]


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a block with the output that is shown of each, if any."""
    body = block.body.replace("\\\n", " ")
    if block.language != "console":
        yield from ((line, "") for line in body.splitlines() if line)
        return
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def rows_below(text: str, start: str) -> list[list[str]]:
    """The cells of the first table below a line that starts so, without its header."""
    _, found, below = text.partition(f"\n{start}")
    assert found, f"no line starts with {start!r}"
    from_table = dropwhile(lambda line: not line.startswith("|"), below.splitlines())
    rows = [line.strip("|").split("|") for line in takewhile(lambda line: line.startswith("|"), from_table)]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def without_blocks(text: str) -> str:
    return BLOCK.sub("", text)


def run_command(command: str) -> str:
    """What a command writes to standard output; featx runs in this process, where TensorFlow is loaded already."""
    words = shlex.split(command, comments=True)
    if words[0] == "featx":
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{command}: {result.output}"
        return result.stdout
    if words[0] == "python":
        words[0] = sys.executable
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
