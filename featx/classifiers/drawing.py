"""Pictures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.classifiers.comparison import Comparison
from featx.files import write_file
from featx.stats import BINS, calibration_error, confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCORES = ("comparison.png", "comparison.svg")
CONFUSION = "confusion.png"
ROC = "roc.png"
CALIBRATION = "calibration.png"
PANEL_INCHES = 4.5

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class ShownImages:
    """The images whose predictions the pictures show.

    Attributes:
        words: Such as `36 test images`.
        y: (n,) class numbers.
        predicted: (n, classes) probabilities by classifier.
    """

    words: str
    y: NDArray[np.int64]
    predicted: dict[str, Probabilities]


# Draws one classifier: images, its name, its probabilities, the classes, where to draw.
Panel = Callable[[ShownImages, str, Probabilities, Sequence[str], "Axes"], None]


def write_pictures(comparison: Comparison, out: str | Path) -> tuple[Path, ...]:
    """Draw a comparison.

    `comparison.png` and `.svg` show the accuracies with their intervals, `confusion.png` a confusion matrix for each
    classifier, `roc.png` and `calibration.png` the best classifier and a run's head. They show the test images, or
    without any the held-out images of the first repeat.

    Returns:
        The files.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = Path(out)
    title = f"{comparison.name}, {comparison.layer} features"
    if comparison.layer == "penultimate":
        title += "\n(trust only the test images: the head was trained with the labels of the others)"
    scores = plots.draw_scores(comparison.score_rows(), title)
    images = _shown_images(comparison)
    matrices = _confusion_matrices(comparison, images)
    files = [write_file(folder / name, lambda draft: plots.save(scores, draft)) for name in SCORES]
    files.append(write_file(folder / CONFUSION, lambda draft: plots.save(matrices, draft)))
    for name, draw in ((ROC, _roc), (CALIBRATION, _calibration)):
        files.append(_write_panels(folder / name, comparison, images, draw))
    return tuple(files)


def _shown_images(comparison: Comparison) -> ShownImages:
    rows = comparison.rows
    if len(comparison.y_test):
        tested = {row.name: row.test_probabilities for row in rows if row.test_probabilities is not None}
        return ShownImages(f"{len(comparison.y_test)} test images", comparison.y_test, tested)
    held_out = {row.name: row.cv_probabilities[0] for row in rows if row.cv_probabilities is not None}
    return ShownImages(f"{len(comparison.y_train)} held-out images", comparison.y_train, held_out)


def _confusion_matrices(comparison: Comparison, images: ShownImages) -> Axes:
    once = np.ones((1, len(images.y)))
    counts = [confusion_matrix(images.y, P, once)[0].astype(np.int64) for P in images.predicted.values()]
    titles = [
        f"{name}\n{np.trace(matrix)} of {len(images.y)} correct"
        for name, matrix in zip(images.predicted, counts, strict=True)
    ]
    return plots.draw_confusions(counts, titles, comparison.classes)


def _write_panels(path: Path, comparison: Comparison, images: ShownImages, draw: Panel) -> Path:
    """Draw the best classifier and, next to it, the run's head."""
    shown = {name: P for name, P in images.predicted.items() if name in (comparison.best, "head")}
    _, panels = plots.new_figure(PANEL_INCHES * len(shown), PANEL_INCHES, columns=len(shown))
    panels = np.ravel(panels)
    for (name, P), axes in zip(shown.items(), panels, strict=True):
        draw(images, name, P, comparison.classes, axes)
    return write_file(path, lambda draft: plots.save(panels[0], draft))


def _roc(images: ShownImages, name: str, P: Probabilities, classes: Sequence[str], axes: Axes) -> None:
    plots.draw_roc(images.y, P, classes, f"{name}, {images.words}", axes)


def _calibration(images: ShownImages, name: str, P: Probabilities, classes: Sequence[str], axes: Axes) -> None:
    error = calibration_error(images.y, P, np.ones((1, len(images.y))))[0]
    title = f"{name}, {images.words}\nexpected calibration error {error:.2f}"
    plots.draw_reliability(images.y, P, title, BINS, axes)
