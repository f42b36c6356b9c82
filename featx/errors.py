"""Errors for users: one sentence that says what was expected, what was found, and what to do next."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Sentences are written for the command line, `--batch-size 8`. What follows an option and is one of these, a number,
# or in capitals is its value; other words belong to the sentence.
_VALUES = (
    "skip|fail|random|imagenet|rescale|featurewise|raw|card|none|avg|max|auto|openvino|keras|onnxruntime|onnx|fused|"
    "float32|mixed|backbone|penultimate|linear|mlp|train|val|test|all|balanced|folder|parent|first|middle"
)
_OPTION = re.compile(
    r"(?:featx [a-z]|pip install)[^;,)]*|"  # a command for the shell stays as it is
    rf"(?<![\w-])--([a-z][a-z-]*[a-z])(?: ((?:{_VALUES})\b|\d[\d.]*\d|\d|[A-Z]{{2,}}\b))?"
)
log = logging.getLogger("featx")


class _Speaker:
    """Who speaks: the command line, if it runs at least one command, or Python."""

    commands = 0


class FeatxError(Exception):
    """Base class of the errors that featx raises.

    The message is one sentence: what was expected, what was found, what to do next. The command line prints it and
    exits with `exit_code`.
    """

    exit_code = 1


class UsageError(FeatxError):
    """A wrong command or call: an unknown name, or options that exclude each other."""

    exit_code = 2


class RecipeError(FeatxError):
    """A recipe cannot be read, or one of its fields is not valid."""


class DataError(FeatxError):
    """A data folder or manifest does not hold what is needed."""


class ImageError(FeatxError):
    """An image cannot be used.

    Attributes:
        path: The image's file, as the user named it.
        reason: What is wrong with it, such as "is empty (zero bytes)".
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}; use --on-error skip to go on without such images.")
        self.path = path
        self.reason = reason


class WeightsError(FeatxError):
    """Weights cannot be found, downloaded or loaded."""


class CardError(FeatxError):
    """A network's card cannot be read, or one of its fields is not valid."""


class EngineError(FeatxError):
    """The chosen engine cannot run the network."""


class StoreError(FeatxError):
    """The cache cannot be read or written: no space left, no permission."""


class UnwrittenError(StoreError):
    """A result was computed, but its files could not all be written.

    Attributes:
        result: The result of the verb, as it would have been returned.
    """

    def __init__(self, error: StoreError, result: Any) -> None:
        super().__init__(f"{str(error).removesuffix('.')}; the result itself is not lost.")
        self.result = result


class ResourcesError(FeatxError):
    """Work would need more disk, memory or time than there is; `--yes` does it all the same."""


class RunError(FeatxError):
    """A run folder is missing, incomplete or of another kind."""


class UntrustedError(FeatxError):
    """A result could be computed but not trusted, so it is refused."""

    exit_code = 4


def in_python(sentence: str) -> str:
    """Return a sentence with arguments of Python where it names options: `on_error="skip"` for `--on-error skip`."""

    def argument(option: re.Match[str]) -> str:
        if option[1] is None:
            return option[0]
        name, value = option[1].replace("-", "_"), option[2]
        if value is None:
            return "yes=True" if name == "yes" else name
        return f"{name}={value}" if value[0].isdigit() or value.isupper() else f'{name}="{value}"'

    return _OPTION.sub(argument, sentence)


@contextmanager
def naming_options() -> Iterator[None]:
    """Let errors and notices of this block name options, for the command line."""
    _Speaker.commands += 1
    try:
        yield
    finally:
        _Speaker.commands -= 1


@contextmanager
def naming_arguments() -> Iterator[None]:
    """Let errors of this block name arguments of Python instead of options, unless the command line runs it."""
    try:
        yield
    except FeatxError as error:
        if not _Speaker.commands and error.args:
            error.args = (in_python(str(error)), *error.args[1:])
        raise


def _name_arguments(record: logging.LogRecord) -> bool:
    """Let a notice name arguments of Python instead of options, unless the command line runs."""
    if not _Speaker.commands:
        record.msg, record.args = in_python(record.getMessage()), ()
    return True


log.addFilter(_name_arguments)


def reason_of(error: Exception) -> str:
    """Return what an error says, on one line of at most 200 characters, or else its type's name.

    Of an error of the system, only what is wrong, as the file is named by the sentence around it.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__


def reason_of_field(message: str) -> str:
    """Return what pydantic says about a field as the rest of a sentence, without the kind of error at its start."""
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{message[:1].lower()}{message[1:]}"
