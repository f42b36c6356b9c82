"""The figures that a published report states, read from a file that comes with featx."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Literal

Kind = Literal["count", "accuracy", "loss", "batch", "claim", "time"]


@dataclass(frozen=True)
class ReportedFigure:
    """A number or a claim of the report.

    Attributes:
        id: Its name, such as `vgg16.test`.
        section: Section of the report, such as `4.4`.
        quantity: What the figure is about.
        kind: The kind of figure, which decides by which rule it is judged.
        unit: `images`, `parameters`, `share` (0 to 1), `nats` or `s`; "" for a claim.
        value: The number; None for a claim, or if `correct` and `n` give it.
        correct: For a share, the number of correct images; None if it cannot be worked out.
        n: For a share or a loss, the number of images; None otherwise.
        claim: The claim as a sentence; "" for a number.
        note: What readers must know about the figure, such as a misprint; "" if nothing.
    """

    id: str
    section: str
    quantity: str
    kind: Kind
    unit: str
    value: float | None = None
    correct: int | None = None
    n: int | None = None
    claim: str = ""
    note: str = ""

    @property
    def number(self) -> float | None:
        """The number: for a share, the exact fraction if it is known. None for a claim."""
        if self.correct is not None and self.n:
            return self.correct / self.n
        return self.value


@dataclass(frozen=True)
class Reported:
    """A report's title, date and figures, in the order of its sections."""

    title: str
    date: str
    figures: tuple[ReportedFigure, ...]

    def figure(self, name: str) -> ReportedFigure:
        """Return the figure with an id."""
        return next(figure for figure in self.figures if figure.id == name)

    def numbers(self) -> dict[str, float | None]:
        """Return the number of each figure by its id."""
        return {figure.id: figure.number for figure in self.figures}


def read_reported(name: str = "cs542") -> Reported:
    """Read a report that comes with featx."""
    text = (resources.files("featx.reproduction") / f"{name}.toml").read_text("utf-8")
    document = tomllib.loads(text)
    return Reported(
        document["title"], document["date"], tuple(ReportedFigure(**entry) for entry in document["figure"])
    )
