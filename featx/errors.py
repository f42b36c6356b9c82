"""What goes wrong for users: one sentence that says what was expected, what was found and what to do."""

from __future__ import annotations


class FeatxError(Exception):
    """Base of all errors that featx raises on purpose.

    The message is one sentence for a person: what was expected, what was found, what to do next.
    On the command line it is printed as it is and `exit_code` ends the process.
    """

    exit_code = 1


class UsageError(FeatxError):
    """The command or call itself is wrong: an unknown name, options that exclude each other."""

    exit_code = 2


class RecipeError(FeatxError):
    """A recipe that cannot be read, or a field of it that is not valid."""


class DataError(FeatxError):
    """A data folder or manifest that does not hold what is needed."""


class ImageError(FeatxError):
    """One image that cannot be used.

    Args:
        path: The image's file, as the user named it.
        reason: A clause without the path, such as "is empty (zero bytes)".
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}; images that cannot be used are passed over with --on-error skip.")
        self.path = path
        self.reason = reason


class WeightsError(FeatxError):
    """Weights that cannot be found, downloaded or loaded."""


class EngineError(FeatxError):
    """A network that the engine asked for cannot run."""


class StoreError(FeatxError):
    """The cache cannot be read or written: no space left, no permission."""


class RunError(FeatxError):
    """A run folder that is missing, incomplete or of another kind."""


class UntrustedError(FeatxError):
    """A result that could be computed but not trusted, and is therefore refused."""

    exit_code = 4
