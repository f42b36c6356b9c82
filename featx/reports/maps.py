"""The report's section of maps: interactive on a screen, drawings on paper."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from featx import plots
from featx.images import Atlas, atlas_of
from featx.maps import NEIGHBOURS, Map, components, draw_map, map_data, map_parameters
from featx.pages import Block, Interactive, Table, Text, drawing
from featx.progress import report_progress
from featx.reports.opened import OpenedRun, from_here
from featx.reports.side_by_side import Coefficients
from featx.runs import Layer, Source
from featx.text import count, decimal, images

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Classes that the description of a drawing names.
NAMED = 40
TITLES: dict[Layer, str] = {"penultimate": "penultimate features", "backbone": "backbone features"}
LABEL = "label"
BY_ANOTHER = "featx visualize {name} --by label:NAME draws a map of another one."
UNKNOWN = "unknown"
UNITLESS = "The axes have no unit. Sizes of clusters and distances between clusters mean little."


Atlases = dict[tuple[str, ...], Atlas | None]
"""The thumbnails on a page by the digests of their images; those of the same images are there once."""


def maps_blocks(
    opened: OpenedRun, atlases: Atlases, *, seed: int, heading: int
) -> tuple[tuple[Block, ...], Coefficients]:
    """Return a map of each layer, its title a heading of this level, and the silhouettes of the training images."""
    add_split = "test" if opened.of_role("test") else None
    blocks: list[Block] = []
    if add_split:
        text = "The test images were placed on each map afterwards, without changing it. Their points are hollow."
        blocks.append(Text(text))
    by = _by(opened.source(opened.layers[0]))
    if by != LABEL:
        text = f"The colours are those of one label, which the most images have; {BY_ANOTHER}"
        blocks.append(Text(text.format(name=from_here(opened.run.path))))
    silhouettes: Coefficients = {"backbone": None, "penultimate": None, "map": None}
    rows = []
    for number, layer in enumerate(opened.layers):
        report_progress(f"maps of {opened.name}", number, len(opened.layers))
        source, parameters = opened.source(layer), map_parameters(seed=seed)
        drawn = draw_map(source, parameters, by=by, add_split=add_split, known=opened.run.path)
        blocks += [_interactive(opened, drawn, atlases, heading), _drawing(opened, drawn)]
        quality = (drawn.trustworthiness, drawn.stability, drawn.silhouette["features"], drawn.silhouette["map"])
        rows.append((TITLES[layer], count(drawn.n), *map(decimal, quality)))
        if by != LABEL:  # not comparable with the classes of other runs
            continue
        silhouettes[layer] = drawn.silhouette["features"]
        if number == 0:
            silhouettes["map"] = drawn.silhouette["map"]
    report_progress(f"maps of {opened.name}", len(opened.layers), len(opened.layers))
    return (*blocks, _quality(rows)), silhouettes


def _by(source: Source) -> str:
    """Return what colours the points: the class, or of several labels the one that the most images have."""
    targets = source.table.targets
    if targets is None:
        return LABEL
    counts = (targets == 1).sum(axis=0)
    return f"label:{source.table.label_names[int(counts.argmax())]}"


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
    name = drawn.points.colouring.name
    coloured = "" if drawn.by == LABEL else f", coloured by {name}"
    return f"{kinds} by their {TITLES[drawn.layer]}{coloured}"


def _interactive(opened: OpenedRun, drawn: Map, atlases: Atlases, heading: int) -> Interactive:
    digests = drawn.points.digests
    if is_new := digests not in atlases:
        atlases[digests] = atlas_of(drawn.points.files, digests)
    data = map_data(drawn, _title(drawn), f"{drawn.embedding.method}. {UNITLESS}", atlases[digests])
    script, div = components(data, heading=heading, with_atlas=is_new, key=opened.id(f"live-{drawn.layer}"))
    return Interactive(div + script)


def _drawing(opened: OpenedRun, drawn: Map) -> Block:
    points = drawn.points
    of_class = Counter(points.labels if drawn.by == LABEL else (one or UNKNOWN for one in points.categories))
    named = sorted(name for name, _ in of_class.most_common(NAMED))
    counts = ", ".join(f"{name} {count(of_class[name])}" for name in named)
    counts += f" and {len(of_class) - len(named):,} more classes" if len(of_class) > len(named) else ""
    alt = (
        f"Scatter plot of {images(len(points))}: {counts}. Silhouette of the classes on the map: "
        f"{decimal(drawn.silhouette['map'], 2)}."
    )

    def draw() -> Axes:
        how = drawn.embedding.method
        if drawn.by != LABEL:
            return drawn.draw_titled("", how)
        return plots.draw_scatter(points.xy, points.labels, "", how, wrong=points.wrong, placed=points.placed)

    caption = f"{_title(drawn)}. {UNITLESS}"
    return drawing(draw, opened.id(f"map-{drawn.layer}"), alt, caption, print_only=True)
