"""The verb `visualize`: a map of a run's or data's images, with new images placed on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featx.data import read_paths
from featx.errors import DataError, UsageError
from featx.features import DEFAULT_BACKBONE, Extraction, Failure, OnError, default_recipe, extract, extract_dataset
from featx.heads import Head
from featx.maps.embedding import Embedding
from featx.maps.parameters import Method, Setting, asked
from featx.maps.quality import sample, silhouette
from featx.maps.result import Map, points_of
from featx.maps.stored import kept_or_made
from featx.maps.writing import DEFAULT_FORMATS, check_formats, write_map
from featx.progress import Progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import (
    HEAD,
    ROWS_AT_ONCE,
    HeadModel,
    Layer,
    Predicted,
    Source,
    extract_new,
    is_run,
    of_extraction,
    read_source,
)
from featx.stats import probabilities

# What new images are used for.
ROLE = "new"


@dataclass(frozen=True)
class Opened:
    """What a map is of.

    Attributes:
        source: Its rows.
        extraction: Where they are data's: how they were made.
        failed: Images that could not be used.
    """

    source: Source
    extraction: Extraction | None = None
    failed: tuple[Failure, ...] = ()


def open_place(
    place: str | Path, layer: Layer | None, spec: FeatureSpec | str | None, cache: str | Path, on_error: OnError
) -> Opened:
    """Return the rows of a run or of data, of which the cache's missing ones are computed first.

    Arguments and errors are those of `read_source`.
    """
    if layer not in (None, "backbone") or is_run(Path(place)):
        found = read_source(place, layer=layer, spec=spec, cache=cache, on_error=on_error)
        return Opened(found)
    wanted = default_recipe(DEFAULT_BACKBONE) if spec is None else spec
    extraction = extract(place, wanted, cache=cache, on_error=on_error)
    return Opened(of_extraction(extraction), extraction, extraction.failed)


def read_new(
    opened: Opened,
    paths: Sequence[str | Path],
    *,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
) -> tuple[Source, tuple[Failure, ...]]:
    """Return the rows of new images in the layer of a source, and the images that could not be used.

    Args:
        opened: What the rows have to match.
        paths: Images, folders (searched at any depth) or manifests; labels are not needed.
        cache: The store's folder.
        weights: Of a run's backbone, if not where its recipe says.
        on_error: What to do about images that cannot be read, see `extract`.

    Raises:
        DataError: The rows are not of the same features.
        UntrustedError: The backbone's weights are not those of the run.
        FeatxError: What `extract` raises.
    """
    source = opened.source
    if source.run is not None:
        extraction = extract_new(HeadModel(source.run), paths, cache=cache, weights=weights, on_error=on_error)
        found = _through_head(source, extraction)
    else:
        extraction = _as_data(opened, paths, cache, on_error)
        found = of_extraction(extraction)
    if found.feature_set != source.feature_set:
        raise DataError(
            f"Expected new images' features of the set {source.feature_set[:12]}, found {found.feature_set[:12]}; "
            "draw the map anew with the weights and the recipe at hand."
        )
    # To the data's splits they do not belong.
    table = replace(found.table, splits=("",) * len(found.table))
    return replace(found, table=table), extraction.failed


def _as_data(opened: Opened, paths: Sequence[str | Path], cache: str | Path, on_error: OnError) -> Extraction:
    known = opened.extraction
    if known is None:
        raise DataError(f"How the features of {opened.source.name} were made is not known; pass the data.")
    views = known.spec.views.model_copy(update={"count": 1})
    spec = known.spec.model_copy(update={"views": views})
    dataset = read_paths([Path(path) for path in paths], missing="keep" if on_error == "skip" else "fail")
    return extract_dataset(dataset, spec, weights=known.weights, cache=cache, on_error=on_error)


def _through_head(source: Source, extraction: Extraction) -> Source:
    """Return new images of a run with its head's predictions, and with its penultimate features if asked for."""
    run = source.run
    found = replace(of_extraction(extraction), name=source.name, layer=source.layer, run=run)
    if run is None:
        return found
    known = run.manifest["head"]["penultimate"]
    head = Head.load(run.path / HEAD, None if known is None else known["layer"])
    rows = found.table.X
    chunks = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
    shares = probabilities(head.logits(chunks))
    found = replace(found, predicted=Predicted(run.classes, shares, (ROLE,) * len(rows)))
    if source.layer == "backbone":
        return found
    table = replace(found.table, X=np.concatenate(list(head.penultimate(chunks))))
    # The run's head and layer decide the features, whose own rows are checked when the run's are read.
    same = found.feature_set == run.manifest["features"]["feature_set"]
    return replace(found, table=table, feature_set=source.feature_set if same else found.feature_set)


@reports_progress
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
    progress: Progress | None = None,
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
    opened = open_place(place, layer, spec, cache, on_error)
    base = opened.source.of_split(split)
    new = [] if add_split is None else [opened.source.of_split(add_split)]
    failed = opened.failed
    if add:
        found, further = read_new(opened, add, cache=cache, weights=weights, on_error=on_error)
        new, failed = [*new, found], (*failed, *further)
    base.column(by)
    stored, path = kept_or_made(base, parameters, folder, split)
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
    files = () if folder is None else write_map(drawn, [base, *new], formats, folder)
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
