"""The report's section on how well the classes are separated in the features."""

from __future__ import annotations

import numpy as np

from featx import plots
from featx.clustering import Clusters, LayerQuality, measure_clusters
from featx.reports.blocks import Block, Figure, Note, Table
from featx.reports.opened import SPLIT_NAMES, OpenedRun
from featx.text import NOTHING, count, decimal, images, percent, probability

MEASURE_TITLES = {
    "silhouette": "silhouette",
    "davies_bouldin": "Davies–Bouldin (lower is better)",
    "calinski_harabasz": "Calinski–Harabasz",
    "knn_purity": "kNN purity",
    "kmeans_ari": "k-means, ARI",
    "kmeans_nmi": "k-means, NMI",
    "hdbscan_ari": "HDBSCAN, ARI",
    "hdbscan_nmi": "HDBSCAN, NMI",
}
WIDTH, HEIGHT = 4.2, 4.2


def clusters_blocks(opened: OpenedRun, *, seed: int) -> tuple[Block, ...]:
    """Return cluster quality of both layers, overall and by class, compared with permuted labels."""
    measured = measure_clusters([opened.source(layer) for layer in opened.layers], seed=seed)
    return (
        _overview(measured),
        _silhouettes(opened, measured),
        _by_class(measured.main),
        *(Note(line) for line in measured.notes),
        *(_permuted(part) for part in measured.parts),
    )


def _split(part: LayerQuality) -> str:
    return SPLIT_NAMES.get(part.split, part.split)


def _what(part: LayerQuality) -> str:
    return f"{part.layer} features of {images(len(part.ids), _split(part))}"


def _overview(measured: Clusters) -> Table:
    columns = [part.quality.measures() for part in measured.parts]
    rows = tuple(
        (title, *(decimal(column[name].value) if name in column else NOTHING for column in columns))
        for name, title in MEASURE_TITLES.items()
        if any(name in column for column in columns)
    )
    header = ("measure", *(f"{part.layer}, {_split(part)}" for part in measured.parts))
    counts = dict.fromkeys(images(len(part.ids), _split(part)) for part in measured.parts)
    caption = f"Separation of the classes in the features of {' and '.join(counts)}, by Euclidean distances."
    return Table(caption, header, rows)


def _permuted(part: LayerQuality) -> Table:
    rows = tuple(
        (
            MEASURE_TITLES.get(name, name),
            decimal(measure.value),
            decimal(measure.mean),
            f"{decimal(measure.low)} to {decimal(measure.high)}",
            probability(measure.p_value),
        )
        for name, measure in part.quality.measures().items()
    )
    caption = (
        f"The {_what(part)}, compared with {part.quality.permutations} random permutations of the labels: the mean "
        "and the middle 95 % of their values, and p, the share of permutations that are at least as good."
    )
    header = ("measure", "value", "permuted: mean", "permuted: 95 %", "p")
    return Table(caption, header, rows, fold=f"Compared with permuted labels: {_what(part)}")


def _by_class(part: LayerQuality) -> Table:
    rows = []
    for number, name in enumerate(part.quality.classes):
        own = part.quality.of_class(number)
        rows.append(
            (
                name,
                count(own["n"]),
                decimal(own["silhouette"]),
                percent(own["negative"]),
                decimal(own["knn_purity"]),
                str(own["nearest"]),
            )
        )
    header = ("class", "images", "silhouette", "silhouette below 0", "kNN purity", "nearest class")
    return Table(f"By class, {_what(part)}.", header, tuple(rows), words=frozenset({5}))


def _silhouettes(opened: OpenedRun, measured: Clusters) -> Figure:
    shown = [part for part in measured.parts if part.split == measured.main.split]
    _, axes = plots.new_figure(WIDTH * len(shown), HEIGHT, len(shown))
    grid = np.atleast_1d(axes)
    descriptions = []
    for part, ax in zip(shown, grid, strict=True):
        quality = part.quality
        chance = (quality.silhouette.low, quality.silhouette.high)
        names = list(plots.short_names(quality.classes).values())
        plots.draw_silhouettes(quality.silhouettes, quality.labels, names, f"{part.layer} features", chance, ax)
        means = [quality.of_class(number)["silhouette"] for number in range(len(quality.classes))]
        listed = ", ".join(f"{name} {decimal(v, 2)}" for name, v in zip(quality.classes, means, strict=True))
        descriptions.append(f"{part.layer} features: {listed}")
    caption = "Silhouette of every image, sorted within its class (Rousseeuw 1987)."
    alt = f"Bars of the silhouette of every image. Means by class: {'; '.join(descriptions)}."
    return Figure(plots.inline_svg(grid[0], opened.id("silhouettes")), alt, caption)
