"""Each entry of a run's files, cut, edited or forged: the run is read as it is, or refused in one sentence."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from featx.errors import FeatxError
from featx.runs import read_run, run_source
from featx.store import Store

MADE = Path(__file__).parents[1] / "made_before"
TEXTS = ("", "x", "../../x", "x" * 5000, "\u202e", "a\0b")
VALUES: tuple[Any, ...] = (*TEXTS, 0, -1, 0.5, 1e308, 2**63 - 1, None, True, [], {}, [[]], {"a": {}}, [1, 2])
Place = tuple[Any, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """The place of each entry of a document, the whole of it first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from places(item, (*at, name))


def changed(document: Any, at: Place, value: Any) -> Any:
    if not at:
        return value
    document = deepcopy(document)
    part = document
    for name in at[:-1]:
        part = part[name]
    part[at[-1]] = value
    return document


def without(document: Any, at: Place) -> Any:
    document = deepcopy(document)
    part = document
    for name in at[:-1]:
        part = part[name]
    del part[at[-1]]
    return document


def documents(document: Any) -> Iterator[Any]:
    """A document with each entry replaced by each value, or left out."""
    for at in places(document):
        if at:
            yield without(document, at)
        yield from (changed(document, at, value) for value in VALUES)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(MADE / "run", tmp_path / "run"))
    shutil.copytree(MADE / "cache", tmp_path / "cache")
    shutil.copyfile(MADE / "network.keras", tmp_path / "network.keras")
    monkeypatch.chdir(tmp_path)
    return folder


def read_all(run: Path) -> None:
    """Read all that other verbs read of a run."""
    opened = read_run(run)
    _ = opened.images, opened.metrics, opened.history
    run_source(opened, None, Store(Path("cache")))


def opens(run: Path) -> bool:
    """Whether a run is read, or refused in a sentence."""
    try:
        read_all(run)
    except FeatxError as error:
        sentence = str(error)
    else:
        return True
    assert len(sentence) < 700
    assert "\n" not in sentence
    return False


def write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document), "utf-8")


def counts(run: Path, write: Callable[[Any], object], variants: Iterator[Any]) -> tuple[int, int]:
    """How many variants of a file are read, and how many are refused."""
    results = [(write(variant), opens(run))[1] for variant in variants]
    return results.count(True), results.count(False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest.json", "metrics.json"])
def test_each_entry_of_a_document(run: Path, name: str) -> None:
    assert opens(run)
    document = json.loads((run / name).read_text("utf-8"))
    read, refused = counts(run, lambda variant: write_json(run / name, variant), documents(document))
    assert read > 50
    assert refused > 300


@pytest.mark.slow
def test_each_field_of_the_recipe(run: Path) -> None:
    path = run / "recipe.toml"
    document = tomllib.loads(path.read_text("utf-8"))

    def write(variant: Any) -> None:
        try:
            path.write_text(tomli_w.dumps(variant), "utf-8")
        except (TypeError, AttributeError):  # TOML has no such value
            path.write_text("no = TOML =", "utf-8")

    read, refused = counts(run, write, documents(document))
    assert read > 20
    assert refused > 300


def tables(rows: list[list[str]], seed: int) -> Iterator[list[list[str]]]:
    """A table with cells, rows and columns changed, cut and doubled."""
    generator = random.Random(seed)
    cells = ["", "x", "nan", "inf", "-1", "1e999", "2", "../x", "a\0b", "x" * 200_000, '"']
    for _ in range(300):
        table = deepcopy(rows)
        row = generator.randrange(len(table))
        column = generator.randrange(len(table[0]))
        match generator.randrange(5):
            case 0:
                table[row][column] = generator.choice(cells)
            case 1:
                del table[row][column]
            case 2:
                table = table[:row]
            case 3:
                for line in table:
                    line.append(line[column])
            case 4:
                table[row] = []
        yield table


@pytest.mark.slow
@pytest.mark.parametrize("name", ["predictions.csv", "history.csv"])
def test_each_cell_of_a_table(run: Path, name: str) -> None:
    rows = list(csv.reader(io.StringIO((run / name).read_text("utf-8"))))

    def write(table: list[list[str]]) -> None:
        with (run / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)

    read, refused = counts(run, write, tables(rows, 0))
    assert read + refused == 300
    assert refused > 100


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


CONTENTS: Mapping[str, bytes] = {
    "empty": b"",
    "nothing": b"null",
    "deep": nested(100_000),
    "long number": b'{"classes": ' + b"1" * 5000 + b"}",
    "no number": b'{"classes": NaN}',
    "twice": b'{"classes": ["a", "b"], "classes": ["a", "b"]}',
    "UTF-16": "{}".encode("utf-16"),
    "half a pair": b'{"classes": ["\\ud800", "a"]}',
}


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", ["manifest.json", "metrics.json", "history.csv", "predictions.csv", "recipe.toml"])
def test_files_of_other_kinds(run: Path, name: str, kind: str) -> None:
    (run / name).write_bytes(CONTENTS[kind])
    assert not opens(run)


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json", "history.csv", "predictions.csv", "recipe.toml"])
def test_what_is_no_regular_file_is_not_waited_for(run: Path, name: str) -> None:
    for replace in (
        os.mkfifo,
        Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
    ):
        (run / name).rmdir() if (run / name).is_dir() else (run / name).unlink()
        replace(run / name)
        assert not opens(run)


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json", "history.csv", "predictions.csv", "recipe.toml"])
def test_a_file_of_gigabytes_is_refused_by_its_size(run: Path, name: str) -> None:
    with (run / name).open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(FeatxError, match=r"it has 8,192\.0 MiB, more than the limit of"):
        read_all(run)
