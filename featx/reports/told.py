"""A run with what its files say of it, opened once for the whole page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from featx.runs import Run, RunImage

SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Told:
    """A run with what its files say of it, read once.

    Attributes:
        run: The run.
        prefix: Goes before ids on the page; "" where there is one run alone.
        name: What the page calls it.
    """

    run: Run
    prefix: str
    name: str

    @cached_property
    def images(self) -> list[RunImage]:
        """The run's images, by what it used them for and then by name."""
        return self.run.images

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """What `fit_head` found."""
        return self.run.metrics

    @cached_property
    def history(self) -> list[dict[str, float | None]]:
        """A row an epoch."""
        return self.run.history

    def of_role(self, role: str) -> list[RunImage]:
        """Return the images of `fit`, `validation` or `test`."""
        return [image for image in self.images if image.role == role]

    def id(self, name: str) -> str:
        """Return the id of a section or drawing."""
        return f"{self.prefix}{name}"
