"""Tables and pictures of cluster quality."""

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


@dataclass(frozen=True)
class Part:
    """One layer's features of one split.

    Attributes:
        layer: `penultimate` or `backbone`.
        split: `train`, `val`, `test` or `all`.
        ids: (n,) images, as the data names them.
        quality: What was measured, in the same order.
    """

    layer: str
    split: str
    ids: tuple[str, ...]
    quality: Quality

    def to_json(self) -> dict[str, Any]:
        """Return `layer`, `split` and the numbers."""
        return {"layer": self.layer, "split": self.split, **self.quality.to_json()}


def overall_columns(parts: Sequence[Part]) -> dict[str, list[Any]]:
    """Return the overall numbers by column: a row a number, layer and split."""
    rows = [
        (part.layer, part.split, name, found.value, found.mean, found.low, found.high, found.p_value)
        for part in parts
        for name, found in part.quality.measures().items()
    ]
    return {name: [row[number] for row in rows] for number, name in enumerate(COLUMNS)}


def write_parts(out: Path, parts: Sequence[Part], by: str) -> tuple[Path, ...]:
    """Write `clusters.csv`, `classes.csv`, `per_image.csv` of all parts and the pictures of the main split's.

    Raises:
        StoreError: The folder cannot be written.
    """
    shown = [part for part in parts if part.split == parts[0].split]
    overall = overall_columns(parts)
    files = [
        write_csv(out / "clusters.csv", COLUMNS, zip(*(overall[name] for name in COLUMNS), strict=True)),
        write_csv(out / "classes.csv", _CLASS_COLUMNS, _class_rows(parts)),
        write_csv(out / "per_image.csv", _IMAGE_COLUMNS, _image_rows(parts)),
    ]
    classes = len(parts[0].quality.classes)
    files += _picture(out / "silhouette", shown, by, _draw_silhouette, plots.silhouette_size(classes))
    files += _picture(out / "pairs", shown, by, _draw_pairs, plots.pairs_size(classes))
    return tuple(files)


_CLASS_COLUMNS = ("layer", "split", "class", "n", "silhouette", "negative", "knn_purity", "nearest")
_IMAGE_COLUMNS = ("layer", "split", "path", "class", "silhouette", "nearest", "knn_purity", "kmeans", "hdbscan")


def _class_rows(parts: Sequence[Part]) -> Iterator[tuple[Any, ...]]:
    for part in parts:
        for number, name in enumerate(part.quality.classes):
            yield part.layer, part.split, name, *part.quality.of_class(number).values()


def _image_rows(parts: Sequence[Part]) -> Iterator[tuple[Any, ...]]:
    for part in parts:
        found = part.quality
        for i, name in enumerate(part.ids):
            yield (
                part.layer,
                part.split,
                name,
                found.classes[found.labels[i]],
                f"{found.silhouettes[i]:.6g}",
                found.classes[found.nearest[i]],
                f"{found.purities[i]:.6g}" if np.isfinite(found.purities[i]) else "",
                found.kmeans.clusters[i],
                "" if found.hdbscan is None else found.hdbscan.clusters[i],
            )


def _picture(
    stem: Path, parts: Sequence[Part], by: str, draw: Callable[[Part, str, Axes], Axes], size: tuple[float, float]
) -> list[Path]:
    figure, axes = plots.new_figure(size[0] * len(parts), size[1], len(parts))
    for part, ax in zip(parts, np.atleast_1d(axes), strict=True):
        what = "" if by == "label" else f"{by}: "
        draw(part, f"{what}{part.layer} features, {part.split}", ax)
    first: Axes = figure.axes[0]
    return [
        write_file(stem.with_suffix(ending), lambda draft: plots.save(first, draft)) for ending in (".png", ".svg")
    ]


def _draw_silhouette(part: Part, title: str, ax: Axes) -> Axes:
    found = part.quality
    chance = (found.silhouette.low, found.silhouette.high)
    return plots.silhouette(found.silhouettes, found.labels, found.classes, title, chance, ax)


def _draw_pairs(part: Part, title: str, ax: Axes) -> Axes:
    return plots.pairs(part.quality.ratios, part.quality.classes, title, ax)
