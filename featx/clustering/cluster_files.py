"""Write the clusters of images without labels: tables, pictures and a page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from featx import plots
from featx.clustering.page import draw_numbers, draw_silhouettes, page
from featx.clustering.result import IMAGE_COLUMNS, ImageClusters
from featx.files import write_csv, write_text
from featx.runs import Source

CLUSTER_COLUMNS = ("layer", "split", "cluster", "n", "share", "silhouette", "radius", "nearest")
NUMBER_COLUMNS = ("k", "silhouette", "stability", "chosen")
PICTURES = ("silhouette", "numbers")
# Pictures of classes, which may be there from an earlier call with labels.
OF_CLASSES = ("pairs",)


def write_clusters(out: Path, result: ImageClusters, source: Source) -> tuple[Path, ...]:
    """Write the tables, the pictures and the page; `source` has the same images in the same order."""
    names = (*PICTURES, *OF_CLASSES)
    plots.remove_files([out / f"{name}.{ending}" for name in names for ending in ("png", "svg")])
    files = [
        write_csv(out / "clusters.csv", CLUSTER_COLUMNS, [_cluster_row(result, one) for one in result.clusters()]),
        write_csv(out / "numbers.csv", NUMBER_COLUMNS, _number_rows(result)),
        write_csv(out / "per_image.csv", IMAGE_COLUMNS, [_image_row(row) for row in result.image_rows()]),
        write_text(out / "clusters.html", page(result, source)),
    ]
    for name, draw in (("silhouette", draw_silhouettes), ("numbers", draw_numbers)):
        files += plots.draw_files([out / f"{name}.{ending}" for ending in ("png", "svg")], partial(draw, result))
    return tuple(files)


def _cluster_row(result: ImageClusters, one: dict[str, Any]) -> tuple[Any, ...]:
    values = (one["cluster"], one["n"], *(f"{one[name]:.6g}" for name in ("share", "silhouette", "radius")))
    return (result.layer, result.split, *values, one["nearest"][0])


def _number_rows(result: ImageClusters) -> list[tuple[Any, ...]]:
    k = result.partition.k
    return [
        (one.k, f"{one.silhouette:.6g}", f"{one.stability:.6g}", "true" if one.k == k else "false")
        for one in result.partition.candidates
    ]


def _image_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    path, cluster, distance, silhouette, dense = row
    return path, cluster, f"{distance:.6g}", f"{silhouette:.6g}", "" if dense is None else dense
