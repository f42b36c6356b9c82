"""The page of predictions: each image beside the training images that are nearest to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import featx
from featx.novelty import OUTSIDE
from featx.pages import Block, Gallery, Note, Page, Picture, Section, Text, missing_note, thumbnails
from featx.prediction.predicted import Prediction, typicality_text
from featx.searching import Neighbour, cosine_text
from featx.text import count, images

# Thumbnails on a page: more make a file of over 20 MB.
MOST_PICTURES = 2000
# Probabilities below an image.
MOST_SHARES = 6

TYPICALITY = (
    "The typicality of an image is the percentage of held-out training images that lie at least as far from the "
    "other training images as it does: 100 for an image that is closer than any of them, 0 for one that is farther. "
    f"Below {OUTSIDE:g} an image is outside what the training images span, and its probabilities mean little. A high "
    "typicality does not mean that the prediction is right."
)
NEIGHBOURS = (
    "The nearest training images are nearest in the features of the frozen network, which was not trained with the "
    "classes. They are evidence to look at, not what the prediction was made from."
)


def prediction_page(title: str, headline: str, rows: Sequence[Prediction], training_images: int) -> Page:
    """Return the page of predictions; of more pictures than fit onto one, those outside and then the first images.

    Args:
        title: The page's title.
        headline: What was predicted, in a sentence.
        rows: The predictions.
        training_images: Number of training images with which images were compared; 0 if they were not.
    """
    each = 1 + max((len(row.neighbours) for row in rows), default=0)
    most = max(1, MOST_PICTURES // each)
    outside = tuple(row for row in rows if row.outside)[:most]
    inside = tuple(row for row in rows if not row.outside)[: most - len(outside)]
    shown = (*outside, *inside)
    uris = _pictures(shown)
    sections = (
        *([_section("Outside what the training images span", "outside", outside, uris)] if outside else []),
        *([_section("Images", "images", inside, uris)] if inside else []),
        Section("How to read this page", "reading", tuple(map(Text, _reading(shown, training_images)))),
    )
    return Page(
        title=title,
        headline=(headline,),
        sections=sections,
        footer=(
            f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by featx {featx.__version__}. This page is a single "
            "file and loads nothing from the internet.",
            "It contains small copies of images and file names. Check that you may share them before you pass it on.",
        ),
        notes=tuple(_notes(rows, len(shown), uris)),
        sort="featx predict",
    )


def _section(title: str, name: str, rows: Sequence[Prediction], uris: Mapping[str, str | None]) -> Section:
    blocks: list[Block] = []
    for row in rows:
        pictures = (_picture(row, uris), *(_near(rank, near, uris) for rank, near in enumerate(row.neighbours, 1)))
        blocks.append(Gallery(_caption(row), pictures, len(pictures)))
    return Section(title, name, tuple(blocks))


def _caption(row: Prediction) -> str:
    typical = "" if row.typicality is None else f": typicality {typicality_text(row.typicality)}"
    return f"{row.path}{typical}"


def _picture(row: Prediction, uris: Mapping[str, str | None]) -> Picture:
    shares = sorted(row.probabilities.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_SHARES]
    title = f"predicted {row.words or 'no label'}"
    # The bar of this class is not drawn as that of a wrong one.
    own = row.true_label or row.label or ""
    return Picture(uris.get(row.digest), row.path, title, tuple(shares), own)


def _near(rank: int, near: Neighbour, uris: Mapping[str, str | None]) -> Picture:
    label = f"{near.label}, " if near.label else ""
    same = ", the same file" if near.same_file else ""
    return Picture(uris.get(near.digest), near.path, f"{rank}. {label}cosine {cosine_text(near.cosine)}{same}")


def _reading(rows: Sequence[Prediction], training_images: int) -> list[str]:
    texts = []
    if training_images:
        texts.append(f"Images were compared with {images(training_images, 'training')}. {TYPICALITY}")
    else:
        texts.append("How typical these images are of the training images is not known.")
    if any(row.neighbours for row in rows):
        texts.append(NEIGHBOURS)
    return texts


def _notes(rows: Sequence[Prediction], shown: int, uris: Mapping[str, str | None]) -> list[Note]:
    notes = []
    if outside := sum(row.outside for row in rows):
        lie = "lies" if outside == 1 else "lie"
        text = f"{count(outside)} of {images(len(rows))} {lie} outside what the training images span."
        notes.append(Note(f"{text} What is predicted there means little.", loud=True))
    if shown < len(rows):
        before = ", those outside before the others" if outside else ""
        notes.append(Note(f"Only {count(shown)} of {images(len(rows))} are shown{before}."))
    return [*notes, *missing_note(list(uris.values()), "of the")]


def _pictures(rows: Sequence[Prediction]) -> dict[str, str | None]:
    """Return the thumbnail of each image by its digest; None where its file is gone or has changed."""
    wanted: dict[str, Prediction | Neighbour] = {}
    for row in rows:
        several: list[Prediction | Neighbour] = [row, *row.neighbours]
        for image in several:
            if image.file is not None or image.pixels is not None:
                wanted.setdefault(image.digest, image)
    files = [image.file or Path() for image in wanted.values()]
    pixels = [image.pixels for image in wanted.values()]
    return dict(zip(wanted, thumbnails(files, list(wanted), "thumbnails", pixels), strict=True))
