"""Write tables and pictures of cluster quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx import plots
from featx.clustering.quality import Quality
from featx.files import write_csv

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


def overall_rows(parts: Sequence[LayerQuality]) -> list[tuple[Any, ...]]:
    """Return the rows of `clusters.csv`: one for each layer, split and overall value."""
    return [
        (part.layer, part.split, name, *astuple(measure))
        for part in parts
        for name, measure in part.quality.measures().items()
    ]


def write_parts(out: Path, parts: Sequence[LayerQuality], by: str) -> tuple[Path, ...]:
    """Write the tables of all layers and splits, and the pictures of the main split."""
    pictures = {stem: [out / f"{stem}.{ending}" for ending in ("png", "svg")] for stem in ("silhouette", "pairs")}
    plots.remove_files([path for paths in pictures.values() for path in paths])
    files = [
        write_csv(out / "clusters.csv", COLUMNS, overall_rows(parts)),
        write_csv(out / "classes.csv", CLASS_COLUMNS, _class_rows(parts)),
        write_csv(out / "per_image.csv", IMAGE_COLUMNS, _image_rows(parts)),
    ]
    column = "" if by == "label" else f"{by}: "
    shown = {
        f"{column}{part.layer} features, {part.split}": part.quality for part in parts if part.split == parts[0].split
    }
    ratios = {title: quality.ratios for title, quality in shown.items()}
    files += plots.draw_files(pictures["silhouette"], lambda: _draw_silhouettes(shown))
    files += plots.draw_files(pictures["pairs"], lambda: plots.draw_pairs(ratios, parts[0].quality.classes))
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


def _draw_silhouettes(shown: Mapping[str, Quality]) -> Axes:
    """Draw the silhouettes of several layers, by title, side by side."""
    width, height = plots.silhouette_size(len(next(iter(shown.values())).classes))
    _, axes = plots.new_figure(width * len(shown), height, len(shown))
    for ax, (title, quality) in zip(np.atleast_1d(axes), shown.items(), strict=True):
        chance = (quality.silhouette.low, quality.silhouette.high)
        drawn = plots.draw_silhouettes(quality.silhouettes, quality.labels, quality.classes, title, chance, ax)
    return drawn
