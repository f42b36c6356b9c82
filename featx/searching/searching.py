"""The verb `search`: the images of a run or of data that are most similar to given images."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from featx.data import Item
from featx.errors import StoreError, UnwrittenError, UsageError
from featx.features import Choice, OnError, nearest
from featx.progress import Progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import (
    Layer,
    Source,
    extract_like,
    read_new,
    read_source,
    rows_like,
    split_weights,
)
from featx.searching.neighbours import Neighbour, QueryResult
from featx.searching.result import SearchResult
from featx.text import images as images_in_words
from featx.text import joined_labels

log = logging.getLogger("featx")


@reports_progress
def search(
    place: Any,
    images: Any,
    *,
    k: int = 10,
    layer: Layer | None = None,
    split: str = "all",
    exclude_same: bool = False,
    html: str | Path | None = None,
    out: str | Path | None = None,
    recipe: FeatureSpec | str | Path | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> SearchResult:
    """Return the images of a run or of data whose features are most similar to those of given images.

    The similarity is the cosine of two rows of features. Every image is compared; nothing is approximated. Features
    of the queries are made exactly as those of the images that are searched.

    Args:
        place: A folder that `fit_head` wrote, or data, see `read_data`.
        images: The queries: images, folders (searched at any depth) or manifests, or one of them; or a data frame
            with a column `path`, or images in memory, see `read_data`. Results are in their order; those of a folder
            are ordered by name.
        k: The number of neighbours of each query, at least 1.
        layer: `penultimate` or `backbone`. The default is the penultimate layer for a run that has one, else the
            backbone.
        split: The images that are searched: `train`, `val`, `test` or `all`.
        exclude_same: Leave out images with the same bytes as the query. Without it, a query that is one of the images
            that are searched comes first, with a cosine of 1.
        html: A file for a page with thumbnails.
        out: A file for a CSV table.
        recipe: The features of data, see `extract`. A run has its own.
        cache: Folder of the store.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.
        choice: Single fields of the features, and how data is read, see `Choice`. For a run, `weights` are those of
            its backbone for the queries, if they are not where its recipe says.

    Raises:
        UsageError: An argument is not valid.
        RunError: The run cannot be read, or its features are not in the cache.
        UntrustedError: The backbone's weights, or anything else that decides the features, are not those of the run.
        UnwrittenError: A file cannot be written; the error has the result.
        FeatxError: What `extract` raises.
    """
    start = time.perf_counter()
    if k < 1:
        raise UsageError(f"Expected a number of neighbours of at least 1, received {k}.")
    # Queries are checked first, so that a typing error does not wait for the features of the data.
    dataset = read_new(images, on_error, cache=cache)
    weights, choice = split_weights(place, choice)
    source = read_source(place, layer=layer, recipe=recipe, cache=cache, on_error=on_error, **choice)
    searched = source if split == "all" else source.of_split(split)
    extraction = extract_like(source, dataset, cache=cache, weights=weights, on_error=on_error)
    queries = extraction.images
    digests = [query.digest for query in queries]
    found = neighbours_of(searched, rows_like(source, extraction, digests), digests, k, exclude_same=exclude_same)
    result = SearchResult(
        name=source.name,
        layer=source.layer,
        split=split,
        n=len(searched.table),
        k=k,
        classes=_classes_of(searched),
        results=tuple(
            QueryResult(
                query.item.id,
                _label_of(query.item, extraction.dataset.classes),
                near,
                query.item.path,
                query.digest,
                query.item.pixels,
            )
            for query, near in zip(queries, found, strict=True)
        ),
        failed=(*source.failed, *extraction.failed),
        multilabel=source.table.targets is not None,
    )
    result = replace(result, seconds=time.perf_counter() - start)
    return _written(result, html, out)


def _classes_of(searched: Source) -> tuple[str, ...]:
    """Return the classes or labels of the images that are searched, sorted; none of images without labels."""
    table = searched.table
    if table.targets is not None:
        return tuple(sorted(table.label_names))
    return tuple(sorted({label for label in table.labels if label is not None}))


def _label_of(item: Item, names: Sequence[str]) -> str | None:
    """Return the class of an image, or its labels; None where none is known."""
    if item.targets is None:
        return item.label
    return joined(_labels_of(item.targets, names))


def _labels_of(targets: Sequence[float], names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the labels that are there; None where none is known."""
    if np.isnan(targets).all():
        return None
    return tuple(name for name, target in zip(names, targets, strict=True) if target == 1)


def joined(labels: Sequence[str] | None) -> str | None:
    """Return several labels as one text; None for none that is known."""
    return None if labels is None else joined_labels(labels)


def neighbours_of(
    source: Source, rows: NDArray[np.float32], digests: Sequence[str], k: int, *, exclude_same: bool = False
) -> list[tuple[Neighbour, ...]]:
    """Return the k nearest images of a source for each row, the most similar first; fewer where there are fewer.

    Images with the same cosine are in the order of their digests.

    Args:
        source: The images that are searched.
        rows: (m, d) features in the source's layer.
        digests: (m,) SHA-256 of the images that the rows are of.
        k: At least 1.
        exclude_same: Leave out images with the same digest.
    """
    table = source.table
    copies = Counter(table.digests)
    most = max((copies[digest] for digest in digests), default=0)
    numbers, cosines = nearest(table.X, rows, k + most if exclude_same else k)

    def neighbour(i: int, cosine: float, digest: str) -> Neighbour:
        label = table.labels[i]
        labels: tuple[str, ...] | None = None if label is None else (label,)
        if table.targets is not None:
            labels = _labels_of(table.targets[i].tolist(), table.label_names)
        return Neighbour(
            path=table.ids[i],
            label=joined(labels),
            labels=labels or (),
            split=table.splits[i],
            group=table.groups[i],
            cosine=cosine,
            same_file=table.digests[i] == digest,
            file=source.files[i],
            digest=table.digests[i],
            extra={name: column[i] for name, column in table.extra.items()},
            pixels=source.pixels[i] if source.pixels else None,
        )

    found = []
    for digest, places, values in zip(digests, numbers.tolist(), cosines.tolist(), strict=True):
        kept = [
            neighbour(i, cosine, digest)
            for i, cosine in zip(places, values, strict=True)
            if not (exclude_same and table.digests[i] == digest)
        ]
        found.append(tuple(kept[:k]))
    least = min(map(len, found), default=k)
    if least < k:
        log.warning(
            "Only %s can be neighbours, fewer than the %s wanted; all of them are given.",
            images_in_words(least),
            f"{k:,}",
        )
    return found


def _written(result: SearchResult, html: str | Path | None, out: str | Path | None) -> SearchResult:
    """Write the files that are wanted, and return the result with their paths."""
    files: list[Path] = []
    try:
        if out is not None:
            files.append(result.write(out))
        if html is not None:
            files.append(result.write_page(html))
    except StoreError as error:
        raise UnwrittenError(error, replace(result, files=tuple(files))) from error
    return replace(result, files=tuple(files))
