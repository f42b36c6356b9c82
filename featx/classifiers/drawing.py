"""Pictures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.classifiers.comparison import Comparison
from featx.classifiers.label_scores import label_calibration_error
from featx.classifiers.models import title_of
from featx.stats import BINS, ClassMetrics, LabelMetrics, calibration_error, classification_metrics, label_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Probabilities = NDArray[np.float64]

# Of one label for each image there is the one, of several the other.
EITHER = ("confusion.png", "labels.png")


@dataclass(frozen=True)
class ShownImages:
    """The images that the pictures show: in words, classes or targets, groups, probabilities by classifier."""

    words: str
    y: NDArray[Any]
    groups: Sequence[str]
    predicted: dict[str, Probabilities]


def write_pictures(comparison: Comparison, out: str | Path) -> tuple[Path, ...]:
    """Draw a comparison.

    `comparison.png` and `.svg` show the accuracies with their intervals, `confusion.png` a confusion matrix for each
    classifier, `roc.png` and `calibration.png` the best classifier and a run's head. They show the test images, or
    without any the held-out images of the first repeat. With several labels for each image there is no confusion
    matrix, but `labels.png`: the area under the ROC curve of each label.

    A picture that cannot be drawn or written is left out with a notice.

    Returns:
        The files that were written.
    """
    title = f"{comparison.name}, {comparison.layer} features"
    if comparison.layer == "penultimate":
        title += "\n(trust only the test images: the head was trained with the labels of the others)"
    images = _shown_images(comparison)
    pictures: dict[tuple[str, ...], Callable[[], Axes]] = {
        ("comparison.png", "comparison.svg"): lambda: plots.draw_scores(
            comparison.score_rows(), title, measure=comparison.measure_title
        ),
        ("labels.png",) if comparison.multilabel else ("confusion.png",): lambda: (
            _areas_by_label(comparison, images) if comparison.multilabel else _confusion_matrices(comparison, images)
        ),
        ("roc.png",): lambda: _roc_curves(comparison, images),
        ("calibration.png",): lambda: _calibration(comparison, images),
    }
    folder = Path(out)
    plots.remove_files([folder / name for name in (*(name for names in pictures for name in names), *EITHER)])
    files = [plots.draw_files([folder / name for name in names], draw) for names, draw in pictures.items()]
    return tuple(path for written in files for path in written)


def _shown_images(comparison: Comparison) -> ShownImages:
    rows = comparison.rows
    if comparison.test is not None:
        tested = {row.name: row.test_probabilities for row in rows if row.test_probabilities is not None}
        groups = comparison.test.group_ids()
        return ShownImages(f"{len(comparison.y_test)} test images", comparison.y_test, groups, tested)
    held_out = {row.name: row.cv_probabilities[0] for row in rows if row.cv_probabilities is not None}
    groups = comparison.train.group_ids()
    return ShownImages(f"{len(comparison.y_train)} held-out images", comparison.y_train, groups, held_out)


def _confusion_matrices(comparison: Comparison, images: ShownImages) -> Axes:
    k = len(comparison.classes)
    counts = [plots.confusion_counts(images.y, P.argmax(axis=1), k) for P in images.predicted.values()]
    titles = [
        f"{title_of(name)}\n{matrix.diagonal().sum()} of {len(images.y)} correct"
        for name, matrix in zip(images.predicted, counts, strict=True)
    ]
    return plots.draw_confusions(counts, titles, comparison.classes, f"{comparison.name}, {images.words}")


def _areas_by_label(comparison: Comparison, images: ShownImages) -> Axes:
    """Draw the area of each label, one panel for the best classifier and one for a run's head."""
    shown = [row for row in comparison.rows if row.name in (comparison.best, "head")]
    _, panels = plots.new_figure(6.2 * len(shown), 1.5 + 0.42 * len(comparison.classes), columns=len(shown))
    for row, axes in zip(shown, np.ravel(panels), strict=True):
        areas = [None if each.auc is None else (each.auc.value, *each.auc.interval) for each in row.per_label]
        parts = [
            plots.ScoreRow(each.label, *((None, area) if comparison.test is not None else (area, None)))
            for each, area in zip(row.per_label, areas, strict=True)
        ]
        plots.draw_scores(parts, f"{row.title}, {images.words}", axes, measure="area under the ROC curve")
    first: Axes = np.ravel(panels)[0]
    return first


def _roc_curves(comparison: Comparison, images: ShownImages) -> Axes:
    panels = _panels(comparison, images)
    for title, P, axes in panels:
        metrics: Sequence[ClassMetrics | LabelMetrics]
        if comparison.multilabel:
            metrics = label_metrics(comparison.classes, P, images.y, images.groups)
        else:
            metrics = classification_metrics(comparison.classes, images.y, P, images.groups).per_class
        intervals = {one.label: one.auc.interval for one in metrics if one.auc is not None}
        plots.draw_roc(images.y, P, comparison.classes, title, axes, intervals=intervals)
    return panels[0][2]


def _calibration(comparison: Comparison, images: ShownImages) -> Axes:
    panels = _panels(comparison, images)
    for title, P, axes in panels:
        if comparison.multilabel:
            error = label_calibration_error(images.y, P)
        else:
            error = float(calibration_error(images.y, P, np.ones((1, len(images.y))))[0])
        words = f"{title}\nexpected calibration error {error:.2f}"
        plots.draw_reliability(images.y, P, words, BINS, axes, legend=False, groups=images.groups)
    axes = panels[0][2]
    handles = {
        name: handle for _, _, ax in panels for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.legend(handles.values(), handles.keys(), frameon=False, loc="outside lower center", ncols=3)
    return axes


def _panels(comparison: Comparison, images: ShownImages) -> list[tuple[str, Probabilities, Axes]]:
    """Return title, probabilities and axes for the best classifier and, next to it, the run's head."""
    shown = {name: P for name, P in images.predicted.items() if name in (comparison.best, "head")}
    _, panels = plots.new_figure(4.5 * len(shown), 4.8, columns=len(shown))
    titles = [f"{title_of(name)}, {images.words}" for name in shown]
    return list(zip(titles, shown.values(), np.ravel(panels), strict=True))
