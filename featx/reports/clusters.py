"""The report's section on how well classes are apart in the features."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from featx import plots
from featx.clustering import Clusters, Part, clusters
from featx.plots import inline_svg, short_names
from featx.reports.blocks import Block, Figure, Note, Section, Table
from featx.reports.told import SPLIT_NAMES, Told
from featx.text import NOTHING, decimal, percent, probability

NAMES = {
    "silhouette": "silhouette",
    "davies_bouldin": "Davies–Bouldin (low is good)",
    "calinski_harabasz": "Calinski–Harabasz",
    "knn_purity": "kNN purity",
    "kmeans_ari": "k-means, ARI",
    "kmeans_nmi": "k-means, NMI",
    "hdbscan_ari": "HDBSCAN, ARI",
    "hdbscan_nmi": "HDBSCAN, NMI",
}
WIDTH, HEIGHT = 4.2, 4.2


def clusters_section(told: Told, cache: Path, *, seed: int) -> Section:
    """Return the section: cluster quality of both layers beside what permuted labels give, overall and by class.

    Args:
        told: The run.
        cache: The store with its features.
        seed: Of clusterings and permutations.

    Raises:
        FeatxError: What `clusters` raises.
    """
    found = clusters(told.run.path, seed=seed, cache=cache)
    blocks: list[Block] = [_overview(found), _silhouettes(told, found), _by_class(found.main)]
    blocks += [Note(line) for line in found.notes]
    blocks += [_permuted(part) for part in found.parts]
    return Section("Cluster quality", told.id("clusters"), tuple(blocks))


def _where(part: Part) -> str:
    return f"{part.layer} features of {len(part.ids):,} {_split(part)} images"


def _overview(found: Clusters) -> Table:
    measures = [part.quality.measures() for part in found.parts]
    names = [name for name in NAMES if any(name in own for own in measures)]
    rows = tuple(
        (NAMES[name], *(decimal(own[name].value) if name in own else NOTHING for own in measures)) for name in names
    )
    counts = {part.split: len(part.ids) for part in found.parts}
    header = ("measure", *(f"{part.layer}, {_split(part)}" for part in found.parts))
    told = ", ".join(f"{n:,} {SPLIT_NAMES.get(split, split)}" for split, n in counts.items())
    return Table(f"Of the classes in the features of {told} images; Euclidean distances.", header, rows)


def _split(part: Part) -> str:
    return SPLIT_NAMES.get(part.split, part.split)


def _permuted(part: Part) -> Table:
    rows = tuple(
        (
            NAMES.get(name, name),
            decimal(measure.value),
            decimal(measure.mean),
            f"{decimal(measure.low)} to {decimal(measure.high)}",
            probability(measure.p_value),
        )
        for name, measure in part.quality.measures().items()
    )
    caption = (
        f"By the {_where(part)}, beside what {part.quality.permutations} permutations of the labels give: mean, "
        "middle 95 % and the share of labellings at least as good."
    )
    return Table(
        caption,
        ("measure", "value", "permuted: mean", "95 %", "p"),
        rows,
        fold=f"Beside permuted labels: {_where(part)}",
    )


def _by_class(part: Part) -> Table:
    rows = []
    for number, name in enumerate(part.quality.classes):
        own = part.quality.of_class(number)
        purity = own["knn_purity"]
        rows.append(
            (
                name,
                f"{own['n']:,}",
                decimal(own["silhouette"]),
                percent(own["negative"]),
                NOTHING if purity is None or math.isnan(purity) else decimal(purity),
                str(own["nearest"]),
            )
        )
    caption = f"By class, {_where(part)}."
    header = ("class", "images", "silhouette", "silhouette below 0", "kNN purity", "nearest class")
    return Table(caption, header, tuple(rows), words=frozenset({5}))


def _silhouettes(told: Told, found: Clusters) -> Figure:
    shown = [part for part in found.parts if part.split == found.main.split]
    _, axes = plots.new_figure(WIDTH * len(shown), HEIGHT, len(shown))
    grid = np.atleast_1d(axes)
    for part, ax in zip(shown, grid, strict=True):
        own = part.quality
        chance = (own.silhouette.low, own.silhouette.high)
        names = list(short_names(own.classes).values())
        plots.silhouette(own.silhouettes, own.labels, names, f"{part.layer} features", chance, ax)
    parts = []
    for part in shown:
        of_class = (part.quality.of_class(number)["silhouette"] for number in range(len(part.quality.classes)))
        means = ", ".join(f"{n} {decimal(v, 2)}" for n, v in zip(part.quality.classes, of_class, strict=True))
        parts.append(f"{part.layer} features: {means}")
    caption = "Silhouette of every image, sorted within its class (Rousseeuw 1987)."
    alt = f"Bars of the silhouette of every image; means by class, {'; '.join(parts)}."
    return Figure(inline_svg(grid[0], told.id("silhouettes")), alt, caption)
