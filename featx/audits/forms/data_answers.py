"""Answers on the data: their source and numbers, how they were divided, what is missing, and what they are like."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from featx.audits.columns.values import ColumnValues, divide_columns
from featx.audits.forms.subject import PARTS, Subject, digest_words, joined, number_of
from featx.text import count, images, percent

# Further columns that are described, and values of each.
COLUMNS, VALUES = 12, 8
CLASSES = 20


def source(subject: Subject) -> str:
    """Name the folder or manifest, and the digest."""
    data = subject.run.manifest["data"]
    name = PurePath(str(data["root"]).replace("\\", "/")).name or "the data"
    return (
        f"The folder or manifest of the data is called {name} (SHA-256 of images and labels: {digest_words(data)})."
    )


def counts(subject: Subject) -> str:
    """Give the numbers of images, and of groups, of each part."""
    return f"{images(subject.audit.n)}{_groups(subject, np.ones(subject.audit.n, bool))}: {_by_part(subject)}."


def roles(subject: Subject) -> str:
    """Give the numbers of images of each analysis."""
    analyses = {
        "fit": "fitting the head",
        "validation": "choosing the epoch and the temperature",
        "test": "evaluation",
    }
    return f"Images of each analysis: {_by_part(subject, analyses)}."


def _by_part(subject: Subject, names: dict[str, str] = PARTS) -> str:
    parts = []
    for role in subject.used:
        mask = subject.roles == role
        parts.append(f"{names[role]} {count(int(mask.sum()))}{_groups(subject, mask)} ({_by_class(subject, mask)})")
    return "; ".join(parts)


def _groups(subject: Subject, mask: NDArray[np.bool_]) -> str:
    if not subject.named_groups:
        return ""
    return f" in {count(len(set(subject.audit.data.groups[mask].tolist())))} groups"


def _by_class(subject: Subject, mask: NDArray[np.bool_]) -> str:
    data, classes = subject.audit.data, subject.run.classes
    targets = data.source.table.targets
    if targets is not None:
        there = np.nansum(targets[mask] == 1, axis=0).tolist()
        counted = dict(zip(data.classes, there, strict=True))
    else:
        counted = Counter(data.classes[number] for number in data.y[mask].tolist() if number >= 0)
    shown = [f"{name} {count(int(counted.get(name, 0)))}" for name in classes[:CLASSES]]
    return ", ".join(shown) + (f", and {len(classes) - CLASSES} more classes" if len(classes) > CLASSES else "")


def given_splits(subject: Subject) -> bool:
    """Tell whether the data themselves say which images are for testing or tuning."""
    splits = set(subject.audit.data.source.table.splits)
    return "val" in splits or ("test" in splits and not subject.run.manifest["data"].get("test"))


def split(subject: Subject) -> str:
    """Say how images came into the parts."""
    sentences = []
    held = subject.run.manifest["data"].get("test")
    whole = "by class, with whole groups together" if subject.named_groups else "by class"
    if held:
        sentences.append(
            f"featx set {percent(float(held['share']), 0)} of the images aside for testing, at random {whole} "
            f"(stratified, seed {held['seed']})."
        )
    elif "test" in subject.used:
        sentences.append("The test images are a split that the data give.")
    else:
        sentences.append("There are no test images.")
    fit = subject.run.recipe.fit
    if "val" in subject.audit.data.source.table.splits:
        sentences.append("The images for tuning are a split that the data give.")
    elif "validation" in subject.used:
        sentences.append(
            f"Of the other images featx held {percent(fit.validation, 0)} out for tuning, at random {whole} "
            f"(stratified, seed {fit.seed})."
        )
    else:
        sentences.append("No images were held out for tuning.")
    return " ".join(sentences)


def disjoint(subject: Subject) -> str:
    """Say what the parts share."""
    data = subject.audit.data
    copied = _in_several(subject, np.unique(np.asarray(data.source.table.digests), return_inverse=True)[1])
    same = (
        "No two parts share an image with the same bytes"
        if not copied
        else f"{number_of(copied, 'image is', 'images are')} in more than one part with the same bytes"
    )
    if not subject.named_groups:
        return f"The parts are disjoint by image, for the data name no groups such as patients. {same}."
    number = len(set(data.groups.tolist()))
    shared = _in_several(subject, data.groups)
    level = (
        f"The parts are disjoint by group, such as the patient, as the data name them: none of {count(number)} "
        "groups is in more than one part"
        if not shared
        else f"{count(shared)} of {count(number)} groups are in more than one part"
    )
    return f"{level}. {same}."


def _in_several(subject: Subject, groups: NDArray[np.int64]) -> int:
    """Return how many groups have images in more than one part."""
    pairs = set(zip(groups.tolist(), subject.roles.tolist(), strict=True))
    return sum(number > 1 for number in Counter(group for group, _ in pairs).values())


def failed(subject: Subject) -> str:
    """Say how many images could not be read."""
    number = len(subject.run.metrics.get("failed") or [])
    if not number:
        return f"featx could read all {images(subject.audit.n)} of the data and left none out."
    return f"featx left {images(number)} out, because they could not be read."


def missing(subject: Subject) -> str:
    """Say what is missing, and what that does."""
    targets = subject.audit.data.source.table.targets
    if targets is not None:
        unknown = int(np.sum(~np.isfinite(targets)))
        labels = (
            f"{number_of(unknown, 'label of an image is', 'labels of images are')} unknown and left out of the "
            "loss and of all scores."
            if unknown
            else "Every label of every image is known."
        )
    else:
        labels = "Every image has a label."
    gaps = [f"{column.name} {count(column.missing)}" for column in _columns(subject)[0] if column.missing]
    empty = f" Images without a value in other columns: {', '.join(gaps)}." if gaps else ""
    return f"{labels} The model uses the image alone, so missing values of other columns change no prediction.{empty}"


def files(subject: Subject) -> str | None:
    """Describe the files, if the audit looked at them."""
    previews = vars(subject.audit.data).get("previews")
    if previews is None or not previews.there.any():
        return None
    formats = Counter(name for name, there in zip(previews.formats, previews.there, strict=True) if there)
    shown = ", ".join(f"{name or 'unknown'} {count(number)}" for name, number in sorted(formats.items()))
    sizes = []
    for name in ("width", "height"):
        values = previews.facts[name][previews.there]
        known = values[np.isfinite(values)]
        if len(known):
            median, low, high = np.median(known), known.min(), known.max()
            spread = f" in the median ({low:,.0f} to {high:,.0f})" if low < high else ""
            sizes.append(f"{name} {median:,.0f} pixels{spread}")
    return f"Formats of the files: {shown}; {', '.join(sizes)}."


def columns(subject: Subject) -> str | None:
    """Describe the images of each part by the further columns of the manifest."""
    divided, _ = _columns(subject)
    if not divided:
        return None
    shown = [f"{column.name}: {_described(subject, column)}" for column in divided[:COLUMNS]]
    return ". ".join(shown) + "."


def _columns(subject: Subject) -> tuple[tuple[ColumnValues, ...], dict[str, str]]:
    return divide_columns(subject.audit.data.source.table.extra)


def _described(subject: Subject, column: ColumnValues) -> str:
    parts = []
    for role in subject.used:
        mask = subject.roles == role
        if column.numbers is not None:
            known = column.numbers[mask & np.isfinite(column.numbers)]
            if not len(known):
                continue
            low, median, high = np.quantile(known, (0.25, 0.5, 0.75))
            words = f"median {median:g}, quartiles {low:g} and {high:g}"
        else:
            numbers = Counter(column.number[mask & (column.number >= 0)].tolist())
            words = ", ".join(f"{column.values[value]} {count(numbers[value])}" for value in sorted(numbers)[:VALUES])
        parts.append(f"{PARTS[role]} {words}")
    return "; ".join(parts)


def clusters(subject: Subject) -> str | None:
    """Say how groups of images were handled."""
    if not subject.audit.data.grouped:
        return None
    return (
        "Images of one group, such as a patient, were kept in one part, and intervals and tests take them together; "
        "the model has no parameters of clusters."
    )


def same_for_all(subject: Subject) -> str:
    """Say that all images are treated alike."""
    return "All images went through the same steps, whatever their class or group of people."


def same_source(subject: Subject) -> str:
    """Say how the parts differ, as far as is known."""
    return "Training and test images were read as one set of data and prepared in the same way."


def external(subject: Subject) -> str | None:
    """Say what a split of the same data can show."""
    if "test" not in subject.used:
        return "There are no test images in the run."
    return (
        "The test images are a part of the same set of data: they are an external test only if the data's split test "
        "comes from elsewhere."
    )


def factors(subject: Subject) -> str | None:
    """Name the columns by which accuracy is compared."""
    part = subject.subgroups
    return None if part is None else f"Accuracy is compared by {joined([one.column for one in part.results])}."
