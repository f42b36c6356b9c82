"""The stages of a reproduction: what is done is not done again, what fails is told, and time is kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from featx.documents import load_document, save_document
from featx.errors import FeatxError
from featx.pipeline.progress import Progress

log = logging.getLogger("featx")

KIND = "stages"
T = TypeVar("T")


class Stages:
    """Runs stages one after the other.

    Attributes:
        seconds: Wall time that each has taken so far, earlier calls and interrupted ones included.
        failed: What went wrong, by stage.

    Args:
        out: The reproduction's folder, where the time is kept.
        total: How many stages there will be.
        progress: Told how far the work is.
    """

    def __init__(self, out: Path, total: int, progress: Progress) -> None:
        self.out = out
        self.total = total
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self._begun = 0

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

    def run(self, name: str, title: str, work: Callable[[], T]) -> T | None:
        """Do a stage; one that fails gives None and its error goes into `failed`."""
        self._begun += 1
        self.titles[name] = title
        log.info("%d/%d %s", self._begun, self.total, title)
        self.progress("stages", self._begun - 1, self.total)
        known = load_document(self.out, KIND, name)
        if known is not None:
            self.seconds[name] = float(known["seconds"])
        start = time.perf_counter()
        try:
            return work()
        except FeatxError as error:
            self.failed[name] = str(error)
            log.warning("%s failed: %s", title, error)
            return None
        finally:
            # Also when it is interrupted; to find that all is done takes time too, but little.
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            save_document(self.out, KIND, name, {"seconds": round(self.seconds[name], 3)})
