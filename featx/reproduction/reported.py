"""What a published report states, figure by figure, as data that comes with featx."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Literal

Kind = Literal["count", "accuracy", "loss", "batch", "claim", "time"]


@dataclass(frozen=True)
class Figure:
    """One statement of the report.

    Attributes:
        id: Such as `vgg16.test`.
        section: Of the report.
        quantity: What it is about.
        kind: By which rule it is judged, see `featx.verdicts`.
        unit: `images`, `parameters`, `share` (0 to 1), `nats`, `s`; "" for a claim.
        value: The number; None for a claim.
        correct: Of a share, how many images it must be; None where the report does not give so much away.
        n: Of a share or loss, images; None otherwise.
        claim: The sentence; "" for a number.
        note: What must be known of it, such as a misprint.
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
        """The value, of a share the exact fraction where that is known."""
        if self.correct is not None and self.n:
            return self.correct / self.n
        return self.value


@dataclass(frozen=True)
class Reported:
    """A report's title, date and figures, in the order of its sections."""

    title: str
    date: str
    figures: tuple[Figure, ...]

    def figure(self, name: str) -> Figure:
        """Return the figure of an id."""
        return next(figure for figure in self.figures if figure.id == name)

    def numbers(self) -> dict[str, float | None]:
        """Return the number of each figure by its id."""
        return {figure.id: figure.number for figure in self.figures}


def read_reported(name: str = "cs542") -> Reported:
    """Return a report that comes with featx."""
    text = (resources.files("featx.reproduction") / f"{name}.toml").read_text("utf-8")
    document = tomllib.loads(text)
    return Reported(document["title"], document["date"], tuple(Figure(**entry) for entry in document["figure"]))
