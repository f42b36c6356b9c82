"""TOML documents of users: parsed within limits, and what is wrong with them in one sentence that names the field."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from featx.errors import FeatxError, reason_of_field
from featx.files import read_file

M = TypeVar("M", bound=BaseModel)

# Such a document has few tables, none of them deep. What has more would keep the reader of TOML busy.
LARGEST = 2**20
DEEPEST = 20
LARGEST_NUMBER = 2**63  # of TOML itself
# Strings, also without an end, and comments: the dots in them separate no keys.
TEXT = re.compile(
    r"""
    "{3}(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)
    |'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)
    |"(?:[^"\\\n]|\\[^\n])*+"?
    |'[^'\n]*+'?
    |\#[^\n]*+
    """,
    re.DOTALL | re.VERBOSE,
)
DEEP_KEY = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{DEEPEST}}}")
SHOWN = 80  # characters of what a file has, in a message


@dataclass(frozen=True)
class DocumentKind(Generic[M]):
    """A kind of TOML document, such as recipes.

    Attributes:
        noun: What people call one.
        model: Its tables and fields.
        error: What is raised for one that is not valid.
    """

    noun: str
    model: type[M]
    error: type[FeatxError]

    def read(self, path: Path) -> str:
        """Return the text of a document's file.

        Raises:
            FeatxError: It cannot be read, is too large or not UTF-8.
        """
        try:
            return read_file(path, LARGEST).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise self.error(f"Expected a {self.noun} in TOML at {path}, but it cannot be read: {reason}.") from None

    def parse(self, text: str, source: object) -> dict[str, Any]:
        """Return the tables of a document; `source` names it in messages.

        Raises:
            FeatxError: It is not TOML, too deep, or has numbers that are too large.
        """
        name = f"{self.noun.capitalize()} {source}"
        deep = f"{name} has tables or lists in each other, more than {DEEPEST} deep; no {self.noun} needs that."
        if DEEP_KEY.search(TEXT.sub("_", text)):  # the time that tomllib takes grows with the square of a key's parts
            raise self.error(deep)
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise self.error(f"{name} is not valid TOML: {error}.") from None
        except ValueError:  # from `int`, for more than 4300 digits
            raise self.error(f"{name} has a number of thousands of digits; write a smaller one.") from None
        except RecursionError:
            raise self.error(deep) from None
        values: list[Any] = [document]
        for _ in range(DEEPEST):
            if any(isinstance(value, int) and abs(value) >= LARGEST_NUMBER for value in values):
                raise self.error(f"{name} has a whole number beyond 64 bits; write a smaller one.")
            values = [inner for value in values for inner in _inside(value)]
        if values:
            raise self.error(deep)
        return document

    def validated(self, document: Mapping[str, Any]) -> M:
        """Return what the tables of a document describe.

        Raises:
            pydantic.ValidationError: A field is missing, unknown or not valid; see `sentence`.
        """
        # TOML has arrays where the model has tuples, and 1 where it means 1.0: JSON's rules allow both.
        return self.model.model_validate_json(json.dumps(document, default=str))

    def sentence(self, error: ValidationError, source: object) -> str:
        """Return a sentence about the first error of a document."""
        name = f"{self.noun.capitalize()} {source}"
        # A misspelt field also leaves one missing: name the one that is there.
        details = [_detail(item) for item in error.errors(include_url=False)]
        first = min(details, key=lambda item: item["type"] == "missing")
        place = _place(first["loc"])
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        more = error.error_count() - 1
        rest = f" ({more} more after this one.)" if more else ""
        if first["type"] == "extra_forbidden":
            hint = nearest(str(place[-1]), sorted(_fields_beside(self.model, place)))
            return f"{name}: there is no field {cut(field)}; {hint}{rest}"
        if first["type"] == "missing":
            return f"{name}: the field {field} is missing.{rest}"
        return f"{name}: {cut(field) or f'the {self.noun}'}: {_message(first)}.{rest}".replace("?.", "?")

    def missing(self, error: ValidationError) -> list[str]:
        """Return the fields that a document lacks, if nothing else is wrong with it; otherwise none."""
        items = error.errors(include_url=False)
        if any(item["type"] != "missing" or not all(isinstance(part, str) for part in item["loc"]) for item in items):
            return []
        return [field for item in items for field in _missing(self.model, item["loc"])]


def _missing(model: type[BaseModel], place: Sequence[int | str]) -> Iterator[str]:
    """Yield the fields that a missing field or table stands for."""
    table: type[BaseModel] | None = model
    for name in place:
        table = None if table is None else next(models_in(table.model_fields[str(name)].annotation), None)
    field = ".".join(map(str, place))
    if table is None:
        yield field
    else:
        yield from (f"{field}.{name}" for name, info in table.model_fields.items() if info.is_required())


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _detail(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an error of pydantic; a wrong or missing `type` of a layer becomes an error of an ordinary field."""
    if item["type"] == "union_tag_not_found":
        return {**item, "type": "missing", "loc": (*item["loc"], "type")}
    if item["type"] == "union_tag_invalid":
        tag, tags = item["ctx"]["tag"], item["ctx"]["expected_tags"].replace(", ", " or ")
        msg = f"input should be {tags}"
        return {**item, "type": "literal_error", "loc": (*item["loc"], "type"), "msg": msg, "input": tag}
    return item


def _place(loc: Sequence[int | str]) -> list[int | str]:
    """Return a field's place in the file: after the index of a layer, pydantic adds the layer's type."""
    loc = [part for part in loc if part != "[key]"]  # of a name in a table that is not valid
    pairs = zip(("", *loc), loc, strict=False)
    return [part for before, part in pairs if not (isinstance(before, int) and part in ("dense", "dropout"))]


def _message(detail: Mapping[str, Any]) -> str:
    message = reason_of_field(detail["msg"])
    if isinstance(detail["input"], dict) or "received" in message:
        return message
    valid = re.findall(r"'([^']+)'", message) if detail["type"] == "literal_error" else []
    near = difflib.get_close_matches(shown(detail["input"]).strip("'").lower(), valid, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{message}, received {shown(detail['input'])}{hint}"


def shown(value: Any) -> str:
    """Return a value as Python writes it, cut where it is long."""
    if isinstance(value, int) and abs(value) >= LARGEST_NUMBER:
        return "a number beyond 64 bits"
    return cut(repr(value))


def cut(text: str) -> str:
    """Return a text of a file for a message, cut where it is long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a hint for whoever wrote a name that is none of these: the nearest, or all."""
    near = difflib.get_close_matches(cut(name), names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."


def _fields_beside(model: type[BaseModel], place: Sequence[int | str]) -> set[str]:
    """Return the names of the fields that are valid where the last name of a place is."""
    tables = [model]
    for name in place[:-1]:
        if isinstance(name, str):
            tables = [inner for table in tables for inner in models_in(table.model_fields[name].annotation)]
    return {field for table in tables for field in table.model_fields}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a field's type names, such as the tables of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from models_in(argument)
