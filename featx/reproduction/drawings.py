"""The figures of a reproduction, each drawn once: for the page, and as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featx import plots
from featx.files import write_file
from featx.maps import Map
from featx.plots import COLOURS, inline_svg
from featx.plots import sweep as draw_sweep
from featx.reports import Figure, Told
from featx.reproduction.found import THEN, TODAY, Found
from featx.reproduction.judging import sizes_of
from featx.reproduction.plan import VGG16
from featx.reproduction.reported import Reported
from featx.text import decimal, images, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


FIGURES = "figures"
TITLES = {THEN: "defaults of 2020", TODAY: "today's defaults"}
# Of one map, in inches, where two stand side by side.
MAP_WIDTH, MAP_HEIGHT = 3.5, 4.1
SWEEP_WIDTH, SWEEP_HEIGHT = 8.0, 3.6
UNITLESS = "Axes have no unit; sizes of groups and distances between them mean little."


class Drawings:
    """Draws figures into a folder.

    Attributes:
        files: What was written.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / FIGURES
        self.files: list[Path] = []

    def figure(self, stem: str, axes: Axes, alt: str, caption: str) -> Figure:
        """Write a drawing as PNG and SVG and return it for the page."""
        self.write(stem, axes)
        return Figure(inline_svg(axes, stem), alt, caption)

    def write(self, stem: str, axes: Axes) -> None:
        """Write a drawing as PNG and SVG."""
        for ending in (".png", ".svg"):
            path = self.folder / f"{stem}{ending}"
            self.files.append(write_file(path, lambda draft: plots.save(axes, draft)))

    def curves(self, told: Told, numbers: tuple[int, int]) -> None:
        """Write accuracy and loss by epoch, under the report's numbers of those figures."""
        for number, column, label in zip(
            numbers, ("accuracy", "loss"), ("accuracy", "cross-entropy (nats)"), strict=True
        ):
            train = [np.nan if epoch[column] is None else float(epoch[column] or 0) for epoch in told.history]
            axes = plots.curve(train, [epoch[f"val_{column}"] for epoch in told.history], label)
            axes.set_title(told.name, fontsize=9)
            axes.set_ylim(bottom=0)
            if column == "accuracy":
                axes.set_ylim(0, 1.02)
            self.write(f"figure-{number}-{column}", axes)

    def maps(self, told: Told, drawn: Mapping[str, Map], stem: str) -> Figure:
        """Draw the maps of a run's training images by setting: each a file, side by side on the page."""
        _, grid = plots.new_figure(MAP_WIDTH * len(drawn), MAP_HEIGHT, len(drawn))
        parts = []
        for ax, (setting, one) in zip(np.atleast_1d(grid), drawn.items(), strict=True):
            points, how = one.points, TITLES[setting]
            known = (points.xy, points.labels)
            alone = plots.scatter(*known, f"{told.name}, {how}", one.embedding.method, wrong=points.wrong)
            self.write(f"{stem}-{setting}", alone)
            plots.scatter(*known, how, one.embedding.method, ax, wrong=points.wrong)
            parts.append(f"{how}, silhouette of the classes {decimal(one.silhouette['map'], 2)}")
        points = next(iter(drawn.values())).points
        counts = ", ".join(f"{name} {points.labels.count(name):,}" for name in sorted(set(points.labels)))
        alt = f"Scatter plots of {images(len(points))}: {counts}. {'; '.join(parts)}."
        layer = next(iter(drawn.values())).layer
        caption = f"{told.name}: t-SNE of the training images by their {layer} features. {UNITLESS}"
        return Figure(inline_svg(ax, stem), alt, caption)

    def schedules(self, one: Told, other: Told) -> Figure:
        """Draw validation and training accuracy of both readings of the schedule, and the rates below."""
        from matplotlib.ticker import MaxNLocator

        _, (left, right) = plots.new_figure(9, 3.6, columns=2)
        for told, colour, dash, name in (
            (one, COLOURS[5], "-", "as printed"),
            (other, COLOURS[0], "--", "as factors"),
        ):
            epochs = range(len(told.history))
            for column, width, part in (("accuracy", 0.9, "training"), ("val_accuracy", 1.8, "validation")):
                values = [np.nan if epoch[column] is None else float(epoch[column] or 0) for epoch in told.history]
                left.plot(epochs, values, color=colour, linestyle=dash, linewidth=width, label=f"{name}, {part}")
            rates = [float(epoch["learning_rate"] or 0) for epoch in told.history]
            right.step(epochs, rates, where="mid", color=colour, linestyle=dash, linewidth=1.8, label=name)
        left.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
        right.set(xlabel="epoch", ylabel="learning rate", yscale="log")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize="small")
        left.set_title(one.name, fontsize=9)
        last = [
            (percent(told.history[-1]["accuracy"]), percent(told.history[-1]["val_accuracy"]))
            for told in (one, other)
        ]
        alt = (
            "Two line charts of accuracy and learning rate by epoch. At the end training and validation accuracy are "
            f"{last[0][0]} and {last[0][1]} with the rates as printed, {last[1][0]} and {last[1][1]} with factors."
        )
        caption = (
            "The learning-rate schedule as printed and read as factors on the first rate, as in the example that the "
            "report cites: accuracy on training (thin, dropout on) and validation images (thick), and the rates."
        )
        return self.figure("schedules", left, alt, caption)

    def sweep(self, found: Found, reported: Reported) -> Figure | None:
        """Draw the test accuracy by batch size beside the report's."""
        if found.sweep is None:
            return None
        sizes = sizes_of(found.sweep)
        theirs = reported.numbers()
        axes = draw_sweep(
            [str(size) for size in sizes],
            [list(one.accuracies) for one in sizes.values()],
            "batch size",
            reference=[theirs.get(f"batch.{size}") for size in sizes],
            reference_label="the report",
            ax=plots.new_figure(SWEEP_WIDTH, SWEEP_HEIGHT)[1],
        )
        axes.set_title(found.title(VGG16), fontsize=9)
        parts = ", ".join(f"{size}: {percent(one.mean)}" for size, one in sizes.items())
        caption = "Test accuracy by batch size: every fit, the mean over seeds, and the report's one fit."
        return self.figure("batch-sizes", axes, f"Points by batch size; means over seeds, {parts}.", caption)
