"""The stages of a reproduction: what is done is not done again, what fails is told, and time is kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from featx.errors import FeatxError
from featx.progress import report_progress
from featx.store import load_document, save_document

log = logging.getLogger("featx")

KIND = "stages"
T = TypeVar("T")


class Stages:
    """Runs stages one after the other.

    Attributes:
        seconds: Wall time that each has taken so far, earlier calls and interrupted ones included; one that is done
            anew has none until it is done.
        failed: What went wrong, by stage.

    Args:
        out: The reproduction's folder, where the time is kept.
        total: How many stages there will be.
    """

    def __init__(self, out: Path, total: int) -> None:
        self.out = out
        self.total = total
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self._begun = 0

    def error(self, name: str) -> str:
        """Return why a stage failed, or parts of it, whose names begin with its own and a slash; "" if none did."""
        return "; ".join(error for one, error in self.failed.items() if one == name or one.startswith(f"{name}/"))

    def failures(self) -> list[tuple[list[str], str]]:
        """Return what went wrong, each error once, with the stages that it ended."""
        found: dict[str, list[str]] = {}
        for name, error in self.failed.items():
            found.setdefault(error, []).append(name)
        return [(names, error) for error, names in found.items()]

    def sentence(self) -> str:
        """Return what failed, why, and what to do; "" where nothing did."""
        if not self.failed:
            return ""
        told = "; ".join(f"{', '.join(names)}: {error}" for names, error in self.failures())
        return (
            f"{len(self.failed)} stage{'s' * (len(self.failed) != 1)} failed ({told}); mend that and run the command "
            "again, which does what is missing."
        )

    @contextmanager
    def part(self, name: str, title: str) -> Iterator[None]:
        """Do a part of a stage; if it fails, its error goes into `failed` and the stage's other parts are done."""
        self.titles[name] = title
        try:
            yield
        except FeatxError as error:
            self.failed[name] = str(error)
            log.warning("%s failed: %s", title, error)

    def run(self, name: str, title: str, work: Callable[[], T], *, anew: bool = False) -> T | None:
        """Do a stage; one that fails gives None and its error goes into `failed`.

        Args:
            name: Of the stage.
            title: For people.
            work: What it does.
            anew: Whether each call does the whole of it, so that its time is that of the last call.
        """
        self._begun += 1
        log.info("%d/%d %s", self._begun, self.total, title)
        report_progress("stages", self._begun - 1, self.total)
        known = None if anew else load_document(self.out, KIND, name)
        if known is not None:
            self.seconds[name] = float(known["seconds"])
        start = time.perf_counter()
        try:
            with self.part(name, title):
                return work()
            return None
        finally:
            # Also when it is interrupted; to find that all is done takes time too, but little.
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            save_document(self.out, KIND, name, {"seconds": round(self.seconds[name], 3)})
