"""The sections of an evaluation's page that show images: those that are misclassified, and strange ones."""

from __future__ import annotations

from collections.abc import Sequence

from featx.evaluations.result import EvaluatedImage, Evaluation
from featx.pages import Block, Gallery, Picture, Section, Table, Text, missing_note, thumbnails
from featx.text import LABEL_SEPARATOR, count, decimal, images

# Images on the page, every one adds about 6 kB, and those that are seen at first: a row on wide screens.
SHOWN, OPEN = 24, 4
# Classes whose probabilities are shown for each of them.
SHOWN_CLASSES = 3
MOST_COPIES = 50
NO_LABEL = "no label"


def wrong_section(result: Evaluation) -> Section:
    """Return the section of images whose class, or a label of which, is wrong."""
    wrong = result.misclassified
    kind = "with a wrong label" if result.multilabel else "misclassified"
    caption = f"{count(len(wrong))} of {images(result.n, result.which)} {kind}"
    title = "Wrongly predicted images" if result.multilabel else "Misclassified images"
    if not wrong:
        return Section(title, "errors", (Text(f"{caption}."),))
    return Section(
        title, "errors", _gallery(result, wrong, f"{caption}, the highest probability of a wrong class first")
    )


def _gallery(result: Evaluation, chosen: Sequence[EvaluatedImage], caption: str) -> tuple[Block, ...]:
    shown = chosen[:SHOWN]
    capped = "" if len(shown) == len(chosen) else f" The first {len(shown)} are shown."
    uris = thumbnails(
        [image.file for image in shown],
        [image.digest for image in shown],
        "images of the page",
        [image.pixels for image in shown],
    )
    pictures = tuple(
        Picture(uri, image.path, _title(result, image), _shares(result, image), image.label)
        for image, uri in zip(shown, uris, strict=True)
    )
    return Gallery(f"{caption}.{capped}", pictures, OPEN), *missing_note(uris, "listed")


def _title(result: Evaluation, image: EvaluatedImage) -> str:
    if result.multilabel:
        label, predicted = (
            text.replace(LABEL_SEPARATOR, ", ") or NO_LABEL for text in (image.label, image.predicted)
        )
        return f"{label}; predicted: {predicted}"
    if image.correct:
        return f"{image.label}, predicted so"
    return f"{image.label}, predicted as {image.predicted}"


def _shares(result: Evaluation, image: EvaluatedImage) -> tuple[tuple[str, float], ...]:
    """Return the largest probabilities, and that of the true class."""
    shares = sorted(zip(result.classes, image.probabilities, strict=True), key=lambda pair: -pair[1])
    listed = shares[:SHOWN_CLASSES]
    own = [pair for pair in shares if pair[0] == image.label]
    return tuple(listed if not own or own[0] in listed else [*listed[:-1], own[0]])


def atypical_section(result: Evaluation) -> tuple[Section, ...]:
    """Return the section of images outside what the training images span, if that is known, and of copies."""
    blocks: list[Block] = []
    if result.atypical_p is not None:
        blocks.append(Text(result.atypical_words()))
        if result.atypical:
            caption = f"{images(len(result.atypical))} outside, those that lie farthest outside first"
            blocks += _gallery(result, result.atypical, caption)
    if result.copies:
        rows = tuple(
            (path, copy.training, decimal(copy.cosine), decimal(copy.correlation), copy.how or "as it is")
            for path, copy in result.copies[:MOST_COPIES]
        )
        header = ("image", "training image", "cosine", "correlation", "how")
        caption = "Copies of training images: the cosine of their features, and the correlation of small grey copies."
        blocks += [Text(result.copies_words()), Table(caption, header, rows, words=frozenset({1, 4}))]
    title = "Beside the training images"
    return (Section(title, "training", tuple(blocks)),) if blocks else ()
