"""The verb `clusters`: how well classes are separated in cached features, or which clusters there are."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from featx.clustering.choosing import parsed_numbers
from featx.clustering.cluster_files import write_clusters
from featx.clustering.quality import Quality, measure
from featx.clustering.result import Clusters, ImageClusters
from featx.clustering.unlabelled import remarks, structure
from featx.clustering.writing import LayerQuality, write_parts
from featx.data import refuse_folder_of_images
from featx.errors import DataError, StoreError, UnwrittenError, UsageError
from featx.features import Choice, OnError
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import Layer, Source, is_run_path, read_source, run_source
from featx.store import Store

log = logging.getLogger("featx")

# This many images take about 1.2 GB, which grows with the square of their number; more change the values little.
SAMPLE = 5000
# If there are fewer labellings than this, no p-value can be small.
LABELLINGS = 20
TRAINED = (
    "The penultimate layer was trained with the labels of the training images, so classes are separated there even "
    "if they are not in new images; judge the head by the test split."
)
TRAINED_BY = (
    "The penultimate layer was trained with the labels of the training images, so everything related to the label is "
    "separated there too; the backbone was not trained with them."
)
TRAINED_CLUSTERS = (
    "The penultimate layer was trained with the labels of the training images, so its clusters are mostly the "
    "classes; use --layer backbone for clusters that labels did not make."
)


@reports_progress
def clusters(
    place: Any,
    *,
    out: str | Path | None = None,
    layer: Layer | None = None,
    split: str = "train",
    by: str = "label",
    neighbours: int = 10,
    permutations: int = 199,
    sample: int = SAMPLE,
    k: str | int | None = None,
    min_cluster_size: int | None = None,
    seed: int = 0,
    recipe: FeatureSpec | str | Path | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> Clusters:
    """Measure how well classes are separated in the features, and compare with permuted labels.

    Of images without labels, or with `labels="none"`, the result is an `ImageClusters`: the clusters of k-means and
    of HDBSCAN, with silhouettes, stability and the images nearest to each centre.

    Args:
        place: A folder that `fit_head` wrote, or data, see `read_data`.
        out: Folder of tables and pictures; nothing is written if not given.
        layer: `penultimate` or `backbone` alone. The default is both for a run, and the backbone for data and for
            clusters without labels.
        split: `train`, `val`, `test` or `all`. If there is a test split, it is measured as well.
        by: A column of the manifest whose values are the classes; images with an empty cell are left out.
        neighbours: The number of neighbours for kNN purity, at least 1.
        permutations: The number of label permutations, at least 1.
        sample: If there are more images than this, a seeded sample of this size is measured; at least 2.
        k: Without labels, the number of clusters such as `5`, or a range such as `2..20`, see `partition`.
        min_cluster_size: Without labels, the smallest cluster that HDBSCAN looks for, see `structure`.
        seed: The same seed gives the same numbers, whatever the order of files.
        recipe: The features of data, see `extract`. A run has its own.
        cache: Folder of the store.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.
        choice: Single fields of the features, and how data is read, see `Choice`. `labels="none"` is for a run, too.

    Raises:
        UsageError: An argument is not valid.
        DataError: There are too few images or classes, or there is no such column.
        FeatxError: What `read_source` raises.
    """
    options: dict[str, Any] = {"k": k, "min_cluster_size": min_cluster_size, "sample": sample, "seed": seed}
    start = time.perf_counter()
    if sample < 2:
        raise UsageError(f"Expected a sample of at least 2 images, received {sample}.")
    if out is not None and not is_run_path(place):
        refuse_folder_of_images(out, place)
    if k is not None:
        parsed_numbers(k)  # before anything is computed
    labels = choice.get("labels")
    ignored = isinstance(labels, str) and labels == "none"
    if ignored and is_run_path(place):
        del choice["labels"]
        layer = layer or "backbone"
    source = read_source(place, layer=layer, recipe=recipe, cache=cache, on_error=on_error, **choice)
    folder = None if out is None else Path(out)
    if by == "label" and (ignored or not any(source.table.labels)):
        if layer is None and source.run is not None:
            source = run_source(source.run, "backbone", Store(Path(cache)))
        measured: Clusters = find_clusters(source, out=folder, split=split, **options)
        return replace(measured, seconds=time.perf_counter() - start)
    if k is not None or min_cluster_size is not None:
        what = "a number of clusters" if k is not None else "a smallest cluster"
        way = "add --labels none" if by == "label" else "leave out --by and add --labels none"
        raise UsageError(f"Expected {what} for images without labels only; {way}, or leave it out for classes.")
    sources = [source]
    if layer is None and source.layer == "penultimate" and source.run is not None:
        sources.append(run_source(source.run, "backbone", Store(Path(cache))))
    measured = measure_clusters(
        sources,
        out=folder,
        split=split,
        by=by,
        neighbours=neighbours,
        permutations=permutations,
        sample=sample,
        seed=seed,
    )
    return replace(measured, seconds=time.perf_counter() - start)


def find_clusters(
    source: Source,
    *,
    out: Path | None = None,
    split: str = "train",
    k: str | int | None = None,
    min_cluster_size: int | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
) -> ImageClusters:
    """Look for clusters in rows that are already open, without their labels; the arguments are those of `clusters`.

    Raises:
        UsageError: An argument is not valid.
        DataError: There are too few images, or all are alike.
        StoreError: The folder cannot be written.
    """
    rows = source.of_split(split)
    known = structure(
        rows.table.X, rows.group_ids(), k=k, min_cluster_size=min_cluster_size, sample=sample, seed=seed
    )
    notes = list(remarks(known, k))
    if rows.table.label_names:
        first = rows.table.label_names[0]
        # Reports have these notes, too, and no --by.
        way = f"featx clusters --by label:{first} compares images with one of them and without it"
        notes.insert(0, f"Images may have several labels, which are not used; {way}.")
    if rows.layer == "penultimate":
        notes.insert(0, TRAINED_CLUSTERS)
    for note in notes:
        log.warning("%s", note)
    found = ImageClusters(
        by="",
        parts=(),
        notes=tuple(notes),
        files=(),
        failed=source.failed,
        layer=rows.layer,
        split=split,
        ids=rows.table.ids,
        digests=rows.table.digests,
        structure=known,
    )
    try:
        return found if out is None else replace(found, files=write_clusters(out, found, rows))
    except StoreError as error:
        raise UnwrittenError(error, found) from error


def measure_clusters(
    sources: Sequence[Source],
    *,
    out: Path | None = None,
    split: str = "train",
    by: str = "label",
    neighbours: int = 10,
    permutations: int = 199,
    sample: int = SAMPLE,
    seed: int = 0,
) -> Clusters:
    """Measure how well classes are separated in rows that are already open.

    `sources` are one or more layers of the same images, the main one first. The other arguments are those of
    `clusters`.

    Raises:
        UsageError: An argument is not valid.
        DataError: There are too few images or classes, or there is no such column.
        StoreError: The folder cannot be written.
    """
    wanted = [(source, split) for source in sources]
    if split in ("train", "val") and "test" in sources[0].table.splits:
        wanted += [(source, "test") for source in sources]
    notes: list[str] = []
    parts: list[LayerQuality] = []
    for number, (source, name) in enumerate(wanted):
        report_progress("clusters", number, len(wanted))
        try:
            rows, labels = _labelled(source.of_split(name), by, sample, seed, notes)
            quality = measure(
                rows.table.X, labels, rows.group_ids(), neighbours=neighbours, permutations=permutations, seed=seed
            )
        except DataError as error:
            if not parts:
                raise
            notes.append(f"No values for the {source.layer} features of the split {name!r}: {error}")
            continue
        parts.append(LayerQuality(source.layer, name, rows.table.ids, quality))
    report_progress("clusters", len(wanted), len(wanted))
    notes += _remarks(parts, by)
    notes = list(dict.fromkeys(notes))
    for note in notes:
        log.warning("%s", note)
    measured = Clusters(by, tuple(parts), tuple(notes), (), sources[0].failed)
    try:
        return measured if out is None else replace(measured, files=write_parts(out, parts, by))
    except StoreError as error:
        raise UnwrittenError(error, measured) from error


def _labelled(source: Source, by: str, sample: int, seed: int, notes: list[str]) -> tuple[Source, Sequence[str]]:
    """Return the rows that have a class, or a sample if they are too many, and their classes."""
    values = source.column(by)
    index: NDArray[np.int64] = np.array([i for i, value in enumerate(values) if value], np.int64)
    where = f"of the split {source.table.splits[0]!r}" if len(set(source.table.splits)) == 1 else "of all splits"
    if len(index) < len(values):
        notes.append(f"{len(values) - len(index)} of {len(values)} images {where} have no {by} and are left out.")
    if not len(index):
        raise DataError(f"None of the {len(values)} images {where} has a value of {by!r}; choose another --by.")
    if len(index) > sample:
        notes.append(
            f"Measured on a sample of {sample} of {len(index)} images {where}, seed {seed}; use --sample for more."
        )
        index = np.sort(np.random.default_rng(seed).choice(index, sample, replace=False))
    return source.take(index), [values[i] for i in index]


def _remarks(parts: Sequence[LayerQuality], by: str) -> Iterator[str]:
    if any(part.layer == "penultimate" and part.split != "test" for part in parts):
        yield TRAINED if by == "label" else TRAINED_BY
    for part in parts:
        yield from _remarks_on(part.quality, part.split)


def _remarks_on(quality: Quality, split: str) -> Iterator[str]:
    blocks = quality.blocks
    if blocks.grouped or blocks.mixed:
        mixed = "; a group with several classes is one block for each class" if blocks.mixed else ""
        yield (
            f"Labels of the split {split!r} are permuted by group: {len(blocks.labels)} blocks of images keep a "
            f"common label{mixed}."
        )
    if blocks.labellings < LABELLINGS:
        yield (
            f"There are only {blocks.labellings:.0f} ways to label the {len(blocks.labels)} groups of the split "
            f"{split!r}, so its p-values mean nothing."
        )
    single = [name for number, name in enumerate(quality.classes) if np.sum(quality.labels == number) == 1]
    if single:
        yield (
            f"{len(single)} of {len(quality.classes)} classes of the split {split!r} have one image, whose "
            "silhouette is 0 by definition."
        )
