"""`featx visualize`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import console, options


class Method(StrEnum):
    """How the map is made."""

    tsne = "tsne"


def command(
    run: options.RunFolder,
    method: Annotated[Method, typer.Option(help="How the map is made.")] = Method.tsne,
    layer: Annotated[options.LayerChoice, typer.Option(help="Which features.")] = options.LayerChoice.penultimate,
    split: Annotated[options.SplitChoice, typer.Option(help="Which images.")] = options.SplitChoice.train,
    perplexity: Annotated[float, typer.Option(min=1.0, help="Effective number of neighbours.")] = 30.0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the files go; RUN if not given.")] = None,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw a map of a run's images as PNG, SVG and CSV."""
    console.start(quiet=quiet, debug=debug)
    from featx.pipeline.mapping import visualize

    with console.progress_bars(quiet=quiet) as progress:
        result = visualize(
            run,
            out=out,
            layer=layer.value,
            split=split.value,
            perplexity=perplexity,
            seed=seed or 0,
            cache=cache,
            progress=progress,
        )
    document = result.to_json()
    if json:
        console.print_json(document)
        return
    lines = [f"{document['n']} images by {result.embedding.method}, in {document['seconds']:.1f} s:"]
    lines += [f"  {path}" for path in document["files"]]
    if document["trustworthiness"] is not None:
        lines.append(f"Trustworthiness {document['trustworthiness']:.2f} (1 is best).")
    console.print_lines(lines)
