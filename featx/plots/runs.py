"""A training run drawn on Axes: curves over epochs, the test results of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import COLOURS, new_figure
from featx.plots.letters import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The limit of names along the axis of a sweep's picture.
MOST_NAMES = 40
# A curve of more points is drawn by the lowest and the highest of each of as many stretches as half of this.
MOST_POINTS = 4000


def draw_training(
    accuracy: Sequence[float | None],
    val_accuracy: Sequence[float | None],
    loss: Sequence[float | None],
    val_loss: Sequence[float | None],
    best: int | None = None,
    *,
    dropout: bool = False,
    accuracy_label: str = "accuracy",
) -> Axes:
    """Draw accuracy and loss by epoch side by side in a new figure.

    Args:
        accuracy: Training accuracy of each epoch, 0 to 1, None or NaN where it is not known.
        val_accuracy: Validation accuracy of each epoch; None where there were no validation images.
        loss: Training loss in nats, likewise.
        val_loss: Validation loss in nats, likewise.
        best: The place, from 0, of the epoch with the lowest validation loss, which is marked; None to mark none.
        dropout: Whether training values were measured with dropout, which the legend says.
        accuracy_label: What the accuracy is the share of.

    Returns:
        The first Axes.
    """
    left: Axes
    figure, (left, right) = new_figure(9, 3.8, columns=2)
    draw_curve(accuracy, val_accuracy, accuracy_label, left, top=1.0, best=best, dropout=dropout, legend=False)
    draw_curve(loss, val_loss, "cross-entropy (nats)", right, best=best, dropout=dropout, legend=False)
    figure.legend(*right.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3)
    return left


def draw_curve(
    train: Sequence[float | None],
    validation: Sequence[float | None],
    ylabel: str,
    ax: Axes | None = None,
    *,
    top: float | None = None,
    best: int | None = None,
    dropout: bool = False,
    legend: bool = True,
) -> Axes:
    """Draw one quantity, which is at least 0, by epoch for training and validation; the first epoch is 1.

    Values that are not finite are gaps. Of very many epochs the lowest and the highest values are drawn.

    Args:
        train: One value an epoch.
        validation: One value an epoch, None if there were no validation images.
        ylabel: The quantity, with its unit.
        ax: Where to draw; by default the Axes of a new figure.
        top: The largest value that is possible; None if there is none.
        best: The place, from 0, of the epoch with the lowest validation loss, which is marked; None to mark none.
        dropout: Whether training values were measured with dropout, which the legend says.
        legend: Whether to add a legend below; several Axes side by side may share one.
    """
    from matplotlib.ticker import MaxNLocator

    axes: Axes = ax if ax is not None else new_figure(5, 4)[1]
    fitted, held_out = (
        np.array([np.nan if value is None else value for value in values], np.float64)
        for values in (train, validation)
    )
    axes.plot(
        *_thinned(fitted),
        color=COLOURS[0],
        marker=_marker(fitted),
        label="training (dropout on)" if dropout else "training",
    )
    if any(value is not None for value in validation):
        look: dict[str, Any] = {"color": COLOURS[5], "linestyle": "--", "marker": _marker(held_out)}
        axes.plot(*_thinned(held_out), label="validation", **look)
    if best is not None:
        look = {"color": "0.45", "linewidth": 1, "linestyle": (0, (1, 2)), "zorder": 1}
        axes.axvline(best + 1, label=f"lowest validation loss: epoch {best + 1:,}", **look)
        axes.plot(best + 1, held_out[best], "o", color=COLOURS[5], markersize=5)
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Lines at 0 and at the top are not hidden by the frame.
    values = np.r_[fitted, held_out]
    highest = top if top is not None else max(values[np.isfinite(values)], default=0.0) or 1.0
    axes.set_ylim(-0.03 * highest, 1.03 * highest)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return axes


def _marker(values: NDArray[np.float64]) -> str:
    """Return a marker for a line that would not be seen."""
    return "o" if np.isfinite(values).sum() == 1 else ""


def _thinned(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return epochs from 1 and values; of very many the lowest and the highest of each stretch, and the last."""
    values = np.where(np.isfinite(values), values, np.nan)
    epochs = np.arange(len(values))
    if len(values) > MOST_POINTS:
        chosen = [epochs[[0, -1]]]
        for stretch in np.array_split(epochs, MOST_POINTS // 2):
            known = stretch[np.isfinite(values[stretch])]
            chosen.append(known[[values[known].argmin(), values[known].argmax()]] if len(known) else stretch[:1])
        epochs = np.unique(np.concatenate(chosen))
    return epochs + 1, values[epochs]


def draw_sweep(
    names: Sequence[str],
    accuracies: Sequence[Sequence[float]],
    xlabel: str,
    reference: Sequence[float | None] = (),
    reference_label: str = "",
    ax: Axes | None = None,
    ylabel: str = "test accuracy (%)",
) -> Axes:
    """Draw accuracy by the value of a field: a small circle for each seed, a bar at their mean.

    Args:
        names: The values' names; long ones are cut, and if there are many only some are written.
        accuracies: For each value one accuracy, or area, a seed, from 0 to 1; empty if there is none.
        xlabel: The field.
        reference: For each value an accuracy to compare with, or None.
        reference_label: What the reference is.
        ax: Where to draw; by default the Axes of a new figure.
        ylabel: Which accuracy it is; without `%` in it, values are drawn as they are, from 0 to 1.
    """
    unit = 100.0 if "%" in ylabel else 1.0
    width = min(20.0, max(4.0, 0.5 * len(names) + 1.5))
    axes: Axes = ax if ax is not None else new_figure(width, 3.6)[1]
    # Equal accuracies stand side by side, so that none hides another.
    offsets = [np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1) for values in accuracies]
    fitted = [(place, values) for place, values in enumerate(accuracies) if len(values)]
    x = np.concatenate([[], *(place + offsets[place] for place, _ in fitted)])
    y = unit * np.concatenate([[], *(np.asarray(values, np.float64) for _, values in fitted)])
    axes.scatter(x, y, s=18, color=COLOURS[0], alpha=0.8, linewidths=0, label="one fit")
    means = [unit * float(np.mean(values)) for _, values in fitted]
    middles = np.array([place for place, _ in fitted], np.float64)
    axes.hlines(means, middles - 0.32, middles + 0.32, color="0.15", linewidth=1.6, label="mean over seeds")
    points = [(place, unit * value) for place, value in enumerate(reference) if value is not None]
    if points:
        places_of, values_of = np.array(points).T
        axes.scatter(places_of, values_of, marker="x", s=34, color=COLOURS[5], label=reference_label)
    short = short_names(names, 24)
    places = range(0, len(names), ceil(len(names) / MOST_NAMES))
    slanted = max(map(len, short.values())) >= 6
    rotation, alignment = (30, "right") if slanted else (0, "center")
    axes.set_xticks(places, [short[names[place]] for place in places], rotation=rotation, ha=alignment)
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.6, len(names) - 0.4), ylim=(0, 1.02 * unit))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="lower right", fontsize="small")
    return axes
