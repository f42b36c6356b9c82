"""`featx clusters`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.clustering import Clusters, ImageClusters

MEASURES = {
    "silhouette": "Silhouette",
    "davies_bouldin": "Davies-Bouldin ↓",
    "calinski_harabasz": "Calinski-Harabasz",
    "knn_purity": "kNN purity",
    "kmeans_ari": "k-means ARI",
    "kmeans_nmi": "k-means NMI",
    "hdbscan_ari": "HDBSCAN ARI",
    "hdbscan_nmi": "HDBSCAN NMI",
}

finding_option = partial(typer.Option, rich_help_panel="Clusters without labels")


@options.command
def command(
    place: options.SeveralPlaces,
    *,
    layer: Annotated[
        options.Layer | None,
        options.feature_option(
            help="Features to measure: of the backbone, or of the head's second to last layer.",
            show_default="both for a run, backbone for data",
        ),
    ] = None,
    features: options.Features,
    reading: options.DataOptions,
    split: Annotated[options.Split, typer.Option(help="Images to measure.")] = "train",
    by: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column whose values are the classes: label, label:NAME for one of several labels, group, split, or "
            "another one of the manifest.",
        ),
    ] = "label",
    neighbours: Annotated[int, typer.Option(min=1, help="Number of nearest neighbours for kNN purity.")] = 10,
    permutations: Annotated[
        int, typer.Option(min=1, help="Number of times the labels are permuted, to see which values chance gives.")
    ] = 199,
    sample: Annotated[
        int,
        typer.Option(min=2, help="Largest number of images to measure; of more images, a random sample is measured."),
    ] = 5000,
    k: Annotated[
        str | None,
        finding_option(
            "--k",
            metavar="N|A..B",
            help="Number of clusters of k-means, or a range from which the best is taken.",
            show_default="2..10",
        ),
    ] = None,
    min_cluster_size: Annotated[
        int | None,
        finding_option(
            min=2,
            help="Smallest cluster that HDBSCAN looks for.",
            show_default="one in a hundred images, at least 5",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write tables and pictures to this folder.")
    ] = None,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Measure how well classes are separated in the features, or find clusters of images without labels."""
    from featx.clustering import ImageClusters, clusters

    work = partial(
        clusters,
        options.one_or_several(place),
        out=out,
        layer=layer,
        split=split,
        by=by,
        neighbours=neighbours,
        permutations=permutations,
        sample=sample,
        k=k,
        min_cluster_size=min_cluster_size,
        seed=seed or 0,
        recipe=features.recipe,
        cache=cache,
        on_error=on_error,
        yes=yes,
        **features.choice(),
        **reading.choice(),
    )
    measured, refusal = console.unless_unwritten(work)
    if isinstance(measured, ImageClusters):
        return console.Result(measured.to_json(), lambda: _show_clusters(measured), refusal)
    return console.Result(measured.to_json(), lambda: _show(measured), refusal)


def _show_clusters(result: ImageClusters) -> None:
    parts, structure = result.partition, result.structure
    value = structure.silhouette
    console.print_lines(
        [
            f"{len(result.ids)} images in {parts.k} clusters of k-means, found without labels, "
            f"in {result.seconds:.1f} s.",
            f"Silhouette {_number(value.value)} (without clusters {_number(value.low)} to "
            f"{_number(value.high)}), stability {_number(parts.chosen.stability)}.",
            f"HDBSCAN: {structure.dense_count} clusters, {100 * structure.noise:.0f} % of the images in none.",
            "",
        ]
    )
    header, rows = result.overview()
    console.print_table(rows, header)
    if len(parts.candidates) > 1:
        console.print_lines([""])
        tried = [
            [str(one.k), _number(one.silhouette), _number(one.stability), "chosen" * (one.k == parts.k)]
            for one in parts.candidates
        ]
        console.print_table(tried, ("k", "silhouette", "stability", ""))
    console.print_lines([f"  {path}" for path in result.files])


def _show(measured: Clusters) -> None:
    main = measured.main.quality
    console.print_lines(
        [
            f"{len(main.labels)} images of {len(main.classes)} classes by {measured.by}, "
            f"in {measured.seconds:.1f} s.",
            f"kNN: {main.neighbours} neighbours; chance: mean of {main.permutations} permutations of the labels.",
            "",
        ]
    )
    first, *others = [part.quality.measures() for part in measured.parts]
    rows = [
        [
            MEASURES[name],
            _number(one.value),
            _number(one.mean),
            f"{one.p_value:.3f}",
            *(_number(other[name].value) if name in other else "" for other in others),
        ]
        for name, one in first.items()
    ]
    header = ["", *(f"{part.layer}\n{part.split}" for part in measured.parts)]
    header[2:2] = ["\nchance", "\np"]
    console.print_table(rows, header)
    console.print_lines([""])
    classes = [(name, main.of_class(number)) for number, name in enumerate(main.classes)]
    console.print_table(
        [
            [name, str(one["n"]), _number(one["silhouette"]), _number(one["knn_purity"]), one["nearest"]]
            for name, one in classes
        ],
        (f"{measured.main.layer}, {measured.main.split}", "images", "silhouette", "kNN purity", "nearest class"),
    )
    console.print_lines([f"  {path}" for path in measured.files])


def _number(value: float | None) -> str:
    from featx.text import decimal

    return "" if value is None else decimal(value, 3 if abs(value) < 100 else 0)
