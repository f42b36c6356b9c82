"""The stages of a reproduction, with their times and failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from featx.errors import FeatxError
from featx.features import STATISTICS
from featx.progress import report_progress
from featx.store import load_document, save_document

log = logging.getLogger("featx")

KIND = "stages"
T = TypeVar("T")


class Stages:
    """Runs stages one after the other.

    Attributes:
        seconds: Wall time by stage, earlier and interrupted calls included.
        failed: Reasons of failures by stage, or by part of a stage.
        titles: Titles by stage, and by part of a stage.

    Args:
        out: The reproduction's folder, where times are kept.
        total: Number of stages.
    """

    def __init__(self, out: Path, total: int) -> None:
        self.out = out
        self.total = total
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self._begun = 0

    def error(self, name: str) -> str:
        """Return why a stage failed, or its parts, which are named `stage/part`; "" if nothing did."""
        return "; ".join(error for one, error in self.failed.items() if one == name or one.startswith(f"{name}/"))

    def failures(self) -> list[tuple[list[str], str]]:
        """Return each error once, with the stages that it ended."""
        by_error: dict[str, list[str]] = {}
        for name, error in self.failed.items():
            by_error.setdefault(error, []).append(name)
        return [(names, error) for error, names in by_error.items()]

    def sentence(self) -> str:
        """Return what failed, why, and what to do; "" if nothing did."""
        if not self.failed:
            return ""
        failures = "; ".join(f"{', '.join(names)}: {error}" for names, error in self.failures())
        return (
            f"{len(self.failed)} stage{'s' * (len(self.failed) != 1)} failed ({failures}); fix that and run the "
            "command again, which does only what is missing."
        )

    @contextmanager
    def part(self, name: str, title: str) -> Iterator[None]:
        """Do a part of a stage; if it fails, put its error into `failed` and go on with the other parts."""
        self.titles[name] = title
        try:
            yield
        except FeatxError as error:
            self.failed[name] = str(error)
            log.warning("%s failed: %s", title, error)

    def run(self, name: str, title: str, work: Callable[[], T], *, repeated: bool = False) -> T | None:
        """Do a stage; if it fails, return None and put its error into `failed`.

        Args:
            name: Name of the stage.
            title: Its title for people.
            work: What it does.
            repeated: Whether every call does all of it; its time is then that of the last call.
        """
        self._begun += 1
        log.info("%d/%d %s", self._begun, self.total, title)
        report_progress("stages", self._begun - 1, self.total)
        kept = None if repeated else load_document(self.out, KIND, name)
        if kept is not None:
            self.seconds[name] = float(kept["seconds"])
        start = time.perf_counter()
        try:
            with self.part(name, title), _without_statistics_notice():
                return work()
            return None
        finally:
            # Time is also kept of a stage that is interrupted.
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            save_document(self.out, KIND, name, {"seconds": round(self.seconds[name], 3)})


@contextmanager
def _without_statistics_notice() -> Iterator[None]:
    """Hide the notice that cached rows have other channel statistics: `two` and `all` share images by design."""

    def is_shown(record: logging.LogRecord) -> bool:
        return getattr(record, "subject", None) != STATISTICS

    log.addFilter(is_shown)
    try:
        yield
    finally:
        log.removeFilter(is_shown)
