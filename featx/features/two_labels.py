"""Images with the same bytes under two labels, of which one at least is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from featx.data import SURVEY
from featx.errors import UntrustedError
from featx.features.hashing import Image
from featx.features.table import FeatureTable

log = logging.getLogger("featx")


def warn_of_two_labels(images: Iterable[Image]) -> None:
    """Warn of images whose bytes are there under two labels or more."""
    images = list(images)
    pairs = _contradictions(
        [image.digest for image in images],
        [image.item.label for image in images],
        [image.item.targets for image in images],
    )
    if pairs:
        one, two = (images[number].item for number in pairs[0])
        which = ["" if item.label is None else f", which is {item.label}," for item in (one, two)]
        log.warning(
            "Images are there under two labels (%d), such as %s%s and %s%s; keep one of each.",
            len(pairs),
            one.id,
            which[0],
            two.id,
            which[1].rstrip(","),
            extra={"subject": SURVEY},
        )


def refuse_two_labels(images: Sequence[Image] | FeatureTable) -> None:
    """Refuse images, or their rows, whose bytes are there under two labels or more.

    Raises:
        UntrustedError: There are some; the message counts them and names two with their labels.
    """
    ids: Sequence[str]
    digests: Sequence[str]
    labels: Sequence[str | None]
    targets: Sequence[Sequence[float] | None]
    if isinstance(images, FeatureTable):
        ids, digests, labels = images.ids, images.digests, images.labels
        targets = (None,) * len(ids) if images.targets is None else images.targets.tolist()
        names: Sequence[str] = images.label_names
    else:
        ids = [image.item.id for image in images]
        digests, labels = [image.digest for image in images], [image.item.label for image in images]
        targets, names = [image.item.targets for image in images], ()
    pairs = _contradictions(digests, labels, targets)
    if not pairs:
        return
    a, b = pairs[0]
    if labels[a] is not None:
        example = f"{ids[a]} is {labels[a]} and {ids[b]} is {labels[b]}"
    else:
        place = next(place for place, both in enumerate(_both(targets[a], targets[b])) if both == {0.0, 1.0})
        what = f"the label {names[place]}" if names else "one label"
        example = f"{ids[a]} and {ids[b]} contradict each other in {what}"
    raise UntrustedError(
        f"Expected one label for images with the same bytes, but {len(pairs)} "
        f"{'image is' if len(pairs) == 1 else 'images are'} there under two: {example}; results on such labels "
        "cannot be trusted, so find out which label is right and remove the other file, or remove both."
    )


def _contradictions(
    digests: Sequence[str], labels: Sequence[str | None], targets: Sequence[Sequence[float] | None]
) -> list[tuple[int, int]]:
    """Return the numbers of two images with other labels for each digest that has such images."""
    first: dict[str, int] = {}
    pairs: dict[str, tuple[int, int]] = {}
    for number, digest in enumerate(digests):
        if labels[number] is None and targets[number] is None:
            continue
        other = first.setdefault(digest, number)
        contradict = any(both == {0.0, 1.0} for both in _both(targets[other], targets[number]))
        if labels[other] != labels[number] or contradict:
            pairs.setdefault(digest, (other, number))
    return list(pairs.values())


def _both(one: Sequence[float] | None, two: Sequence[float] | None) -> list[set[float]]:
    """Return for each label what two images say of it: that it is there, that it is not, or nothing."""
    return [{a, b} for a, b in zip(one or (), two or (), strict=False)]
