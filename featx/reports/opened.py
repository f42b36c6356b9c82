"""A run that is opened once for a whole page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featx.runs import Layer, Run, RunImage, Source, read_run, run_source
from featx.store import Store

SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class OpenedRun:
    """A run that is opened once: each of its files is parsed once, and the rows of each layer are read once.

    Attributes:
        run: The run.
        prefix: Stands before ids on the page; "" if there is one run only.
        name: The run's name on the page.
        cache: The store's folder.
    """

    run: Run
    prefix: str
    name: str
    cache: Path
    _sources: dict[Layer, Source] = field(default_factory=dict, repr=False, compare=False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers whose features the run has, the one nearest to the classes first."""
        return ("backbone",) if self.run.manifest["head"]["penultimate"] is None else ("penultimate", "backbone")

    def of_role(self, role: str) -> list[RunImage]:
        """Return the images of `fit`, `validation` or `test`."""
        return [image for image in self.run.images if image.role == role]

    def id(self, name: str) -> str:
        """Return the id of a section or drawing."""
        return f"{self.prefix}{name}"

    def source(self, layer: Layer) -> Source:
        """Return the rows of a layer.

        Raises:
            RunError: They are not in the cache.
        """
        if layer not in self._sources:
            self._sources[layer] = run_source(self.run, layer, Store(self.cache))
        return self._sources[layer]

    def release_rows(self) -> None:
        """Forget the rows, so that the memory of a page does not grow with the number of its runs."""
        self._sources.clear()


def from_here(path: str | Path) -> str:
    """Return a path as one would type it here: relative to the current folder if it is in it or beside it."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive of Windows
        return str(path)
    return str(path) if Path(relative).parts[:2] == (os.pardir, os.pardir) else relative


def open_runs(folders: Sequence[str | Path], cache: Path) -> list[OpenedRun]:
    """Open runs for one page, each called by its folder's name, or by its path where names are the same."""
    runs = [read_run(folder) for folder in folders]
    names = [run.path.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in runs]
    prefixes = [f"run{number}-" for number in range(1, len(runs) + 1)] if len(runs) > 1 else [""]
    return [OpenedRun(run, prefix, name, cache) for run, prefix, name in zip(runs, prefixes, names, strict=True)]
