"""The report's section of maps, from features in the cache: for the screen with a mouse, for paper as drawings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from featx import plots
from featx.images import Atlas, atlas_of
from featx.maps import NEIGHBOURS, Map, MapData, components, visualize
from featx.plots import inline_svg, short_names
from featx.progress import report_progress
from featx.reports.blocks import Block, Figure, Interactive, Section, Table, Text
from featx.reports.side_by_side import Coefficients
from featx.reports.told import Told
from featx.runs import Layer
from featx.text import decimal, images

TITLES: dict[Layer, str] = {"penultimate": "penultimate features", "backbone": "backbone's features"}
UNITLESS = "Axes have no unit; sizes of groups and distances between them mean little."


@dataclass
class Atlases:
    """Thumbnails of the maps of one page, which holds those of the same images once."""

    made: dict[tuple[str, ...], Atlas | None] = field(default_factory=dict)

    def of(self, drawn: Map) -> tuple[Atlas | None, bool]:
        """Return the thumbnails of a map's images, and whether the page does not have them yet."""
        key = drawn.points.digests
        if key in self.made:
            return self.made[key], False
        self.made[key] = atlas_of(drawn.points.files, key)
        return self.made[key], True


def maps_section(
    told: Told, cache: Path, atlases: Atlases, *, seed: int, heading: int
) -> tuple[Section, Coefficients]:
    """Return the section: for each layer a t-SNE map of the training images with the test images placed on it.

    Args:
        told: The run.
        cache: The store with its features.
        atlases: Of the page.
        seed: Of the maps.
        heading: The level of the maps' own headings.

    Returns:
        The section, and the silhouettes of the training images.

    Raises:
        RunError: The features are not in the cache.
        DataError: There are too few images for a map.
    """
    layers: list[Layer] = ["backbone"]
    if told.run.manifest["head"]["penultimate"] is not None:
        layers.insert(0, "penultimate")
    add = "test" if told.of_role("test") else None
    blocks: list[Block] = []
    if add:
        blocks.append(Text("The test images were placed on each map afterwards and are hollow."))
    found: Coefficients = {"backbone": None, "penultimate": None, "map": None}
    rows = []
    for number, layer in enumerate(layers):
        report_progress(f"maps of {told.name}", number, len(layers))
        drawn = visualize(told.run.path, layer=layer, add_split=add, formats=(), seed=seed, cache=cache)
        blocks += [_interactive(told, drawn, atlases, heading), _drawing(told, drawn)]
        quality = (drawn.trustworthiness, drawn.stability, drawn.silhouette["features"], drawn.silhouette["map"])
        rows.append((TITLES[layer], f"{len(drawn.embedding.points):,}", *map(decimal, quality)))
        found[layer] = drawn.silhouette["features"]
        if layer == layers[0]:
            found["map"] = drawn.silhouette["map"]
    report_progress(f"maps of {told.name}", len(layers), len(layers))
    return Section("Maps", told.id("maps"), (*blocks, _trust(rows))), found


def _trust(rows: list[tuple[str, ...]]) -> Table:
    caption = (
        "How far to trust the maps of the training images: trustworthiness (Venna and Kaski 2001, 0 to 1, "
        f"{NEIGHBOURS} neighbours) is high where neighbours on the map are neighbours among the features; stability "
        "(0 to 1) where another seed gives the same neighbours; silhouette (Rousseeuw 1987, -1 to 1) where classes "
        "lie apart."
    )
    header = ("features", "images", "trustworthiness", "stability", "silhouette of features", "silhouette on map")
    return Table(caption, header, tuple(rows))


def _interactive(told: Told, drawn: Map, atlases: Atlases, heading: int) -> Interactive:
    atlas, new = atlases.of(drawn)
    points = drawn.points
    data = MapData(
        points=points.xy,
        labels=points.labels,
        names=points.ids,
        title=f"Training images by the {TITLES[drawn.layer]}",
        note=f"{drawn.embedding.method}. {UNITLESS}",
        predicted=points.predicted,
        confidence=points.confidence,
        added=points.added,
        atlas=atlas,
    )
    script, place = components(data, heading=heading, with_atlas=new, key=told.id(f"live-{drawn.layer}"))
    return Interactive(place, script)


def _drawing(told: Told, drawn: Map) -> Figure:
    points = drawn.points
    short = short_names(sorted(set(points.labels)))
    labels = [short[name] for name in points.labels]
    axes = plots.scatter(points.xy, labels, "", drawn.embedding.method, wrong=points.wrong, added=points.added)
    counts = ", ".join(f"{name} {points.labels.count(name):,}" for name in sorted(set(points.labels)))
    alt = (
        f"Scatter plot of {images(len(points))}: {counts}. Silhouette of the classes on the map "
        f"{decimal(drawn.silhouette['map'], 2)}."
    )
    caption = f"Training images by the {TITLES[drawn.layer]}. {UNITLESS}"
    return Figure(inline_svg(axes, told.id(f"map-{drawn.layer}")), alt, caption, print_only=True)
