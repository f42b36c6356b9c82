"""The verb `extract`: compute the rows that the store lacks, and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from featx.data import SURVEY, Dataset, groups_in_two_splits, read_data, targets_of, with_frames
from featx.errors import DataError
from featx.features.choice import Choice, check_has_card, chosen_spec, data_choice, with_card
from featx.features.compute import compute
from featx.features.decoding import STATISTICS, Work, with_statistics
from featx.features.depth import with_depth
from featx.features.estimates import check_number_of_rows
from featx.features.hashing import Failure, Image, OnError, hash_images, set_aside
from featx.features.spaces import FeatureSpace, ViewRows
from featx.features.table import FeatureTable
from featx.features.two_labels import warn_of_two_labels
from featx.frames import Shown, columns_of
from featx.networks import Engine, Weights, chosen_engine, find_weights
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import FeatureSpec, Precision
from featx.store import RowKey, StatCache, Store
from featx.text import count
from featx.text import images as images_in_words

log = logging.getLogger("featx")


@dataclass(frozen=True, repr=False)
class Extraction(Shown):
    """The result of `extract`, and the way to its rows.

    Attributes:
        dataset: The data as it was read.
        images: The images that could be used, in the data's order.
        failed: The images that could not.
        space: Where the rows are, and everything that decides them.
        rows: Number of distinct rows that the images need and that the cache now has.
        computed: How many of them this call computed.
        dim: Features in a row.
        parameters: Number of the backbone's weights.
        seconds: Wall time.
        engine: The engine that ran the network, or would have.
    """

    dataset: Dataset
    images: tuple[Image, ...]
    failed: tuple[Failure, ...]
    space: FeatureSpace
    rows: int
    computed: int
    dim: int
    parameters: int
    seconds: float
    engine: str

    @property
    def spec(self) -> FeatureSpec:
        """The features, with all statistics filled in."""
        return self.space.spec

    @property
    def weights(self) -> Weights:
        """The backbone's weights."""
        return self.space.weights

    @property
    def store(self) -> Store:
        """The cache."""
        return self.space.store

    def headline(self) -> str:
        """Return `306 images, 306 rows of 1,280 features by vgg16 (12 computed, 294 reused)`."""
        reused = self.rows - self.computed
        return (
            f"{images_in_words(len(self.images))}, {count(self.rows)} rows of {count(self.dim)} features by "
            f"{self.spec.backbone.name} ({count(self.computed)} computed, {count(reused)} reused)"
        )

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the number of images by class and split."""
        return self.dataset.overview()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx extract`."""
        unlabelled = self.dataset.unlabelled_counts()
        return {
            "images": len(self.images) + len(self.failed),
            "rows": self.rows,
            "computed": self.computed,
            "reused": self.rows - self.computed,
            "failed": [failure.to_json() for failure in self.failed],
            "feature_set": self.space.plain.id,
            "dim": self.dim,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(len(self.images) / self.seconds, 2),
            "engine": self.engine,
            "splits": self.dataset.counts(),
            **({"unlabelled": unlabelled} if unlabelled else {}),
        }

    def select(self, split: str | None = None) -> list[Image]:
        """Return the usable images of a split, or all."""
        return [image for image in self.images if split in (None, image.item.split)]

    def view_rows(self, images: Sequence[Image], views: int = 1) -> ViewRows:
        """Return rows of the first views of images, read from the store when they are indexed."""
        return self.space.rows([image.digest for image in images], views)

    def table(self, split: str | None = None) -> FeatureTable:
        """Return the features of the images themselves (view 0) in memory, with the images' columns."""
        return self.table_of(self.select(split))

    def table_of(self, images: Sequence[Image]) -> FeatureTable:
        """Return the features of some images in memory, in their order, see `table`."""
        rows = self.space.plain.rows([(image.digest, 0) for image in images])
        items = [image.item for image in images]
        multilabel = self.dataset.multilabel
        return FeatureTable(
            rows.to_array(),
            ids=tuple(item.id for item in items),
            labels=tuple(item.label for item in items),
            splits=tuple(item.split for item in items),
            groups=tuple(item.group for item in items),
            digests=tuple(image.digest for image in images),
            views=(0,) * len(items),
            extra=columns_of([item.extra for item in items]),
            targets=targets_of(items, self.dataset.classes) if multilabel else None,
            label_names=self.dataset.classes if multilabel else (),
        )


@reports_progress
def extract(
    data: Any,
    recipe: FeatureSpec | str | Path | None = None,
    *,
    views: int | None = None,
    cut: str | None = None,
    dtype: str | None = None,
    precision: Precision | None = None,
    cache: str | Path = "cache",
    engine: Engine = "auto",
    batch_size: int | None = None,
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> Extraction:
    """Compute the features that the cache lacks.

    Args:
        data: A folder of class folders or split folders, or a CSV or Parquet manifest; a data frame, a list of paths
            or images in memory, see `read_data`.
        recipe: What features: a recipe, its name or path, or a `FeatureSpec`. Without it and without a backbone,
            EfficientNet-Lite0, which comes with featx, with its default settings (see `default_recipe`).
        views: Augmented views of each training image, including the image itself.
        cut: Layer whose output is used, instead of the last.
        dtype: `float32` or `float16`, on disk.
        precision: `float32`, or `mixed` for GPUs with units for half precision.
        cache: Folder of the store, made when there is something to write.
        engine: What runs the network: `keras`, `openvino`, `onnxruntime` (for cards of ONNX files) or `auto`, which
            is OpenVINO where it is installed, can run the network and there is no GPU.
        batch_size: Images in a batch; the engine's default if not given.
        on_error: `skip` leaves out images that cannot be read; `fail` stops at the first and keeps the rows computed
            so far.
        yes: Do work that is estimated to need more disk or memory than there is.
        progress: Called with how far the work is.
        choice: Single fields of the features, and how the data is read, see `Choice`.

    Raises:
        UsageError: An argument is not valid, or not for this data.
        DataError: The data is not what is expected.
        ImageError: An image cannot be used and `on_error` is `fail`.
        WeightsError: The backbone's weights cannot be had.
        RecipeError: The spec does not fit the backbone.
        EngineError: The engine asked for cannot run the network.
        StoreError: The cache cannot be written.
        ResourcesError: The rows do not fit onto the disk, or the network's work not into memory.
    """
    further = {
        "views.count": views,
        "backbone.cut": cut,
        "features.dtype": dtype,
        "backbone.precision": precision,
    }
    spec = chosen_spec(recipe, choice, further)
    dataset = read_data(data, missing="keep" if on_error == "skip" else "fail", cache=cache, **data_choice(choice))
    extraction = extract_dataset(dataset, spec, cache=cache, engine=engine, batch_size=batch_size, on_error=on_error)
    warn_of_two_labels(extraction.images)
    _warn_of_groups_in_two_splits(extraction.dataset)
    return extraction


def extract_dataset(
    dataset: Dataset,
    spec: FeatureSpec,
    *,
    weights: Weights | None = None,
    cache: str | Path = "cache",
    engine: Engine = "auto",
    batch_size: int | None = None,
    on_error: OnError = "fail",
) -> Extraction:
    """Do what `extract` does, for data that is already read; `weights` are those found before, if any."""
    chosen_engine(engine, spec.backbone.precision)  # before anything is read
    check_has_card(spec)
    dataset = with_frames(dataset, spec.images.frames)
    start = time.perf_counter()
    store = Store(Path(cache))
    weights = weights or find_weights(spec.backbone.name, spec.backbone.weights, store.root)
    images, failed = hash_images(dataset.items, on_error, StatCache(store.root))
    _check_any(images, failed)
    if dataset.test is not None and not dataset.split("test"):
        images = set_aside(images, dataset.test, dataset.classes)
        dataset = _with_items(dataset, images)
    train = [image for image in images if image.item.split == "train"]
    spec, ranges = with_depth(with_card(spec, weights), images, store)
    space = FeatureSpace(with_statistics(spec, train, store, on_error), weights, store, engine)
    engine_name: str = space.network.chosen_engine(engine)
    check_number_of_rows(space, images, spec.views.count)
    wanted = row_keys(images, spec.views.count)
    missing = space.missing(wanted)
    if space.spec != spec:
        _explain_new_statistics(space, missing)
    broken: dict[str, str] = {}
    if missing:
        report_progress("loading the network", 0, 1)
        network = space.network.build(engine, batch_size)
        report_progress("loading the network", 1, 1)
        engine_name = network.name
        broken = compute(work_of(images, missing), space, network, on_error)
    failed += [Failure(image.item.id, broken[image.digest]) for image in images if image.digest in broken]
    images = [image for image in images if image.digest not in broken]
    _check_any(images, failed)
    facts = space.network.facts()
    if ranges is not None:
        ranges.save()
    return Extraction(
        dataset=dataset,
        images=tuple(images),
        failed=tuple(sorted(failed, key=lambda failure: failure.path)),
        space=space,
        rows=sum(digest not in broken for digest, _ in wanted),
        computed=sum(digest not in broken for digest, _ in missing),
        dim=facts.width,
        parameters=facts.parameters,
        seconds=time.perf_counter() - start,
        engine=engine_name,
    )


def _with_items(dataset: Dataset, images: Sequence[Image]) -> Dataset:
    """Return a dataset whose items have the splits of the images, which may be fewer."""
    new = {image.item.id: image.item for image in images}
    return replace(dataset, items=tuple(new.get(item.id, item) for item in dataset.items))


def in_two_splits(splits: Sequence[str], identities: Sequence[str | None]) -> list[tuple[int, int]]:
    """Return the numbers of two images of each identity, such as a group, of which images are in two splits."""
    first: dict[str, int] = {}
    pairs: dict[str, tuple[int, int]] = {}
    for number, identity in enumerate(identities):
        if identity is not None and splits[first.setdefault(identity, number)] != splits[number]:
            pairs.setdefault(identity, (first[identity], number))
    return list(pairs.values())


def _warn_of_groups_in_two_splits(dataset: Dataset) -> None:
    items = dataset.items
    pairs = in_two_splits([item.split for item in items], [item.group for item in items])
    if pairs:
        one, two = (items[number] for number in pairs[0])
        log.warning(
            "%s, such as %s (%s and %s); featx fit-head refuses such data, and --keep-group-in train leaves their "
            "images out of other splits.",
            groups_in_two_splits(items),
            one.group,
            one.id,
            two.id,
            extra={"subject": SURVEY},
        )


def row_keys(images: Iterable[Image], views: int) -> list[RowKey]:
    """Return the keys of the rows that images need, each once: all views of training images, view 0 of the others."""
    return list(
        dict.fromkeys(
            (image.digest, view) for image in images for view in range(views if image.item.split == "train" else 1)
        )
    )


def work_of(images: Iterable[Image], missing: Iterable[RowKey]) -> list[Work]:
    """Return the work for rows that are missing: each image once, in the images' order."""
    views: dict[str, list[int]] = {}
    for digest, view in missing:
        views.setdefault(digest, []).append(view)
    first = {image.digest: image for image in reversed(list(images))}
    return [Work(first[image.digest], tuple(views.pop(image.digest))) for image in images if image.digest in views]


def _check_any(images: Sequence[Image], failed: Sequence[Failure]) -> None:
    if failed and not images:
        first = failed[0]
        raise DataError(f"None of the {len(failed)} images could be used; the first: {first.path} {first.reason}.")


def _explain_new_statistics(space: FeatureSpace, missing: Sequence[RowKey]) -> None:
    """Explain why rows are computed again where only the statistics of the training images differ."""
    wanted = _without_statistics(space.plain.description)
    for other in space.store.spaces():
        alike = other.id != space.plain.id and _without_statistics(other.description) == wanted
        if alike and len(other.missing(missing)) < len(missing):
            log.warning(
                "The cache has rows of these images, but with the channel statistics of other training images, so "
                "'featurewise' does not reuse them. To reuse them, set preprocess.mean and preprocess.std in the "
                "recipe to the values in a run's recipe.toml.",
                extra={"subject": STATISTICS},
            )
            return


def _without_statistics(description: Mapping[str, Any]) -> dict[str, Any]:
    return {**description, "preprocess": (description.get("preprocess") or {}).get("rule")}
