"""The figures of a reproduction, for the page and as files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featx import plots
from featx.heads import best_epoch
from featx.maps import Map
from featx.pages import Figure
from featx.reports import OpenedRun
from featx.reproduction.plan import VGG16
from featx.reproduction.state import THEN, TODAY, ReproductionState
from featx.reproduction.verdicts import Reported
from featx.text import decimal, images, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {THEN: "defaults of 2020", TODAY: "today's defaults"}


class Drawings:
    """Draws figures into a folder; `files` are those written so far."""

    def __init__(self, out: Path) -> None:
        self.folder = out / "figures"
        self.files: list[Path] = []

    def figure(self, stem: str, axes: Axes, alt: str, caption: str) -> Figure:
        """Write a drawing as PNG and SVG and return it for the page."""
        self.write(stem, axes)
        return Figure(plots.inline_svg(axes, stem), alt, caption)

    def write(self, stem: str, axes: Axes) -> None:
        """Write a drawing as PNG and SVG; one that fails is left out with a notice."""
        self.files += plots.draw_files([self.folder / f"{stem}{ending}" for ending in (".png", ".svg")], lambda: axes)

    def curves(self, opened: OpenedRun, numbers: tuple[int, int]) -> None:
        """Write accuracy and loss by epoch, with the report's figure numbers."""
        labels = {"accuracy": "accuracy", "loss": "cross-entropy (nats)"}
        for number, (column, label) in zip(numbers, labels.items(), strict=True):
            validation = [epoch[f"val_{column}"] for epoch in opened.run.history]
            best = best_epoch([epoch["val_loss"] for epoch in opened.run.history])
            top = 1.0 if column == "accuracy" else None
            axes = plots.draw_curve(_column(opened, column), validation, label, top=top, best=best)
            axes.set_title(opened.name, fontsize=9)
            self.write(f"figure-{number}-{column}", axes)

    def maps(self, opened: OpenedRun, drawn: Mapping[str, Map], stem: str) -> Figure:
        """Draw the maps of a run's training images by setting: a file each, and side by side on the page."""
        _, grid = plots.new_figure(3.5 * len(drawn), 4.1, len(drawn))
        parts = []
        for ax, (setting, one) in zip(np.atleast_1d(grid), drawn.items(), strict=True):
            points, how = one.points, TITLES[setting]
            dots = (points.xy, points.labels)
            alone = plots.draw_scatter(*dots, f"{opened.name}, {how}", one.embedding.method, wrong=points.wrong)
            self.write(f"{stem}-{setting}", alone)
            plots.draw_scatter(*dots, how, one.embedding.method, ax, wrong=points.wrong)
            parts.append(f"{how}, silhouette of the classes {decimal(one.silhouette['map'], 2)}")
        points = next(iter(drawn.values())).points
        counts = ", ".join(f"{name} {points.labels.count(name):,}" for name in sorted(set(points.labels)))
        alt = f"Scatter plots of {images(len(points))}: {counts}. {'; '.join(parts)}."
        caption = (
            f"{opened.name}: t-SNE of the training images by their {opened.layers[0]} features. The axes have no "
            "unit; sizes of groups and distances between them mean little."
        )
        return Figure(plots.inline_svg(ax, stem), alt, caption)

    def schedules(self, one: OpenedRun, other: OpenedRun) -> Figure:
        """Draw training and validation accuracy with both readings of the schedule, and the learning rates."""
        from matplotlib.ticker import MaxNLocator

        _, (left, right) = plots.new_figure(9, 3.9, columns=2)
        for opened, colour, dash, name in (
            (one, plots.COLOURS[5], "-", "as printed"),
            (other, plots.COLOURS[0], "--", "as factors"),
        ):
            epochs = range(1, len(opened.run.history) + 1)
            for column, width, part in (("accuracy", 0.9, "training"), ("val_accuracy", 1.8, "validation")):
                values = _column(opened, column)
                left.plot(epochs, values, color=colour, linestyle=dash, linewidth=width, label=f"{name}, {part}")
            rates = [float(epoch["learning_rate"] or 0) for epoch in opened.run.history]
            right.step(epochs, rates, where="mid", color=colour, linestyle=dash, linewidth=1.8, label=name)
        left.set(xlabel="epoch", ylabel="accuracy", ylim=(-0.03, 1.03))
        right.set(xlabel="epoch", ylabel="learning rate", yscale="log")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        left.set_title(one.name, fontsize=9)
        printed, factors = (
            f"{percent(opened.run.history[-1]['accuracy'])} and {percent(opened.run.history[-1]['val_accuracy'])}"
            for opened in (one, other)
        )
        alt = (
            "Two line charts of accuracy and learning rate by epoch. Training and validation accuracy in the last "
            f"epoch: {printed} with the rates as printed, {factors} with the rates as factors."
        )
        caption = (
            "The learning-rate schedule as printed, and read as factors of an initial rate as in the example that "
            "the report cites. Left: accuracy on training images (thin, with dropout) and validation images (thick). "
            "Right: learning rates."
        )
        return self.figure("schedules", left, alt, caption)

    def sweep(self, state: ReproductionState, reported: Reported) -> Figure:
        """Draw our test accuracy by batch size and the report's."""
        sizes, report = state.sizes(), reported.numbers()
        axes = plots.draw_sweep(
            [str(size) for size in sizes],
            [list(one.accuracies) for one in sizes.values()],
            "batch size",
            reference=[report.get(f"batch.{size}") for size in sizes],
            reference_label="the report",
            ax=plots.new_figure(8.0, 3.6)[1],
        )
        axes.set_title(state.title(VGG16), fontsize=9)
        parts = ", ".join(f"{size}: {percent(one.mean)}" for size, one in sizes.items())
        caption = "Test accuracy by batch size: every fit, the mean over seeds, and the report's single fit."
        return self.figure("batch-sizes", axes, f"Test accuracy by batch size. Means over seeds: {parts}.", caption)


def _column(opened: OpenedRun, name: str) -> list[float]:
    """Return a column of the history, NaN where it is empty."""
    return [math.nan if epoch[name] is None else float(epoch[name] or 0) for epoch in opened.run.history]
