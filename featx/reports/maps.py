"""The report's section of maps: interactive on a screen, drawings on paper."""

from __future__ import annotations

from dataclasses import dataclass, field

from featx import plots
from featx.images import Atlas, atlas_of
from featx.maps import NEIGHBOURS, Map, MapData, components, draw_map
from featx.progress import report_progress
from featx.reports.blocks import Block, Figure, Interactive, Table, Text
from featx.reports.opened import OpenedRun
from featx.reports.side_by_side import Coefficients
from featx.runs import Layer
from featx.text import count, decimal, images

TITLES: dict[Layer, str] = {"penultimate": "penultimate features", "backbone": "backbone features"}
UNITLESS = "The axes have no unit. Sizes of clusters and distances between clusters mean little."


@dataclass
class MapThumbnails:
    """Thumbnails of the maps of one page, which holds those of the same images once."""

    atlases: dict[tuple[str, ...], Atlas | None] = field(default_factory=dict)

    def of(self, drawn: Map) -> tuple[Atlas | None, bool]:
        """Return the thumbnails of a map's images, and whether the page does not have them yet."""
        digests = drawn.points.digests
        is_new = digests not in self.atlases
        if is_new:
            self.atlases[digests] = atlas_of(drawn.points.files, digests)
        return self.atlases[digests], is_new


def maps_blocks(
    opened: OpenedRun, thumbnails: MapThumbnails, *, seed: int, heading: int
) -> tuple[tuple[Block, ...], Coefficients]:
    """Return a t-SNE map of each layer, and the silhouettes of the training images.

    The training images make the map; the test images are placed on it.

    Args:
        opened: The run.
        thumbnails: Those of the page.
        seed: Of the maps.
        heading: The level of the maps' own headings.
    """
    add_split = "test" if opened.of_role("test") else None
    blocks: list[Block] = []
    if add_split:
        text = "The test images were placed on each map afterwards, without changing it. Their points are hollow."
        blocks.append(Text(text))
    silhouettes: Coefficients = {"backbone": None, "penultimate": None, "map": None}
    rows = []
    for number, layer in enumerate(opened.layers):
        report_progress(f"maps of {opened.name}", number, len(opened.layers))
        drawn = draw_map(opened.source(layer), add_split=add_split, seed=seed)
        blocks += [_interactive(opened, drawn, thumbnails, heading), _drawing(opened, drawn)]
        quality = (drawn.trustworthiness, drawn.stability, drawn.silhouette["features"], drawn.silhouette["map"])
        rows.append((TITLES[layer], count(drawn.n), *map(decimal, quality)))
        silhouettes[layer] = drawn.silhouette["features"]
        if number == 0:
            silhouettes["map"] = drawn.silhouette["map"]
    report_progress(f"maps of {opened.name}", len(opened.layers), len(opened.layers))
    return (*blocks, _quality(rows)), silhouettes


def _quality(rows: list[tuple[str, ...]]) -> Table:
    caption = (
        "How far the maps of the training images can be trusted. Trustworthiness (Venna and Kaski 2001, 0 to 1, "
        f"{NEIGHBOURS} neighbours) is high if neighbours on the map are neighbours in the features, too. Stability "
        "(0 to 1) is high if another seed gives the same neighbours. Silhouette (Rousseeuw 1987, \N{MINUS SIGN}1 to "
        "1) is high if the classes are well separated."
    )
    header = ("map of", "images", "trustworthiness", "stability", "silhouette of features", "silhouette on map")
    return Table(caption, header, tuple(rows))


def _title(drawn: Map) -> str:
    kinds = "Training and test images" if any(drawn.points.added) else "Training images"
    return f"{kinds} by their {TITLES[drawn.layer]}"


def _interactive(opened: OpenedRun, drawn: Map, thumbnails: MapThumbnails, heading: int) -> Interactive:
    atlas, is_new = thumbnails.of(drawn)
    points = drawn.points
    data = MapData(
        points=points.xy,
        labels=points.labels,
        names=points.ids,
        title=_title(drawn),
        note=f"{drawn.embedding.method}. {UNITLESS}",
        predicted=points.predicted,
        confidence=points.confidence,
        added=points.added,
        atlas=atlas,
    )
    script, div = components(data, heading=heading, with_atlas=is_new, key=opened.id(f"live-{drawn.layer}"))
    return Interactive(div, script)


def _drawing(opened: OpenedRun, drawn: Map) -> Figure:
    points = drawn.points
    classes = sorted(set(points.labels))
    short = plots.short_names(classes)
    labels = [short[name] for name in points.labels]
    axes = plots.draw_scatter(points.xy, labels, "", drawn.embedding.method, wrong=points.wrong, added=points.added)
    counts = ", ".join(f"{name} {count(points.labels.count(name))}" for name in classes)
    alt = (
        f"Scatter plot of {images(len(points))}: {counts}. Silhouette of the classes on the map: "
        f"{decimal(drawn.silhouette['map'], 2)}."
    )
    svg = plots.inline_svg(axes, opened.id(f"map-{drawn.layer}"))
    return Figure(svg, alt, f"{_title(drawn)}. {UNITLESS}", print_only=True)
