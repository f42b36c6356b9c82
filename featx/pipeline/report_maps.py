"""The report's section of maps, from features in the cache: for the screen with a mouse, for paper as drawings."""

from __future__ import annotations

from dataclasses import dataclass, field

from featx import plots
from featx.embed import Embedding, silhouette, tsne
from featx.interactive import MapData, components
from featx.pipeline.progress import Progress, silent
from featx.pipeline.report_data import Told
from featx.pipeline.report_models import Coefficients
from featx.pipeline.sources import Layer, Source, of_run
from featx.pipeline.thumbnailing import atlas_of
from featx.report_blocks import Block, Figure, Interactive, Section, Table
from featx.report_numbers import decimal, images
from featx.report_svg import inline_svg
from featx.store import Store
from featx.thumbnails import Atlas

TITLES: dict[Layer, str] = {"penultimate": "penultimate features", "backbone": "backbone's features"}
SPLIT = "train"


@dataclass
class Atlases:
    """Thumbnails of the maps of one page, which hold those of the same images once."""

    made: dict[tuple[str, ...], Atlas | None] = field(default_factory=dict)

    def of(self, source: Source, progress: Progress) -> tuple[Atlas | None, bool]:
        """Return the thumbnails of a map's images, and whether the page does not have them yet."""
        key = source.table.digests
        if key in self.made:
            return self.made[key], False
        self.made[key] = atlas_of(source.files, source.table.digests, progress=progress)
        return self.made[key], True


def maps_section(
    told: Told, store: Store, atlases: Atlases, *, seed: int, heading: int, progress: Progress = silent
) -> tuple[Section, Coefficients]:
    """Return the section, a t-SNE map of the training images for each layer, and the silhouettes found.

    Args:
        told: The run.
        store: With its features.
        atlases: Of the page.
        seed: Of the maps.
        heading: The level of the maps' own headings.
        progress: Told how far the work is.

    Raises:
        RunError: The features are not in the cache.
        DataError: There are too few images for a map.
    """
    layers: list[Layer] = ["backbone"]
    if told.run.manifest["head"]["penultimate"] is not None:
        layers.insert(0, "penultimate")
    blocks: list[Block] = []
    found: Coefficients = {"backbone": None, "penultimate": None, "map": None}
    rows = []
    for number, layer in enumerate(layers):
        progress(f"maps of {told.name}", number, len(layers))
        source = of_run(told.run, layer, store).of_split(SPLIT)
        labels = source.column("label")
        embedding = tsne(source.table.X, seed=seed)
        features, on_map = silhouette(source.table.X, labels), silhouette(embedding.points, labels)
        blocks += [
            _interactive(told, source, embedding, atlases, heading, progress),
            _drawing(told, source, embedding, on_map),
        ]
        quality = (embedding.trustworthiness, features, on_map)
        rows.append((TITLES[layer], f"{len(labels):,}", *map(decimal, quality)))
        found[layer] = features
        if layer == layers[0]:
            found["map"] = on_map
    progress(f"maps of {told.name}", len(layers), len(layers))
    return Section("Maps", told.id("maps"), (*blocks, _trust(rows))), found


def _trust(rows: list[tuple[str, ...]]) -> Table:
    caption = (
        "How far to trust the maps: trustworthiness (Venna and Kaski 2001, 0 to 1, 15 neighbours) is high where "
        "neighbours on the map are neighbours among the features; silhouette (Rousseeuw 1987, -1 to 1) is high where "
        "classes lie apart."
    )
    header = ("features", "images", "trustworthiness", "silhouette of features", "silhouette on map")
    return Table(caption, header, tuple(rows))


def _interactive(
    told: Told, source: Source, embedding: Embedding, atlases: Atlases, heading: int, progress: Progress
) -> Interactive:
    atlas, new = atlases.of(source, progress)
    predicted = source.predicted
    data = MapData(
        points=embedding.points,
        labels=source.column("label"),
        names=source.table.ids,
        title=f"Training images by the {TITLES[source.layer]}",
        note=f"{embedding.method}. Axes have no unit; distances between groups mean little.",
        predicted=None if predicted is None else predicted.labels,
        confidence=None if predicted is None else tuple(map(float, predicted.probabilities.max(axis=1))),
        atlas=atlas,
    )
    key = told.id(f"live-{source.layer}")
    script, place = components(data, heading=heading, with_atlas=new, key=key)
    return Interactive(place, script)


def _drawing(told: Told, source: Source, embedding: Embedding, on_map: float | None) -> Figure:
    labels = source.column("label")
    counts = ", ".join(f"{name} {labels.count(name):,}" for name in sorted(set(labels)))
    axes = plots.scatter(embedding.points, labels, "", embedding.method)
    alt = (
        f"Scatter plot of {images(len(labels))}: {counts}. Silhouette of the classes on the map {decimal(on_map, 2)}."
    )
    caption = (
        f"Training images by the {TITLES[source.layer]}. Axes have no unit; distances between groups mean little."
    )
    return Figure(inline_svg(axes, told.id(f"map-{source.layer}")), alt, caption, print_only=True)
