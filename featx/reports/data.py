"""The report's sections on the data and on the limits of what it can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from featx.data import SPLITS
from featx.reports.blocks import Block, Facts, Gallery, Note, Picture, Points, Section, Table
from featx.reports.model import has_random_weights
from featx.reports.pictures import thumbnails
from featx.reports.results import score_of
from featx.reports.told import SPLIT_NAMES, Told
from featx.runs import RunImage
from featx.stats import wilson
from featx.text import NOTHING, count, images, percent, span

# Sample pictures: of each class, and in all; every one adds about 6 kB.
SAMPLES_PER_CLASS = 5
SAMPLES = 40


def data_section(told: Told) -> Section:
    """Return the section: counts, samples, digest."""
    blocks: list[Block] = [_counts(told)]
    pictures = _samples(told)
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


def _samples(told: Told) -> list[Picture]:
    each = max(1, min(SAMPLES_PER_CLASS, SAMPLES // len(told.run.classes)))
    chosen: list[RunImage] = []
    for name in told.run.classes[:SAMPLES]:
        own = [image for image in told.images if image.label == name and image.role != "test"]
        chosen += sorted(own, key=lambda image: (image.digest, image.path))[:each]
    sources = thumbnails(told.run, chosen, "samples")
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


# Below it a class's share has an interval wider than 33 points around one half (Wilson).
FEW = 30


def limits_section(told: Told, anchor: str | None = None) -> Section:
    """Return the section.

    Args:
        told: The run; of several the one with the fewest test images.
        anchor: The section's id, if it is not the run's own.
    """
    items = [*_sample(told), _group_limit(told), _sources(told), *_always()]
    if has_random_weights(told):
        items.insert(0, ("Random weights.", "The backbone was never trained; nothing can be concluded about it."))
    return Section("What these numbers cannot show", anchor or told.id("limits"), (Points(tuple(items)),))


def _sample(told: Told) -> list[tuple[str, str]]:
    score = score_of(told, "test")
    if not score.n or score.interval is None:
        text = "There is no test split, and settings may have been chosen by what the validation images showed."
        return [("No test.", text)]
    low, high = score.interval
    size = (
        f"There {'is' if score.n == 1 else 'are'} {images(score.n)} to test on: one more or less right moves the "
        f"accuracy by {100 / score.n:.2g} points. The 95 % interval, {span(score.interval)}, is "
        f"{100 * (high - low):.0f} points wide; differences smaller than that may be chance."
    )
    counts = Counter(image.label for image in told.of_role("test"))
    least = min(told.run.classes, key=lambda name: counts[name])
    n = counts[least]
    items = [("Size of the test.", size)]
    if 0 < n < FEW:
        text = (
            f"The smallest class of the test, {least}, has {images(n)}. Even {n} of {n} right would be "
            f"compatible with a true share of {percent(wilson(n, n)[0], 0)}."
        )
        items.append(("Size of the classes.", text))
    elif n == 0:
        items.append(("Size of the classes.", f"No image of {least} was tested."))
    return items


def _group_limit(told: Told) -> tuple[str, str]:
    if any(image.group is not None for image in told.images):
        return ("Patients.", "Images of one group stand in one split, as far as the manifest's groups are right.")
    text = (
        "The data does not say which images belong to one patient. Images with the same bytes stand in one split, "
        "but others of one patient may stand in two, which makes accuracies too high."
    )
    return ("Patients.", text)


def _sources(told: Told) -> tuple[str, str]:
    columns = sorted({name for image in told.images for name in image.extra})
    if columns:
        hint = f"The manifest's further columns ({', '.join(columns)}) may help to find out."
    else:
        hint = "The data does not say where its images come from, so that cannot be looked into here."
    text = (
        "Where classes come from different hospitals, devices or collections, a network can learn these instead of "
        "what is to be seen in the body, and a test split from the same places does not show it (DeGrave, Janizek "
        f"and Lee, Nature Machine Intelligence 3, 2021). {hint}"
    )
    return ("Source of the images.", text)


def _always() -> list[tuple[str, str]]:
    return [
        (
            "Probabilities.",
            "They are what the head's softmax or sigmoid gives, not calibrated; a wrong answer can come with 99 %.",
        ),
        (
            "Maps.",
            "Features of a penultimate layer have seen the labels of the images fitted on. On a map these lie well "
            "apart even where new images do not.",
        ),
        (
            "Clinical use.",
            "This is no medical device and no diagnosis. It describes one set of images and says nothing of other "
            "hospitals, devices, patients or years.",
        ),
    ]
