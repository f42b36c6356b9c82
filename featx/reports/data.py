"""The report's sections on the data and on the limits of what the results can show."""

from __future__ import annotations

from collections import Counter

from featx.data import SPLITS
from featx.pages import Block, Facts, Gallery, Picture, Points, Section, Table, few_classes, fold_of, missing_note
from featx.reports.labels import label_counts, label_words, sampled_by_label
from featx.reports.model import has_random_weights
from featx.reports.opened import SPLIT_NAMES, OpenedRun, from_here
from featx.reports.pictures import run_thumbnails
from featx.reports.results import score_of
from featx.runs import RunImage
from featx.stats import wilson
from featx.text import NOTHING, count, images, interval_percent, percent

# Sample images of each class, and in all; every one adds about 6 kB.
SAMPLES_PER_CLASS = 5
SAMPLES = 40
# Columns that are named.
NAMED = 20
# With fewer images, Wilson's interval of a share near one half is wider than 33 points.
FEW = 30
# Limits of every run.
ALWAYS = (
    (
        "Probabilities.",
        "They are the output of the head's softmax or sigmoid and are not calibrated: a wrong answer can have a "
        "probability of 99 %.",
    ),
    (
        "Clinical use.",
        "This is not a medical device and gives no diagnosis. The results describe one set of images and say nothing "
        "about other hospitals, devices, patients or years.",
    ),
)


MAPS_OF_HEADS = (
    "Maps.",
    "The penultimate layer was trained with the labels of the training images. On a map of its features, these "
    "images are well separated even if new images are not.",
)


def data_section(opened: OpenedRun, anchor: str | None = None) -> Section:
    """Return the section of counts, sample images and digest; `anchor` is its id, if it is not the run's own."""
    per_class = max(1, min(SAMPLES_PER_CLASS, SAMPLES // len(opened.run.classes)))
    several = opened.run.multilabel
    if several:
        chosen, first = sampled_by_label(opened, per_class, SAMPLES)
    else:
        chosen = _sampled(opened, per_class)
        first = len({image.label for image in chosen})
    uris = run_thumbnails(opened.run, chosen, "sample images", opened.cache)
    shown = tuple(
        Picture(uri, image.path, label_words(image.label) if several else image.label)
        for uri, image in zip(uris, chosen, strict=True)
        if uri
    )
    caption = (
        f"{images(len(shown), 'sample')} from the training and validation data: up to {per_class} of each "
        f"{'label' if several else 'class'}, those with the smallest SHA-256 digests."
    )
    blocks: list[Block] = [
        *(label_counts(opened) if several else [_counts(opened)]),
        *([Gallery(caption, shown, first)] if shown else []),
        *missing_note(uris, "sample"),
        Facts("Source of the data", _facts(opened)),
    ]
    return Section("Data", anchor or opened.id("data"), tuple(blocks))


def _counts(opened: OpenedRun) -> Table:
    counts = Counter((image.split, image.label) for image in opened.run.images)
    splits = [split for split in SPLITS if any(key[0] == split for key in counts)]
    totals = Counter(image.label for image in opened.run.images)
    listed, words = few_classes(opened.run.classes, lambda name: -totals[name], "the most images")
    rows = [(name, [counts[split, name] for split in splits]) for name in listed]
    by_split = Counter(image.split for image in opened.run.images)
    rows.append(("all", [by_split[split] for split in splits]))
    cells = tuple((name, *map(count, numbers), count(sum(numbers))) for name, numbers in rows)
    header = ("class", *(SPLIT_NAMES[split] for split in splits), "all")
    held_out = len(opened.of_role("validation"))
    note = f"; {count(held_out)} of the training images were held out for validation"
    caption = f"Images by class and split{note if held_out and 'val' not in splits else ''}.{words}"
    return Table(caption, header, cells, last_is_total=True, fold=fold_of(listed))


def _sampled(opened: OpenedRun, per_class: int) -> list[RunImage]:
    """Return sample images: one of each class, then the others class by class."""
    first: list[RunImage] = []
    others: list[RunImage] = []
    for name in opened.run.classes[:SAMPLES]:
        own = [image for image in opened.run.images if image.label == name and image.role != "test"]
        own.sort(key=lambda image: (image.digest, image.path))
        first += own[:1]
        others += own[1:per_class]
    return first + others


def _facts(opened: OpenedRun) -> tuple[tuple[str, str], ...]:
    data = opened.run.manifest["data"]
    groups = {image.group for image in opened.run.images if image.group is not None}
    test = data["test"]
    origin = "of the data" if test is None else f"a share of {test['share']:g} set aside, split seed {test['seed']}"
    return (
        ("folder of the data or of its manifest", from_here(data["root"])),
        ("test images", origin if opened.run.metrics["test"]["n"] else NOTHING),
        ("SHA-256 of contents, classes and splits", str(data["sha256"])),
        ("groups, such as patients", f"{count(len(groups))} groups" if groups else "not given"),
        ("further columns of the manifest", _listed(_extra_columns(opened)) or NOTHING),
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _extra_columns(opened: OpenedRun) -> list[str]:
    return sorted({name for image in opened.run.images for name in image.extra})


def limits_section(opened: OpenedRun, anchor: str | None = None) -> Section:
    """Return the section of what the results cannot show; `anchor` as in `data_section`."""
    items = [*_test_size(opened), _patients(opened), _sources(opened), *ALWAYS]
    if opened.run.manifest["head"]["penultimate"] is not None:
        items.append(MAPS_OF_HEADS)
    if has_random_weights(opened):
        items.insert(0, ("Random weights.", "The backbone was never trained; nothing can be concluded about it."))
    return Section("What these numbers cannot show", anchor or opened.id("limits"), (Points(tuple(items)),))


def _test_size(opened: OpenedRun) -> list[tuple[str, str]]:
    score = score_of(opened, "test")
    if not score.n or score.interval is None:
        text = (
            "There is no test split. If settings were chosen with the validation images, the validation accuracy is "
            "too high."
        )
        return [("No test.", text)]
    low, high = score.interval
    size = (
        f"The test set has {images(score.n)}, so one image changes "
        f"{'the share with all labels right' if opened.run.multilabel else 'the accuracy'} by {100 / score.n:.2g} "
        f"percentage points. The 95 % interval, {interval_percent(score.interval)}, is {100 * (high - low):.0f} "
        "points wide; smaller differences may be due to chance."
    )
    items = [("Size of the test.", size)]
    kind, counts = _tested_counts(opened)
    smallest = min(opened.run.classes, key=lambda name: counts[name])
    n = counts[smallest]
    if n == 0:
        items.append((f"Size of the {kind}.", f"The test set has no image of {smallest}."))
    elif n < FEW:
        which = "rarest label" if opened.run.multilabel else "smallest class"
        text = (
            f"The {which} of the test set, {smallest}, has {images(n)}. Even if {n} of {n} were classified "
            f"correctly, the true share could be as low as {percent(wilson(n, n)[0], 0)}."
        )
        items.append((f"Size of the {kind}.", text))
    return items


def _tested_counts(opened: OpenedRun) -> tuple[str, Counter[str]]:
    """Return what is counted, and the number of test images of each class or with each label."""
    tested = opened.of_role("test")
    if not opened.run.multilabel:
        return "classes", Counter(image.label for image in tested)
    names = opened.run.classes
    marks = (zip(names, image.targets or (), strict=True) for image in tested)
    return "labels", Counter(name for image in marks for name, target in image if target == 1)


def _patients(opened: OpenedRun) -> tuple[str, str]:
    if any(image.group is not None for image in opened.run.images):
        return ("Patients.", "All images of a group are in one split, if the groups of the manifest are correct.")
    text = (
        "The data does not say which images come from the same patient. Identical files are in one split, but "
        "different images of one patient may be in several splits, which makes accuracies too high."
    )
    return ("Patients.", text)


def _sources(opened: OpenedRun) -> tuple[str, str]:
    if columns := _extra_columns(opened):
        hint = f"The further columns of the manifest ({_listed(columns)}) may help to check this."
    else:
        hint = "The data does not say where its images come from, so this cannot be checked here."
    text = (
        "If the classes come from different hospitals, devices or collections, a network can learn these differences "
        "instead of what is visible in the body. A test split from the same places does not show this (DeGrave, "
        f"Janizek and Lee, Nature Machine Intelligence 3, 2021). {hint}"
    )
    return ("Source of the images.", text)
