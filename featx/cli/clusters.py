"""`featx clusters`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, features, options
from featx.cli.extract import SKIPPED, skipped_lines

if TYPE_CHECKING:
    from featx.clustering import Clusters

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


def command(
    place: options.Place,
    layer: Annotated[
        options.LayerChoice | None,
        typer.Option(
            help="Which features alone; if not given a run's both, and the backbone's of data.",
            rich_help_panel=options.FEATURES,
        ),
    ] = None,
    recipe: options.RecipeChoice = None,
    backbone: options.BackboneChoice = None,
    pooling: options.PoolingChoice = None,
    preprocess: options.PreprocessChoice = None,
    size: options.Size = None,
    weights: options.WeightsChoice = None,
    split: Annotated[options.SplitChoice, typer.Option(help="Which images.")] = options.SplitChoice.train,
    by: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the manifest to measure by.")] = "label",
    neighbours: Annotated[int, typer.Option(min=1, help="Of kNN purity.")] = 10,
    permutations: Annotated[int, typer.Option(min=1, help="Of labels, to compare with.")] = 199,
    sample: Annotated[int, typer.Option(min=2, help="Measure at most as many images.")] = 5000,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write tables and pictures there.")] = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure how well classes are apart in the features."""
    console.start(quiet=quiet, debug=debug)
    from featx.clustering import clusters

    fields = {"backbone.pooling": pooling, "preprocess.mode": preprocess, "images.size": size}
    with console.progress_bars(quiet=quiet):
        result = clusters(
            place,
            out=out,
            layer=layer.value if layer else None,
            split=split.value,
            by=by,
            neighbours=neighbours,
            permutations=permutations,
            sample=sample,
            seed=seed or 0,
            spec=features.spec_if_asked(recipe, backbone, weights, fields),
            cache=cache,
            on_error=on_error.value,
        )
    if json:
        console.print_json(result.to_json())
    else:
        _tell(result)
    if result.failed:
        raise typer.Exit(SKIPPED)


def _tell(result: Clusters) -> None:
    main = result.main.quality
    console.print_lines(
        [
            f"{len(main.labels)} images of {len(main.classes)} classes by {result.by}, in {result.seconds:.1f} s.",
            f"kNN: {main.neighbours} neighbours; chance: mean of {main.permutations} permutations of the labels.",
            "",
        ]
    )
    found = [part.quality.measures() for part in result.parts]
    header = ["", *(f"{part.layer}\n{part.split}" for part in result.parts)]
    header[2:2] = ["\nchance", "\np"]
    rows = []
    for name, words in MEASURES.items():
        cells = [_number(own[name].value) if name in own else "" for own in found]
        if name in found[0]:
            rows.append([words, cells[0], _number(found[0][name].mean), f"{found[0][name].p_value:.3f}", *cells[1:]])
    console.print_table(rows, header)
    console.print_lines([""])
    classes = [(name, main.of_class(number)) for number, name in enumerate(main.classes)]
    console.print_table(
        [
            [name, str(own["n"]), f"{own['silhouette']:.3f}", _number(own["knn_purity"]), own["nearest"]]
            for name, own in classes
        ],
        (f"{result.main.layer}, {result.main.split}", "images", "silhouette", "kNN purity", "nearest class"),
    )
    failed = [failure.to_json() for failure in result.failed]
    console.print_lines([*(f"  {path}" for path in result.files), *skipped_lines(failed)])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    digits = 3 if abs(value) < 100 else 0
    # Without a minus before nothing.
    return f"{round(value, digits) + 0.0:.{digits}f}"
