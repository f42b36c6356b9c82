"""The page of clusters of images without labels, in HTML that needs no other file and no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from featx import plots
from featx.clustering.choosing import STABLE
from featx.clustering.result import ImageClusters
from featx.clustering.unlabelled import DENSE_COLUMNS
from featx.images import as_rgb, decode_unchanged, picture_uri
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.runs import Source
from featx.templates import asset, render
from featx.text import decimal, images, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PACKAGE = "featx.clustering"
# A page contains all that it shows; it may run no script and load nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
# Pixels, for the longer side of a thumbnail; on the page it is about 130 CSS pixels wide.
SIDE = 192
# Clusters whose images are shown: more make a page of over 20 MB.
MOST_SHOWN = 200
SILHOUETTES_CAPTION = (
    "Silhouette of every image, sorted within its cluster (Rousseeuw 1987); the grey band is the mean in data of the "
    "same spread without clusters."
)


def page(result: ImageClusters, source: Source) -> str:
    """Return an HTML page; `source` has the images of the clusters, in their order."""
    structure, k = result.structure, result.partition.k
    shown = min(k, MOST_SHOWN)
    nearest = [structure.nearest(number, result.digests) for number in range(1, shown + 1)]
    outliers = structure.outliers(result.digests)
    uris = _pictures(source, {i: None for part in (*nearest, outliers) for i in part})
    relative, shared = structure.relative(), _shared_folder(result.ids)

    def cell(i: int, figure: str) -> dict[str, Any]:
        return {"name": result.ids[i], "short": result.ids[i][shared:], "uri": uris[i], "figure": figure}

    sections = [
        _section(one, [cell(i, decimal(structure.distances[i], 1)) for i in part])
        for one, part in zip(result.clusters(), nearest, strict=False)
    ]
    first_alone = [f"The images of the first {shown} of {k} clusters are shown."] if shown < k else []
    return render(
        PACKAGE,
        "clusters.html.j2",
        policy=POLICY,
        style=asset(PACKAGE, "clusters.css"),
        title=f"{source.name}: {k} clusters of {images(len(result.ids))}",
        about=about(result),
        notes=[*result.notes, *first_alone],
        pictures=[
            (plots.draw_svg(partial(draw_numbers, result), "numbers"), numbers_caption(result)),
            (plots.draw_svg(partial(draw_silhouettes, result), "silhouettes"), SILHOUETTES_CAPTION),
        ],
        sections=sections,
        outliers=[
            cell(i, f"cluster {result.partition.clusters[i]}, {decimal(relative[i], 1)} radii") for i in outliers
        ],
    )


def about(result: ImageClusters) -> list[str]:
    """Return sentences that say how the clusters were made, and how far to trust them."""
    structure, parts = result.structure, result.partition
    one, value = parts.chosen, structure.silhouette
    how = f"k-means on {result.layer} features, distances {parts.space.describe(parts.rows.shape[1])}."
    trust = (
        f"Silhouette {decimal(value.value)} ({decimal(value.low)} to {decimal(value.high)} in data of the same "
        f"spread without clusters), stability {decimal(one.stability, 2)}, Davies-Bouldin index "
        f"{decimal(structure.davies_bouldin, 2)}, Caliński-Harabasz index {decimal(structure.calinski_harabasz, 1)}."
    )
    dense = (
        f"HDBSCAN, which looks for dense places of at least {structure.min_cluster_size} images in "
        f"{min(DENSE_COLUMNS, parts.rows.shape[1])} columns, has {structure.dense_count} "
        f"cluster{'s' * (structure.dense_count != 1)} and leaves {percent(structure.noise)} of the images out."
    )
    return [how, trust, dense]


def numbers_caption(result: ImageClusters) -> str:
    """Return why this number of clusters was taken."""
    one, tried = result.partition.chosen, result.partition.candidates
    if len(tried) == 1:
        return f"{one.k} clusters, as chosen. Stability is the mean adjusted Rand index between fits."
    rule = f"among the numbers with a stability of at least {STABLE:g}" if one.stable else "of all, as none is stable"
    return (
        f"{one.k} clusters have the highest silhouette {rule}. Stability is the mean adjusted Rand index between "
        "fits with other seeds and other parts of the images: 1 if all agree, 0 by chance."
    )


def draw_numbers(result: ImageClusters) -> Axes:
    """Draw silhouette and stability of the numbers of clusters that were tried."""
    tried = result.partition.candidates
    return plots.draw_numbers(
        [one.k for one in tried],
        [one.silhouette for one in tried],
        [one.stability for one in tried],
        result.partition.k,
        STABLE,
    )


def draw_silhouettes(result: ImageClusters) -> Axes:
    """Draw the silhouette of every image by cluster."""
    structure, parts = result.structure, result.partition
    names = [f"cluster {number}" for number in range(1, parts.k + 1)]
    chance = (structure.silhouette.low, structure.silhouette.high)
    title = f"{parts.k} clusters, {result.layer} features"
    return plots.draw_silhouettes(structure.silhouettes, parts.clusters - 1, names, title, chance)


def _section(one: dict[str, Any], cells: list[dict[str, Any]]) -> dict[str, Any]:
    facts = [f"{images(one['n'])}, {percent(one['share'])}", f"silhouette {decimal(one['silhouette'])}"]
    return {"name": f"Cluster {one['cluster']}", "facts": facts, "cells": cells}


def _shared_folder(names: Sequence[str]) -> int:
    """Return how many first letters of names are a folder that all share."""
    first, last = min(names), max(names)
    shared = next((i for i, letter in enumerate(first) if letter != last[i : i + 1]), len(first))
    return first.rfind("/", 0, shared) + 1


def _pictures(source: Source, wanted: Iterable[int]) -> dict[int, str | None]:
    """Return the thumbnails of images by their number; None where the file is gone or has changed."""

    def draw(i: int) -> str | None:
        own = source.pixels[i] if source.pixels else None
        if own is None:
            pixels = decode_unchanged(source.files[i], source.table.digests[i], at_least=2 * SIDE)
        else:
            pixels = as_rgb(own)
        return None if pixels is None else picture_uri(pixels, SIDE)

    numbers, uris = list(wanted), dict[int, str | None]()
    for i, uri in zip(numbers, bounded_map(draw, numbers, workers=2, ahead=4), strict=True):
        uris[i] = uri
        report_progress("thumbnails", len(uris), len(numbers))
    return uris
