"""The report's section on what numbers such as its own cannot show, as far as the data tells."""

from __future__ import annotations

from collections import Counter

from featx.pipeline.report_data import Told
from featx.pipeline.report_model import has_random_weights
from featx.pipeline.report_results import score_of
from featx.report_blocks import Points, Section
from featx.report_numbers import images, percent, span
from featx.stats import wilson

# Below it a class's share has an interval wider than 33 points around one half (Wilson).
FEW = 30


def limits_section(told: Told, anchor: str | None = None) -> Section:
    """Return the section.

    Args:
        told: The run; of several the one with the fewest test images.
        anchor: The section's id, if it is not the run's own.
    """
    items = [*_sample(told), _groups(told), _sources(told), *_always()]
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


def _groups(told: Told) -> tuple[str, str]:
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
