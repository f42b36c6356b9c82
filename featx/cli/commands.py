"""How a command is added: with its examples, and with values that are refused in featx's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from featx.cli import examples
from featx.errors import reason_of_field

F = TypeVar("F", bound=Callable[..., None])


class Command(TyperCommand):
    """A command whose errors of usage do not name pydantic's kinds of errors, as Typer's do."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse arguments as Typer does."""
        try:
            return super().make_context(*args, **kwargs)
        except typer.BadParameter as error:
            error.message = reason_of_field(error.message)
            raise


def named(app: typer.Typer, words: str) -> Callable[[F], F]:
    """Add a function to an app as the command of these words, such as `extract` or `cache info`."""
    lines = ["[bold]Examples[/]", *(f"  {line}" for line in examples.EXAMPLES[words])]
    return app.command(words.split()[-1], cls=Command, epilog="\n".join(lines))
