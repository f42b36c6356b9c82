"""Write tables and pictures of cluster quality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx import plots
from featx.clustering.quality import Quality
from featx.files import write_csv, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("layer", "split", "measure", "value", "permuted_mean", "permuted_low", "permuted_high", "p_value")
CLASS_COLUMNS = ("layer", "split", "class", "n", "silhouette", "negative", "knn_purity", "nearest")
IMAGE_COLUMNS = ("layer", "split", "path", "class", "silhouette", "nearest", "knn_purity", "kmeans", "hdbscan")


@dataclass(frozen=True)
class LayerQuality:
    """The cluster quality of one layer's features in one split.

    Attributes:
        layer: `penultimate` or `backbone`.
        split: `train`, `val`, `test` or `all`.
        ids: (n,) paths of the images, as the data names them.
        quality: The cluster quality of these images, in the same order.
    """

    layer: str
    split: str
    ids: tuple[str, ...]
    quality: Quality

    def to_json(self) -> dict[str, Any]:
        """Return `layer`, `split` and the values of the quality."""
        return {"layer": self.layer, "split": self.split, **self.quality.to_json()}


def overall_columns(parts: Sequence[LayerQuality]) -> dict[str, list[Any]]:
    """Return the columns of `clusters.csv`: one row for each layer, split and overall value."""
    rows = [
        (part.layer, part.split, name, one.value, one.mean, one.low, one.high, one.p_value)
        for part in parts
        for name, one in part.quality.measures().items()
    ]
    return {name: [row[number] for row in rows] for number, name in enumerate(COLUMNS)}


def write_parts(out: Path, parts: Sequence[LayerQuality], by: str) -> tuple[Path, ...]:
    """Write the tables of all layers and splits, and the pictures of the main split.

    Raises:
        StoreError: The folder cannot be written.
    """
    shown = [part for part in parts if part.split == parts[0].split]
    files = [
        write_csv(out / "clusters.csv", COLUMNS, zip(*overall_columns(parts).values(), strict=True)),
        write_csv(out / "classes.csv", CLASS_COLUMNS, _class_rows(parts)),
        write_csv(out / "per_image.csv", IMAGE_COLUMNS, _image_rows(parts)),
    ]
    classes = len(parts[0].quality.classes)
    files += _picture(out / "silhouette", shown, by, _draw_silhouette, plots.silhouette_size(classes))
    files += _picture(out / "pairs", shown, by, _draw_pairs, plots.pairs_size(classes))
    return tuple(files)


def _class_rows(parts: Sequence[LayerQuality]) -> Iterator[tuple[Any, ...]]:
    for part in parts:
        for number, name in enumerate(part.quality.classes):
            yield part.layer, part.split, name, *part.quality.of_class(number).values()


def _image_rows(parts: Sequence[LayerQuality]) -> Iterator[tuple[Any, ...]]:
    for part in parts:
        quality = part.quality
        for i, name in enumerate(part.ids):
            yield (
                part.layer,
                part.split,
                name,
                quality.classes[quality.labels[i]],
                f"{quality.silhouettes[i]:.6g}",
                quality.classes[quality.nearest[i]],
                f"{quality.purities[i]:.6g}" if np.isfinite(quality.purities[i]) else "",
                quality.kmeans.clusters[i],
                "" if quality.hdbscan is None else quality.hdbscan.clusters[i],
            )


def _picture(
    stem: Path,
    parts: Sequence[LayerQuality],
    by: str,
    draw: Callable[[LayerQuality, str, Axes], Axes],
    size: tuple[float, float],
) -> list[Path]:
    figure, axes = plots.new_figure(size[0] * len(parts), size[1], len(parts))
    for part, ax in zip(parts, np.atleast_1d(axes), strict=True):
        column = "" if by == "label" else f"{by}: "
        draw(part, f"{column}{part.layer} features, {part.split}", ax)
    first: Axes = figure.axes[0]
    return [
        write_file(stem.with_suffix(ending), lambda draft: plots.save(first, draft)) for ending in (".png", ".svg")
    ]


def _draw_silhouette(part: LayerQuality, title: str, ax: Axes) -> Axes:
    quality = part.quality
    chance = (quality.silhouette.low, quality.silhouette.high)
    return plots.draw_silhouettes(quality.silhouettes, quality.labels, quality.classes, title, chance, ax)


def _draw_pairs(part: LayerQuality, title: str, ax: Axes) -> Axes:
    return plots.draw_pairs(part.quality.ratios, part.quality.classes, title, ax)
