"""Maps of a run's or data's images, from features in the store; only new images load TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from featx.embed import Embedding
from featx.errors import UsageError
from featx.map_parameters import Method, Setting, asked
from featx.map_quality import sample, silhouette
from featx.pipeline.hashing import OnError
from featx.pipeline.map_store import kept_or_made
from featx.pipeline.map_writing import DEFAULT_FORMATS, check_formats, write_map
from featx.pipeline.maps import Map, points_of
from featx.pipeline.placing import open_place, read_new
from featx.pipeline.progress import Progress, silent
from featx.pipeline.sources import Layer, Source
from featx.recipe import FeatureSpec
from featx.runs import is_run


def visualize(
    place: str | Path,
    *,
    method: Method = "tsne",
    layer: Layer | None = None,
    split: str = "train",
    by: str = "label",
    add: Sequence[str | Path] = (),
    add_split: str | None = None,
    out: str | Path | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    setting: Setting | None = None,
    perplexity: float | None = None,
    neighbors: int | None = None,
    min_dist: float | None = None,
    seed: int = 0,
    spec: FeatureSpec | str | None = None,
    weights: str | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    progress: Progress = silent,
) -> Map:
    """Draw a map of a run's or data's images, and place further images on it.

    A map that is stored already, of the same images, features and parameters, is used as it is.

    Args:
        place: A folder that `fit_head` wrote, or data: a folder or a manifest.
        method: `tsne`, `umap` or `pca`.
        layer: `penultimate` or `backbone`; if not given a run's penultimate features, and the backbone's of data.
        split: The images that make the map: `train`, `val`, `test` or `all`.
        by: What colours the points: `label` or another column of the manifest.
        add: Files, folders or manifests of new images to place on the map.
        add_split: A split whose images are placed on the map as well.
        out: Where the files go; the run's own folder if not given. Data needs it.
        formats: Of `png`, `svg`, `html`, `csv`, `projector`; with none of them nothing is written.
        setting: `2020` for t-SNE as scikit-learn 0.22 had it.
        perplexity: Of t-SNE, see `featx.map_parameters.fitting`.
        neighbors: Of UMAP.
        min_dist: Of UMAP.
        seed: The same seed gives the same map.
        spec: What features data has, see `extract`; VGG16 as it comes if not given. A run has its own.
        weights: For new images of a run: where the backbone's weights are, if not where its recipe says.
        cache: The store's folder.
        on_error: What to do about images that cannot be read, see `extract`.
        progress: Told how far the work is.

    Raises:
        UsageError: A name or value is not one of those above, or `out` is missing.
        RunError: The run cannot be read, or its features are not in the cache.
        DataError: The split has too few images, or the manifest no such column.
        FeatxError: What `extract` raises.
    """
    start = time.perf_counter()
    parameters = asked(
        method, setting=setting, perplexity=perplexity, neighbors=neighbors, min_dist=min_dist, seed=seed
    )
    folder = _folder(Path(place), out, check_formats(formats))
    _check_added(split, add_split)
    opened = open_place(place, layer, spec, cache, on_error, progress)
    base = opened.source.of_split(split)
    new = [] if add_split is None else [opened.source.of_split(add_split)]
    failed = opened.failed
    if add:
        found, further = read_new(opened, add, cache=cache, weights=weights, on_error=on_error, progress=progress)
        new, failed = [*new, found], (*failed, *further)
    base.column(by)
    stored, path = kept_or_made(base, parameters, folder, split, progress)
    drawn = Map(
        embedding=stored.embedding,
        points=points_of(base, new, stored.embedding, by),
        name=base.name,
        layer=base.layer,
        split=split,
        by=by,
        trustworthiness=stored.quality["trustworthiness"],
        stability=stored.quality["stability"],
        silhouette=_silhouettes(base, stored.embedding, by),
        stored=path,
        failed=failed,
    )
    files = () if folder is None else write_map(drawn, [base, *new], formats, folder, progress)
    return replace(drawn, files=files, seconds=time.perf_counter() - start)


def _folder(place: Path, out: str | Path | None, formats: Sequence[str]) -> Path | None:
    """Return where files go; None where none are asked for."""
    if out is not None:
        return Path(out)
    if not formats:
        return None
    if is_run(place) or not place.exists():
        return place
    raise UsageError(f"Expected a folder for the map of {place}, which is data and not a run; pass one with --out.")


def _check_added(split: str, add_split: str | None) -> None:
    if add_split is not None and (add_split in (split, "all") or split == "all"):
        raise UsageError(
            f"Expected another split to place on the map of {split!r}, received {add_split!r}; with --split all, "
            "every image makes the map."
        )


def _silhouettes(base: Source, embedding: Embedding, by: str) -> dict[str, float | None]:
    """Return the coefficients of images whose group is known."""
    groups = base.column(by)
    known = np.array([i for i in sample(len(groups), embedding.parameters.seed) if groups[i]], np.int64)
    labels = tuple(groups[i] for i in known)
    return {
        "features": silhouette(base.table.X[known], labels),
        "map": silhouette(embedding.points[known], labels),
    }
