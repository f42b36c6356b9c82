"""The check of an exported file: on images, it must give the probabilities of `predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data import ImageFiles, read_paths
from featx.errors import ImageError, UntrustedError, UsageError
from featx.features import Extraction, Image
from featx.images import content_digest, decode, read_bytes
from featx.progress import report_progress
from featx.runs import HeadModel, Model, Run

MOST = 64
# The largest difference of a probability. Engines differ by about 1e-5; what is wrong differs by far more.
TOLERANCE = 1e-3
# Two classes whose probabilities differ by less are equally probable; rounding decides which of them is first.
TIE = 1e-6

Session = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


@dataclass(frozen=True)
class Check:
    """What a check gave: the number of images, and the largest difference of a probability on them."""

    images: int
    largest_difference: float


def images_to_check(model: Model, data: Path | None, cache: str | Path) -> list[Path]:
    """Return the files of at most 64 images: the test images, or else all, of `data`; or the run's own test images.

    A run without test images has those held out for validation, or else those it was trained on.

    Raises:
        UsageError: The run's images are not where they were, or a saved classifier does not say where they are.
        DataError: `data` is not a folder, a file or a manifest of images.
    """
    if data is not None:
        tests = data / "test"
        items = read_paths([tests if tests.is_dir() else data], cache=cache).items
        tested = [item for item in items if item.split == "test"] or items
        places = np.unique(np.linspace(0, len(tested) - 1, min(MOST, len(tested))).astype(int))
        return [tested[place].path for place in places]
    if isinstance(model, HeadModel):
        return _of_run(model.run, Path(cache))
    raise UsageError(
        "Expected images to check the file on, since a saved classifier does not say where its own are; name a "
        "folder or manifest of images with --data."
    )


def _of_run(run: Run, cache: Path) -> list[Path]:
    root = Path(run.manifest["data"]["root"])
    files = ImageFiles(root, cache)
    roles = {image.role for image in run.images}
    role = next(name for name in ("test", "validation", "fit") if name in roles)
    found = []
    for image in sorted((one for one in run.images if one.role == role), key=lambda one: (one.digest, one.path)):
        path = files.path(image.path)
        try:
            content = read_bytes(path, image.path)
        except ImageError:
            continue
        if content_digest(content) == image.digest:
            found.append(path)
        if len(found) == MOST:
            break
    if not found:
        raise UsageError(
            f"Expected the run's own images in {root}, to check the file on them, but they are not there any more; "
            "name the folder or manifest in which they are now, or other images, with --data."
        )
    return found


def check(session: Session, model: Model, extraction: Extraction) -> Check:
    """Compare an exported file with `predict` on images.

    Args:
        session: Gives the file's probabilities for an image.
        model: The run's head or the saved classifier.
        extraction: The features of the images.

    Raises:
        UntrustedError: A class or a probability is another.
        ImageError: An image cannot be read any more.
    """
    images = list(extraction.images)
    expected = model.probabilities(extraction.view_rows(images))
    received = _received(session, images)
    differences = np.abs(received - expected).max(axis=1)
    # Written so that a probability that is not a number is wrong, too.
    right = differences <= TOLERANCE
    if not model.multilabel:
        of_its_class = np.take_along_axis(expected, received.argmax(axis=1)[:, None], axis=1)[:, 0]
        right &= of_its_class >= expected.max(axis=1) - TIE
    wrong = np.flatnonzero(~right)
    if wrong.size:
        first = wrong[0]
        raise UntrustedError(
            f"Expected the classes of featx predict from the exported file, and its probabilities within "
            f"{TOLERANCE:g}, but they differ on {wrong.size} of {len(images)} images, on {images[first].item.id} by "
            f"{differences[first]:.2g}; nothing was written, so try the other --format, or another network."
        )
    return Check(len(images), float(differences.max()))


def _received(session: Session, images: Sequence[Image]) -> NDArray[np.float64]:
    rows = []
    for image in images:
        path, name = image.item.path, image.item.id
        rows.append(session(decode(read_bytes(path, name), name)))
        report_progress("checking", len(rows), len(images))
    return np.stack(rows)
