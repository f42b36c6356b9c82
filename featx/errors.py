"""Errors for users: one sentence that says what was expected, what was found, and what to do next."""

from __future__ import annotations

from typing import Any


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


def reason_of(error: Exception) -> str:
    """Return what an error says, on one line of at most 200 characters, or else its type's name.

    Of an error of the system, only what is wrong, as the file is named by the sentence around it.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
