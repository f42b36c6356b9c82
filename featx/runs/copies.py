"""Copies of training images among the images that a head is scored on, in all but their bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates import Copies, Pair, find_copies, projected
from featx.errors import UntrustedError
from featx.features import Extraction, Image
from featx.heads import HeadFit, groups_of, label_array
from featx.previews import Previews, previews_of
from featx.runs.writing import Logits
from featx.stats import Score, score
from featx.text import count, percent
from featx.text import images as images_in_words

log = logging.getLogger("featx")

ROWS_AT_ONCE = 256
# The images that scores are of, and those that they should have nothing in common with.
_EARLIER = {"test": ("train", "val"), "val": ("train",)}
WAYS = "featx audit shows all pairs, and --strict refuses such data."
_WORDS = {"test": "test", "val": "validation"}


@dataclass(frozen=True)
class CopiedImages:
    """The images of a split that are copies of images for training.

    Attributes:
        split: `test`, or `val` for data without test images.
        n: Number of images in the split.
        ids: The images that are copies.
        example: The most alike pair, in words.
        searched: False if there are too many images to look for copies.
    """

    split: str
    n: int
    ids: frozenset[str] = frozenset()
    example: str = ""
    searched: bool = True

    def sentence(self) -> str:
        """Return how many images are copies, with an example."""
        n = len(self.ids)
        return (
            f"{count(n)} of {count(self.n)} {_WORDS[self.split]} images {'is a copy' if n == 1 else 'are copies'} of "
            f"training images in all but the bytes, such as {self.example}"
        )


@dataclass(frozen=True)
class CopiedScore:
    """What copies of training images do to a score.

    Attributes:
        copied: The copies.
        score: The score of all images; None where `rest` is.
        rest: That of the images that are no copies; None if there are no copies, or nothing else.
    """

    copied: CopiedImages
    score: Score | None = None
    rest: Score | None = None

    def to_json(self) -> dict[str, Any]:
        """Return `duplicates` and, where there are some, `without_duplicates`; nothing where none were looked for."""
        if not self.copied.searched:
            return {}
        without = {} if self.rest is None else {"without_duplicates": self.rest.to_json()}
        return {"duplicates": len(self.copied.ids), **without}

    def overview(self) -> list[tuple[str, str]]:
        """Return a row with the score without copies, if there are some."""
        return [] if self.rest is None else [("without copies", str(self.rest))]

    def warn(self) -> None:
        """Warn of copies, and say what the accuracy is with them and without."""
        if not self.copied.ids:
            return
        what = "there are no others"
        if self.score is not None and self.rest is not None:
            what = (
                f"the accuracy is {percent(self.score.accuracy)} with them and {percent(self.rest.accuracy)} on the "
                f"{images_in_words(self.rest.n)} without"
            )
        sentence = self.copied.sentence()
        log.warning("%s%s; %s. %s", sentence[0].upper(), sentence[1:], what, WAYS)


def copied_images(extraction: Extraction) -> CopiedImages | None:
    """Return the copies among the test images, or, of data without these, among those of the split `val`.

    None if there are neither. Of more than a thousand images, only those are decoded whose features are near those of
    another; and each only once, because small copies of images are kept in the cache.
    """
    split = next((name for name in _EARLIER if extraction.select(name)), None)
    if split is None:
        return None
    images = sorted(extraction.images, key=lambda image: (image.digest, image.item.id))
    splits = np.array([image.item.split for image in images])
    new, old = np.flatnonzero(splits == split), np.flatnonzero(np.isin(splits, _EARLIER[split]))
    chunks = extraction.view_rows(images).chunks(ROWS_AT_ONCE)
    rows = projected(chunks, extraction.dim)
    digests = [image.digest for image in images]
    found: Copies = find_copies(rows, digests, _previews(extraction, images), between=(new, old))
    if not found.pairs:
        return CopiedImages(split, len(new), searched=found.searched)
    members = set(new.tolist())
    ids = {images[pair.a if pair.a in members else pair.b].item.id for pair in found.pairs}
    return CopiedImages(split, len(new), frozenset(ids), _in_words(found.pairs[0], images, members))


def _previews(extraction: Extraction, images: Sequence[Image]) -> Callable[[NDArray[np.int64]], Previews]:
    def previews(numbers: NDArray[np.int64]) -> Previews:
        chosen = [images[number] for number in numbers]
        return previews_of(
            [image.item.path for image in chosen],
            [image.digest for image in chosen],
            extraction.spec,
            extraction.store,
            [image.item.pixels for image in chosen],
        )

    return previews


def _in_words(pair: Pair, images: Sequence[Image], new: set[int]) -> str:
    """Return `a of b (mirrored, correlation 0.998)`."""
    a, b = (pair.a, pair.b) if pair.a in new else (pair.b, pair.a)
    how = f"{pair.how}, " if pair.how else ""
    return f"{images[a].item.id} of {images[b].item.id} ({how}correlation {pair.correlation:.3f})"


def refuse_copied(copied: CopiedImages | None) -> None:
    """Refuse data with copies of training images among those that are scored.

    Raises:
        UntrustedError: There are some; the message counts them and names a pair.
    """
    if copied is not None and copied.ids:
        raise UntrustedError(
            f"Expected no copy of a training image among those that are scored, but {copied.sentence()}; remove one "
            "of each pair or give both one group, or leave out --strict; featx audit shows all pairs."
        )


def score_without(copied: CopiedImages | None, fit: HeadFit, logits: Logits) -> CopiedScore | None:
    """Return the copies with the scores of all images and of those that are no copies; None for None."""
    if copied is None:
        return None
    role = "test" if copied.split == "test" else "validation"
    images = vars(fit.images)[role]
    kept = np.array([image.item.id not in copied.ids for image in images], bool)
    rest = [image for image, stays in zip(images, kept, strict=True) if stays]
    if not copied.ids or not rest:
        return CopiedScore(copied)
    labels = label_array(rest, fit.extraction.dataset)
    return CopiedScore(copied, fit.scores(logits)[role], score(logits[role][kept], labels, groups_of(rest)))
