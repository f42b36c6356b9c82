"""The report's section on images that were got wrong, the surest first."""

from __future__ import annotations

from collections.abc import Sequence

from featx.pipeline.progress import Progress, silent
from featx.pipeline.report_data import Told
from featx.pipeline.report_images import thumbnails
from featx.report_blocks import Block, Gallery, Note, Picture, Section, Text
from featx.report_numbers import count, images
from featx.runs import RunImage

# Pictures of each part of the data; every one adds about 6 kB.
SHOWN = 24
# Classes whose probabilities are told of each image.
CLASSES = 4


def errors_section(told: Told, progress: Progress = silent) -> Section:
    """Return the section: of test and validation images those got wrong, with the probabilities of their classes."""
    blocks: list[Block] = []
    for role in ("test", "validation"):
        chosen = told.of_role(role)
        if chosen:
            blocks += _part(told, role, chosen, progress)
    if not blocks:
        blocks.append(Text("No image was tested or held out, so none was got wrong."))
    return Section("Images got wrong", told.id("errors"), tuple(blocks))


def _part(told: Told, role: str, chosen: Sequence[RunImage], progress: Progress) -> list[Block]:
    wrong = sorted(
        (image for image in chosen if image.predicted != image.label),
        key=lambda image: (-max(image.probabilities), image.digest, image.path),
    )
    if not wrong:
        return [Text(f"Of {images(len(chosen))} ({role}), none was got wrong.")]
    shown = wrong[:SHOWN]
    capped = "" if len(shown) == len(wrong) else f"; the first {len(shown)} of {count(len(wrong))} are shown"
    caption = (
        f"Of {images(len(chosen))} ({role}), {count(len(wrong))} got wrong, sorted by the probability of the "
        f"class that was predicted{capped}."
    )
    sources = thumbnails(told.run, shown, progress, f"images got wrong ({role})")
    pictures = tuple(_picture(told, image, source) for image, source in zip(shown, sources, strict=True))
    gone = sum(source is None for source in sources)
    blocks: list[Block] = [Gallery(caption, pictures)]
    if gone:
        blocks.append(
            Note(
                f"{count(gone)} of these files are no longer where the data lay, or have changed since: they are not "
                "shown."
            )
        )
    return blocks


def _picture(told: Told, image: RunImage, source: str | None) -> Picture:
    shares = sorted(zip(told.run.classes, image.probabilities, strict=True), key=lambda pair: -pair[1])
    listed = shares[:CLASSES]
    if all(name != image.label for name, _ in listed):
        listed = [*listed[:-1], next(pair for pair in shares if pair[0] == image.label)]
    return Picture(source, image.path, tuple(listed), f"{image.label}, taken for {image.predicted}", image.label)
