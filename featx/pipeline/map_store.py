"""Maps that are kept beside their pictures, so that a second call has the first one's points."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

from featx.embed import Embedding, check, embed
from featx.errors import DataError
from featx.map_files import StoredMap, load_map, save_map
from featx.map_parameters import SEEDS, Parameters
from featx.map_quality import sample, stability, trustworthiness
from featx.pipeline.progress import Progress
from featx.pipeline.sources import Source
from featx.runs import write_file

log = logging.getLogger("featx")

ENDING = ".npz"
# Stability takes a second map, which for many images takes long and says little that is new.
STABILITY_LIMIT = 10_000


def stem_of(parameters: Parameters, layer: str, split: str) -> str:
    """Return how the files of a map are called, without their ending."""
    return f"{parameters.method}{parameters.setting or ''}-{layer}-{split}"


def kept_or_made(
    source: Source, parameters: Parameters, folder: Path | None, split: str, progress: Progress
) -> tuple[StoredMap, Path | None]:
    """Return the map of a source's rows: the one in the folder if it is of the same, else a new one, put there.

    Args:
        source: The rows.
        parameters: What makes the map.
        folder: Where maps are kept; None keeps none.
        split: What the source's images are of the data.
        progress: Told how far the work is.

    Returns:
        The map and its file.

    Raises:
        DataError: There can be no map of these rows.
        StoreError: The folder cannot be written.
    """
    check(source.table.X)
    fitted = parameters.fitted(len(source.table))
    path = None if folder is None else folder / f"{stem_of(fitted, source.layer, split)}{ENDING}"
    kept = None if path is None else _kept(path)
    if kept is not None and kept.is_of(fitted, source.feature_set, source.table.digests):
        return kept, path
    made = _made(source, fitted, progress)
    if path is not None:
        write_file(path, partial(save_map, made))
    return made, path


def _kept(path: Path) -> StoredMap | None:
    if not path.exists():
        return None
    try:
        return load_map(path)
    except DataError as error:
        log.warning("%s", error)
        return None


def _made(source: Source, parameters: Parameters, progress: Progress) -> StoredMap:
    X = source.table.X
    progress("map", 0, 2)
    embedding = embed(X, parameters)
    progress("map", 1, 2)
    chosen = sample(len(X), parameters.seed)
    quality = {
        "trustworthiness": trustworthiness(X[chosen], embedding.points[chosen]),
        "stability": _stability(source, embedding),
    }
    progress("map", 2, 2)
    return StoredMap(embedding, source.feature_set, source.table.digests, quality)


def _stability(source: Source, embedding: Embedding) -> float | None:
    parameters = embedding.parameters
    if parameters.method == "pca":
        return None
    if len(source.table) > STABILITY_LIMIT:
        log.info("Stability, which takes a second map, is left out beyond %d images.", STABILITY_LIMIT)
        return None
    other = embed(source.table.X, replace(parameters, seed=(parameters.seed + 1) % SEEDS))
    return stability(embedding.points, other.points)
