"""`featx cache`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import console, options
from featx.errors import UsageError

app = typer.Typer(help="What is in the cache.", no_args_is_help=True)
MEGA = 1e6


@app.command("info")
def info(
    cache: options.Cache = options.CACHE_DEFAULT, json: options.Json = False, debug: options.Debug = False
) -> None:
    """Show the feature sets with their rows and sizes."""
    console.start(quiet=False, debug=debug)
    from featx.store import Store
    from featx.store import info as read_info

    found = read_info(Store(cache))
    if json:
        console.print_json(asdict(found))
        return
    rows = []
    for space in found.spaces:
        what = _what(space.description)
        width = "-" if space.dim is None else str(space.dim)
        rows.append(
            (space.id[:12], what, f"{space.rows:,}", width, f"{space.bytes / MEGA:,.1f} MB", str(space.shards))
        )
    if rows:
        console.print_table(rows, ("feature set", "of", "rows", "width", "size", "shards"))
    console.print_lines([f"{found.root}: {found.rows:,} rows, {found.bytes / MEGA:,.1f} MB."])
    if found.networks:
        console.print_lines([f"{found.networks} converted networks, {found.network_bytes / MEGA:,.1f} MB."])
    if found.known_files:
        size = f"{found.known_files_bytes / MEGA:,.1f} MB"
        console.print_lines([f"{found.known_files:,} image files are known by digest, {size}."])
    if found.set_aside or found.leftovers:
        console.print_lines(
            [f"{found.set_aside} damaged files set aside, {found.leftovers} leftovers; featx cache gc removes them."]
        )


@app.command("verify")
def verify(
    cache: options.Cache = options.CACHE_DEFAULT, json: options.Json = False, debug: options.Debug = False
) -> None:
    """Check every shard against its digest; damaged ones are set aside and computed again when needed."""
    console.start(quiet=False, debug=debug)
    from featx.store import Store
    from featx.store import verify as check

    found = check(Store(cache))
    if json:
        console.print_json(asdict(found))
    else:
        damaged = f"{len(found.damaged)} damaged" if found.damaged else "none damaged"
        console.print_lines([f"{found.shards} shards with {found.rows:,} sound rows, {damaged}."])
        console.print_lines([f"  {name}" for name in found.damaged])


@app.command("gc")
def gc(
    drop: Annotated[list[str] | None, typer.Option(metavar="ID", help="A feature set to remove; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Remove damaged files, leftovers and unused networks, merge small shards, drop feature sets that are named."""
    console.start(quiet=False, debug=debug)
    from featx.store import Store
    from featx.store import gc as collect

    found = collect(Store(cache), drop=drop or (), dry_run=dry_run)
    if json:
        console.print_json(asdict(found))
        return
    would = "Would free" if dry_run else "Freed"
    console.print_lines(
        [
            f"{would} {found.bytes_freed / MEGA:,.1f} MB: {len(found.dropped)} feature sets dropped, "
            f"{found.set_aside} damaged files, {found.leftovers} leftovers and {found.networks} unused networks "
            f"removed, {found.merged} small shards merged into {found.written}, {found.forgotten} vanished images "
            "forgotten."
        ]
    )


@app.command("explain")
def explain(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image's file.")],
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="With the features of this run.")] = None,
    recipe: Annotated[str | None, typer.Option(help="With the features of this recipe.")] = None,
    backbone: Annotated[str | None, typer.Option(help="With this backbone as it comes.")] = None,
    view: Annotated[int, typer.Option(min=0, help="Which view; 0 is the image itself.")] = 0,
    weights: options.WeightsChoice = None,
    cache: options.Cache = options.CACHE_DEFAULT,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Say whether an image's row would be reused, and if not, which part of its key differs."""
    console.start(quiet=False, debug=debug)
    from featx.features import default_recipe
    from featx.recipes import load_recipe, override
    from featx.runs import explain_image, explain_of_run

    if sum(choice is not None for choice in (run, recipe, backbone)) != 1:
        raise UsageError("Expected one of --run, --recipe and --backbone, which say what features are meant.")
    if run is not None and weights:
        raise UsageError(
            "Expected --weights with --recipe or --backbone, but a run has its own; leave --weights out."
        )
    if run is not None:
        found = explain_of_run(image, run, view=view, cache=cache)
    else:
        spec = load_recipe(recipe) if recipe is not None else default_recipe(str(backbone))
        spec = override(spec, {"backbone.weights": options.weights_for(spec.backbone.name, weights)})
        found = explain_image(image, spec, view=view, cache=cache)
    if json:
        console.print_json(asdict(found))
    else:
        console.print_lines(found.sentences())


def _what(description: dict[str, object]) -> str:
    if description.get("kind") == "penultimate":
        return f"penultimate {description.get('layer')}"
    images = description.get("images")
    if description.get("kind") == "pixels" and isinstance(images, dict):
        return f"grey pixels, {images['size']} × {images['size']}"
    backbone = description.get("backbone")
    if not isinstance(backbone, dict):
        return "unknown"
    views = "views of " if description.get("views") else ""
    return f"{views}{backbone['name']}, pooling {backbone['pooling']}"
