"""The verb `visualize`: a map of a run's or data's images, with new images placed on it."""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from featx.data import Dataset, refuse_folder_of_images
from featx.errors import StoreError, UnwrittenError, UsageError
from featx.features import Choice, OnError
from featx.files import several
from featx.maps.colouring import Colouring, check_by, colouring_of
from featx.maps.embedding import Embedding
from featx.maps.parameters import Method, Parameters, Setting, map_parameters
from featx.maps.quality import sample, silhouette
from featx.maps.result import Map, points_of
from featx.maps.stored import stored_map
from featx.maps.writing import FORMATS, check_formats, write_map
from featx.progress import Progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import (
    ROWS_AT_ONCE,
    Layer,
    Predicted,
    Source,
    data_source,
    extract_like,
    is_run_path,
    load_head,
    read_new,
    read_source,
    rows_like,
    split_weights,
)
from featx.stats import label_probabilities, probabilities

log = logging.getLogger("featx")


@reports_progress
def visualize(
    place: Any,
    *,
    method: Method = "tsne",
    layer: Layer | None = None,
    split: str = "train",
    by: str = "label",
    add: Any = (),
    add_split: str | None = None,
    out: str | Path | None = None,
    formats: Sequence[str] = FORMATS,
    setting: Setting | None = None,
    perplexity: float | None = None,
    neighbours: int | None = None,
    min_dist: float | None = None,
    seed: int = 0,
    recipe: FeatureSpec | str | Path | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> Map:
    """Draw a map of the images of a run or of data, and place further images on it.

    A stored map of the same images, features and parameters is used again.

    Args:
        place: A folder that `fit_head` wrote, or data, see `read_data`.
        method: `tsne`, `umap` or `pca`.
        layer: `penultimate` or `backbone`. The default is the penultimate layer for a run that has one, else the
            backbone.
        split: The images that make the map: `train`, `val`, `test` or `all`.
        by: What colours the points: `label`, another column of the manifest, `group`, `split`, `label:NAME` for one
            of several labels, or `cluster` for clusters of k-means as `clusters` has them without labels, with
            `cluster:5` or `cluster:2..6` for how many.
        add: New images to place on the map: files, folders or manifests, or one of them; a data frame, or images in
            memory, see `predict`.
        add_split: A split whose images are placed on the map as well.
        out: Folder of the files. The default is the run's own folder; for data it must be given.
        formats: Some of `png`, `svg`, `html`, `csv`; if there are none, nothing is written.
        setting: `2020` for t-SNE as scikit-learn 0.22 had it.
        perplexity: For t-SNE, see `map_parameters`.
        neighbours: For UMAP.
        min_dist: For UMAP.
        seed: The same seed gives the same map.
        recipe: The features of data, see `extract`. A run has its own.
        cache: Folder of the store.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.
        choice: Single fields of the features, and how data is read, see `Choice`. For a run, `weights` are those of
            its backbone for new images, if they are not where its recipe says.

    Raises:
        UsageError: A name or value is not one of those above, or `out` is missing.
        RunError: The run cannot be read, or its features are not in the cache.
        DataError: The split has too few images, or the manifest has no such column.
        FeatxError: What `extract` raises.
    """
    start = time.perf_counter()
    # What is wrong with the options is said before anything is computed.
    parameters = map_parameters(
        method, setting=setting, perplexity=perplexity, neighbours=neighbours, min_dist=min_dist, seed=seed
    )
    formats = several(formats, "names of formats")
    check_formats(formats)
    check_by(by)
    folder = _folder(place, out, formats)
    _check_added(split, add_split)
    new = read_new(add, on_error, cache=cache, least=0)
    weights, choice = split_weights(place, choice)
    source = read_source(place, layer=layer, recipe=recipe, cache=cache, on_error=on_error, **choice)
    added = [_new_source(source, new, cache=cache, weights=weights, on_error=on_error)] if new.items else []
    drawn = draw_map(
        source, parameters, split=split, by=by, added=added, add_split=add_split, out=folder, formats=formats
    )
    return replace(drawn, seconds=time.perf_counter() - start)


def draw_map(
    source: Source,
    parameters: Parameters,
    *,
    split: str = "train",
    by: str = "label",
    added: Sequence[Source] = (),
    add_split: str | None = None,
    out: Path | None = None,
    known: Path | None = None,
    formats: Sequence[str] = FORMATS,
) -> Map:
    """Draw a map of rows that are already open.

    `source` has the rows of a run or of data, and `added` those of new images, in the same features, to place on the
    map. `parameters` are from `map_parameters`. `out` is the folder of the files and of the stored map; without it
    nothing is written, and a map that is stored in the folder `known` is used. The other arguments are those of
    `visualize`.

    Raises:
        DataError: The split has too few images, or the manifest has no such column.
        StoreError: The folder cannot be written.
    """
    base = source.of_split(split)
    placed = [*([] if add_split is None else [source.of_split(add_split)]), *added]
    # If there is no such column, no map is made.
    colouring = colouring_of(base, placed, by, parameters.seed)
    if colouring.one:
        log.info("%s", colouring.note)
    stored, path = stored_map(base, parameters, out or known, split, keep=out is not None)
    drawn = Map(
        embedding=stored.embedding,
        points=points_of(base, placed, stored.embedding, colouring),
        name=base.name,
        layer=base.layer,
        split=split,
        by=by,
        trustworthiness=stored.quality["trustworthiness"],
        stability=stored.quality["stability"],
        silhouette=_silhouettes(base, stored.embedding, colouring),
        stored=path,
        failed=tuple(failure for opened in (source, *added) for failure in opened.failed),
    )
    try:
        return drawn if out is None else replace(drawn, files=write_map(drawn, formats, out))
    except StoreError as error:
        raise UnwrittenError(error, drawn) from error


def _folder(place: Any, out: str | Path | None, formats: Sequence[str]) -> Path | None:
    """Return the folder of the files; None where nothing is written."""
    if out is not None:
        if not is_run_path(place):
            refuse_folder_of_images(out, place)
        return Path(out)
    if not formats:
        return None
    is_path = isinstance(place, (str, Path))
    # What does not exist is refused when it is read, unless it is a pattern such as photos/*.jpg.
    if is_run_path(place) or (is_path and not Path(place).exists() and not glob.has_magic(str(place))):
        return Path(place)
    name = place if is_path else "these images"
    raise UsageError(f"Expected a folder for the map of {name}, which is data and not a run; pass one with --out.")


def _check_added(split: str, add_split: str | None) -> None:
    if add_split is not None and (add_split in (split, "all") or split == "all"):
        raise UsageError(
            f"Expected another split to place on the map of {split!r}, received {add_split!r}; with --split all, "
            "every image makes the map."
        )


def _silhouettes(base: Source, embedding: Embedding, colouring: Colouring) -> dict[str, float | None]:
    """Return the silhouettes of the images that have a value in the column, in the features and on the map."""
    if colouring.one or colouring.numbers is not None:
        return {"features": None, "map": None}
    values = colouring.categories[: len(base.table)]
    chosen = np.array([i for i in sample(len(values), embedding.parameters.seed) if values[i]], np.int64)
    labels = tuple(values[i] for i in chosen)
    return {
        "features": silhouette(base.table.X[chosen], labels),
        "map": silhouette(embedding.points[chosen], labels),
    }


def _new_source(
    source: Source, dataset: Dataset, *, cache: str | Path, weights: str | None, on_error: OnError
) -> Source:
    """Return the rows of new images in the features of a source, for a run with its head's predictions."""
    # If the head cannot be loaded, this is known before hours of work.
    run = source.run
    head = None if run is None else load_head(run)
    extraction = extract_like(source, dataset, cache=cache, weights=weights, on_error=on_error)
    new = data_source(extraction)
    table = replace(
        new.table,
        X=rows_like(source, extraction, new.table.digests),
        splits=("",) * len(new.table),  # they belong to none of the data's splits
    )
    if run is None or head is None:
        return replace(new, table=table)
    rows = extraction.space.rows(new.table.digests, 1)
    logits = head.logits(rows.chunks(ROWS_AT_ONCE))
    shares = label_probabilities(logits) if run.multilabel else probabilities(logits)
    predicted = Predicted(run.classes, shares, ("new",) * len(new.table), run.multilabel)
    return replace(
        new,
        name=source.name,
        layer=source.layer,
        feature_set=source.feature_set,
        run=run,
        table=table,
        predicted=predicted,
    )
