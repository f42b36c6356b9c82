"""A map of a run's images, from features in the store; nothing here loads TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from featx import plots, runs
from featx.embed import Embedding, silhouette, tsne
from featx.errors import DataError, RunError, UsageError
from featx.pipeline.progress import Progress, silent
from featx.runs import Run, RunImage, read_run
from featx.store import Store

Layer = Literal["penultimate", "backbone"]


@dataclass(frozen=True)
class Map:
    """A map that was drawn.

    Attributes:
        files: PNG, SVG and CSV.
        embedding: The points and how they were made.
        images: One an each point.
        silhouette: Of the classes, in the features and on the map.
        seconds: Wall time.
    """

    files: tuple[Path, ...]
    embedding: Embedding
    images: tuple[RunImage, ...]
    silhouette: dict[str, float | None]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx visualize`."""
        return {
            "files": [str(path) for path in self.files],
            "method": "tsne",
            "n": len(self.images),
            "seconds": round(self.seconds, 3),
            "trustworthiness": self.embedding.trustworthiness,
            "silhouette": self.silhouette,
        }


def visualize(
    run: str | Path,
    *,
    out: str | Path | None = None,
    layer: Layer = "penultimate",
    split: str = "train",
    perplexity: float = 30.0,
    seed: int = 0,
    cache: str | Path = "cache",
    progress: Progress = silent,
) -> Map:
    """Draw a t-SNE map of a run's images.

    Args:
        run: A folder that `fit_head` wrote.
        out: Where the files go; the run's own folder if not given.
        layer: The head's penultimate features or the backbone's.
        split: `train`, `val`, `test` or `all`.
        perplexity: Of t-SNE.
        seed: The same seed gives the same map.
        cache: The store's folder, with the run's features in it.
        progress: Told how far the work is.

    Raises:
        RunError: The folder is not a run, or its features are not in the cache.
        DataError: The split has too few images.
    """
    start = time.perf_counter()
    known = read_run(run)
    images = [image for image in known.images() if split in ("all", image.split)]
    if not images:
        raise DataError(f"The run {known.path} has no images of the split {split!r}; choose another --split.")
    rows = _rows(known, images, layer, Store(Path(cache)))
    progress("map", 0, 1)
    embedding = tsne(rows, perplexity=perplexity, seed=seed)
    progress("map", 1, 1)
    labels = tuple(image.label for image in images)
    stem = f"tsne-{layer}-{split}"
    files = _write(
        Path(out) if out is not None else known.path, stem, embedding, images, f"{layer} features, {split}"
    )
    coefficients = {"features": silhouette(rows, labels), "map": silhouette(embedding.points, labels)}
    return Map(files, embedding, tuple(images), coefficients, time.perf_counter() - start)


def _rows(run: Run, images: Sequence[RunImage], layer: Layer, store: Store) -> Any:
    space_id = _space_id(run, layer)
    for space in store.spaces():
        if space.id == space_id and not space.missing([(image.digest, 0) for image in images]):
            return space.rows([(image.digest, 0) for image in images]).to_array()
    raise RunError(
        f"The {layer} features of the run {run.path} are not all in the cache {store.root}; pass the cache that it "
        "was fitted with (--cache), or run featx fit-head again."
    )


def _space_id(run: Run, layer: Layer) -> str:
    if layer == "backbone":
        return str(run.manifest["features"]["feature_set"])
    if layer != "penultimate":
        raise UsageError(f"Expected the layer penultimate or backbone, received {layer!r}.")
    known = run.manifest["head"]["penultimate"]
    if known is None:
        raise RunError(f"The recipe of {run.path} names no penultimate layer; use --layer backbone.")
    return str(known["feature_set"])


def _write(out: Path, stem: str, embedding: Embedding, images: Sequence[RunImage], title: str) -> tuple[Path, ...]:
    axes = plots.scatter(embedding.points, [image.label for image in images], title, embedding.method)
    pictures = [
        runs.write_file(out / f"{stem}{ending}", lambda draft: plots.save(axes, draft)) for ending in (".png", ".svg")
    ]
    table = (
        (image.path, image.label, image.predicted, image.split, f"{x:.6g}", f"{y:.6g}")
        for image, (x, y) in zip(images, embedding.points, strict=True)
    )
    header = ("path", "label", "predicted", "split", "x", "y")
    return (*pictures, runs.write_csv(out / f"{stem}.csv", header, table))
