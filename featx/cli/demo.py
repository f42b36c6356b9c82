"""`featx demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, fit_head, options

if TYPE_CHECKING:
    from featx.phantoms import Demo


@options.command
def command(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the images, the run and the report.")] = Path(
        "featx-demo"
    ),
    recipe: Annotated[
        str,
        options.feature_option("--recipe", help="Name of a recipe, or its TOML file; images are not augmented here."),
    ] = "covid4-efficientnetlite0",
    weights: options.WeightsChoice = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs of training.", show_default="12")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(envvar="FEATX_CACHE", help="Folder in which features are stored.", show_default="DIR/cache"),
    ] = None,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Try featx on generated radiographs, without a download: train and test a head, draw a map, write a report."""
    from featx.phantoms import EPOCHS, demo
    from featx.recipes import load_recipe

    resolved = load_recipe(recipe)
    source = options.weights_for(resolved.backbone.name, weights)
    result = demo(out, recipe=resolved, cache=cache, weights=source, epochs=epochs or EPOCHS, seed=seed or 0)
    return console.Result(result.to_json(), lambda: _show(result))


def _show(result: Demo) -> None:
    from featx.recipes import recipe_names

    run, cache, name = result.fit.run, result.fit.extraction.store.root, result.fit.recipe.name
    recipe = name if name in recipe_names() else f"{run}/recipe.toml"
    test_image = min((result.data / "test").rglob("*.png"))
    files = (result.report.file, run / "curves.png", run / "confusion.png", result.map.files[0])
    console.print_lines([f"{name} on generated radiographs (phantoms, not patients), weights: {_weights(result)}."])
    fit_head.show(result.fit)
    console.print_lines(
        [
            "",
            "Look at:",
            *(f"  {path}" for path in files),
            "Try next (this is quick, because the features are cached):",
            f"  featx predict {run} {test_image} --cache {cache}",
            f"  featx visualize {run} --layer backbone --cache {cache}",
            f"  featx report {run} --cache {cache}",
            f"  featx recipes show {recipe}",
            "  featx fit-head YOUR_IMAGES --out YOUR_RUN",
        ]
    )


def _weights(result: Demo) -> str:
    weights = result.fit.extraction.weights
    if weights.path is not None:
        return "ImageNet" if weights.source == "imagenet" else weights.source
    return f"random (seed {weights.seed}), so the accuracy is modest; the learning rate is lowered to 1e-4"
