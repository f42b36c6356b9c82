"""New images for a map: their rows, made as the map's were, and what the run's head says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featx import runs
from featx.data import read_paths
from featx.errors import DataError
from featx.heads import Head
from featx.pipeline.extraction import DEFAULT_BACKBONE, Extraction, default_recipe, extract, extract_dataset
from featx.pipeline.hashing import Failure, OnError
from featx.pipeline.models import ROWS_AT_ONCE, HeadModel
from featx.pipeline.prediction import extract_new
from featx.pipeline.progress import Progress, silent
from featx.pipeline.sources import Layer, Predicted, Source, of_extraction, read_source
from featx.recipe import FeatureSpec
from featx.runs import is_run
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
    place: str | Path,
    layer: Layer | None,
    spec: FeatureSpec | str | None,
    cache: str | Path,
    on_error: OnError,
    progress: Progress,
) -> Opened:
    """Return the rows of a run or of data, of which the cache's missing ones are computed first.

    Arguments and errors are those of `read_source`.
    """
    if layer not in (None, "backbone") or is_run(Path(place)):
        found = read_source(place, layer=layer, spec=spec, cache=cache, on_error=on_error, progress=progress)
        return Opened(found)
    wanted = default_recipe(DEFAULT_BACKBONE) if spec is None else spec
    extraction = extract(place, wanted, cache=cache, on_error=on_error, progress=progress)
    return Opened(of_extraction(extraction), extraction, extraction.failed)


def read_new(
    opened: Opened,
    paths: Sequence[str | Path],
    *,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
    progress: Progress = silent,
) -> tuple[Source, tuple[Failure, ...]]:
    """Return the rows of new images in the layer of a source, and the images that could not be used.

    Args:
        opened: What the rows have to match.
        paths: Images, folders (searched at any depth) or manifests; labels are not needed.
        cache: The store's folder.
        weights: Of a run's backbone, if not where its recipe says.
        on_error: What to do about images that cannot be read, see `extract`.
        progress: Told how far the work is.

    Raises:
        DataError: The rows are not of the same features.
        UntrustedError: The backbone's weights are not those of the run.
        FeatxError: What `extract` raises.
    """
    source = opened.source
    if source.run is not None:
        extraction = extract_new(
            HeadModel(source.run), paths, cache=cache, weights=weights, on_error=on_error, progress=progress
        )
        found = _through_head(source, extraction)
    else:
        extraction = _as_data(opened, paths, cache, on_error, progress)
        found = of_extraction(extraction)
    if found.feature_set != source.feature_set:
        raise DataError(
            f"Expected new images' features of the set {source.feature_set[:12]}, found {found.feature_set[:12]}; "
            "draw the map anew with the weights and the recipe at hand."
        )
    # To the data's splits they do not belong.
    table = replace(found.table, splits=("",) * len(found.table))
    return replace(found, table=table), extraction.failed


def _as_data(
    opened: Opened, paths: Sequence[str | Path], cache: str | Path, on_error: OnError, progress: Progress
) -> Extraction:
    known = opened.extraction
    if known is None:
        raise DataError(f"How the features of {opened.source.name} were made is not known; pass the data.")
    views = known.spec.views.model_copy(update={"count": 1})
    spec = known.spec.model_copy(update={"views": views})
    dataset = read_paths([Path(path) for path in paths], missing="keep" if on_error == "skip" else "fail")
    return extract_dataset(dataset, spec, weights=known.weights, cache=cache, on_error=on_error, progress=progress)


def _through_head(source: Source, extraction: Extraction) -> Source:
    """Return new images of a run with its head's predictions, and with its penultimate features if asked for."""
    run = source.run
    found = replace(of_extraction(extraction), name=source.name, layer=source.layer, run=run)
    if run is None:
        return found
    known = run.manifest["head"]["penultimate"]
    head = Head.load(run.path / runs.HEAD, None if known is None else known["layer"])
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
