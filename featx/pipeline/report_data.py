"""The report's section on the data: what there is of each class, what it looks like, which data it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from featx.dataset import SPLITS
from featx.pipeline.progress import Progress, silent
from featx.pipeline.report_images import thumbnails
from featx.report_blocks import Block, Facts, Gallery, Note, Picture, Section, Table
from featx.report_numbers import NOTHING, count, images
from featx.runs import Run, RunImage

# Sample pictures: of each class, and in all; every one adds about 6 kB.
SAMPLES_PER_CLASS = 5
SAMPLES = 40
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
        return self.run.images()

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """What `fit_head` found."""
        return self.run.metrics()

    @cached_property
    def history(self) -> list[dict[str, float | None]]:
        """A row an epoch."""
        return self.run.history()

    def of_role(self, role: str) -> list[RunImage]:
        """Return the images of `fit`, `validation` or `test`."""
        return [image for image in self.images if image.role == role]

    def id(self, name: str) -> str:
        """Return the id of a section or drawing."""
        return f"{self.prefix}{name}"


def data_section(told: Told, progress: Progress = silent) -> Section:
    """Return the section: counts, samples, digest."""
    blocks: list[Block] = [_counts(told)]
    pictures = _samples(told, progress)
    shown = [picture for picture in pictures if picture.source is not None]
    if shown:
        caption = f"{images(len(shown))} for example, the first of each class by content, of those to train on."
        blocks.append(Gallery(caption, tuple(shown)))
    if len(shown) < len(pictures):
        blocks.append(
            Note(
                f"{len(pictures) - len(shown)} of {len(pictures)} sample images are not shown: their files are no "
                "longer where the data lay, or have changed since."
            )
        )
    blocks.append(Facts("Which data it was", _facts(told)))
    return Section("Data", told.id("data"), tuple(blocks))


def _counts(told: Told) -> Table:
    found = Counter((image.split, image.label) for image in told.images)
    splits = [split for split in SPLITS if any(key[0] == split for key in found)]
    rows = [(name, [found[split, name] for split in splits]) for name in told.run.classes]
    rows.append(("all", [sum(row[1][column] for row in rows) for column in range(len(splits))]))
    cells = tuple((name, *map(count, numbers), count(sum(numbers))) for name, numbers in rows)
    header = ("class", *(SPLIT_NAMES[split] for split in splits), "all")
    held = len(told.of_role("validation"))
    part = (
        f"; of those for training, {count(held)} were held out for validation" if held and "val" not in splits else ""
    )
    return Table(f"Images by class and split{part}.", header, cells, last_is_total=True)


def _samples(told: Told, progress: Progress) -> list[Picture]:
    each = max(1, min(SAMPLES_PER_CLASS, SAMPLES // len(told.run.classes)))
    chosen: list[RunImage] = []
    for name in told.run.classes[:SAMPLES]:
        own = [image for image in told.images if image.label == name and image.role != "test"]
        chosen += sorted(own, key=lambda image: (image.digest, image.path))[:each]
    sources = thumbnails(told.run, chosen, progress, "samples")
    return [Picture(s, image.path, title=image.label) for s, image in zip(sources, chosen, strict=True)]


def _facts(told: Told) -> tuple[tuple[str, str], ...]:
    data = told.run.manifest["data"]
    return (
        ("folder or manifest's folder", str(data["root"])),
        ("SHA-256 of contents, classes and splits", str(data["sha256"])),
        ("groups, such as patients", _groups(told.images)),
        ("further columns", ", ".join(sorted({key for image in told.images for key in image.extra})) or NOTHING),
    )


def _groups(all_images: Sequence[RunImage]) -> str:
    groups = {image.group for image in all_images if image.group is not None}
    return f"{count(len(groups))} groups" if groups else "not given"
