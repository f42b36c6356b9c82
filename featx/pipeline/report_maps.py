"""The report's section of maps, from features in the cache."""

from __future__ import annotations

from featx import plots
from featx.embed import silhouette, tsne
from featx.pipeline.progress import Progress, silent
from featx.pipeline.report_data import Told
from featx.pipeline.report_models import Coefficients
from featx.pipeline.sources import Layer, Source, of_run
from featx.report_blocks import Block, Figure, Section, Table
from featx.report_numbers import decimal, images
from featx.report_svg import inline_svg
from featx.store import Store

TITLES: dict[Layer, str] = {"penultimate": "penultimate features", "backbone": "backbone's features"}


def maps_section(told: Told, store: Store, seed: int, progress: Progress = silent) -> tuple[Section, Coefficients]:
    """Return the section, a t-SNE map of the training images for each layer, and the silhouettes found.

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
        progress(f"maps {told.name}".strip(), number, len(layers))
        source = of_run(told.run, layer, store).of_split("train")
        block, row, (features, on_map) = _map(told, source, seed)
        blocks.append(block)
        rows.append(row)
        found[layer] = features
        if layer == layers[0]:
            found["map"] = on_map
    progress(f"maps {told.name}".strip(), len(layers), len(layers))
    caption = (
        "How far to trust the maps: trustworthiness (Venna and Kaski 2001, 0 to 1, 15 neighbours) is high where "
        "neighbours on the map are neighbours among the features; silhouette (Rousseeuw 1987, -1 to 1) is high where "
        "classes lie apart."
    )
    header = ("features", "images", "trustworthiness", "silhouette of features", "silhouette on map")
    blocks.append(Table(caption, header, tuple(rows)))
    return Section("Maps", told.id("maps"), tuple(blocks)), found


def _map(told: Told, source: Source, seed: int) -> tuple[Block, tuple[str, ...], tuple[float | None, float | None]]:
    table = source.table
    labels = tuple(label or "" for label in table.labels)
    embedding = tsne(table.X, seed=seed)
    features, on_map = silhouette(table.X, labels), silhouette(embedding.points, labels)
    title = TITLES[source.layer]
    axes = plots.scatter(embedding.points, labels, "", embedding.method)
    alt = (
        f"Scatter plot of {images(len(labels))} in {len(set(labels))} classes; silhouette of the classes on the map "
        f"{decimal(on_map, 2)}, among the features {decimal(features, 2)}."
    )
    caption = (
        f"Map of the training images by the {title}: {embedding.method}. Axes have no unit; distances between groups "
        "mean little."
    )
    figure = Figure(inline_svg(axes, told.id(f"map-{source.layer}")), alt, caption)
    row = (title, f"{len(labels):,}", decimal(embedding.trustworthiness), decimal(features), decimal(on_map))
    return figure, row, (features, on_map)
