"""`featx cache`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import commands, console, options
from featx.errors import UsageError

if TYPE_CHECKING:
    from featx.store import CacheInfo

app = typer.Typer(help="Look at the cache and clean it up.", no_args_is_help=True)


@commands.named(app, "cache info")
@options.command
def info(*, cache: options.Cache = options.CACHE_DEFAULT, output: options.Output) -> console.Result:
    """List the stored feature sets with their numbers of rows and their sizes."""
    from featx.store import Store
    from featx.store import info as read_info

    held = read_info(Store(cache))
    return console.Result(asdict(held), lambda: _show_info(held))


def _show_info(held: CacheInfo) -> None:
    rows = []
    for space in held.spaces:
        what = _what(space.description)
        width = "-" if space.dim is None else str(space.dim)
        rows.append((space.id[:12], what, f"{space.rows:,}", width, _size(space.bytes), str(space.shards)))
    if rows:
        console.print_table(rows, ("feature set", "of", "rows", "width", "size", "shards"))
    lines = [f"{held.root}: {held.rows:,} rows, {_size(held.bytes)}."]
    if held.networks:
        lines.append(
            f"{held.networks} converted network{'s' if held.networks > 1 else ''}, {_size(held.network_bytes)}."
        )
    if held.known_files:
        lines.append(f"{held.known_files:,} image files in the stat cache, {_size(held.known_files_bytes)}.")
    if held.set_aside or held.leftovers:
        lines.append(f"{held.set_aside} damaged and {held.leftovers} unfinished files; featx cache gc removes them.")
    console.print_lines(lines)


@commands.named(app, "cache verify")
@options.command
def verify(*, cache: options.Cache = options.CACHE_DEFAULT, output: options.Output) -> console.Result:
    """Check every stored file, and set damaged ones aside; their rows are computed again when they are needed."""
    from featx.store import Store
    from featx.store import verify as check

    checked = check(Store(cache))
    damaged = f"{len(checked.damaged)} damaged" if checked.damaged else "none damaged"
    lines = [f"{checked.shards} shard{'s' * (checked.shards != 1)} with {checked.rows:,} undamaged rows, {damaged}."]
    lines += [f"  {name}" for name in checked.damaged]
    return console.Result(asdict(checked), lambda: console.print_lines(lines))


@commands.named(app, "cache gc")
@options.command
def gc(
    *,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Beginning of the id of a feature set to remove; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing, and say what would be removed.")
    ] = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    output: options.Output,
) -> console.Result:
    """Remove damaged, unfinished and unused files and the named feature sets, and merge small files."""
    from featx.store import Store
    from featx.store import gc as collect

    done = collect(Store(cache), drop=drop or (), dry_run=dry_run)
    would = "Would free" if dry_run else "Freed"
    line = (
        f"{would} {_size(done.bytes_freed)}: {len(done.dropped)} feature sets, {done.set_aside} damaged files, "
        f"{done.leftovers} unfinished files and {done.networks} unused networks removed, {done.merged} small shards "
        f"merged into {done.written}, {done.forgotten} deleted images forgotten."
    )
    return console.Result(asdict(done), lambda: console.print_lines([line]))


@commands.named(app, "cache explain")
@options.command
def explain(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    *,
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="Use the features of this run.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Use the features of this recipe: its name, or its TOML file.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help=f"Use the features of this network with its default settings: {options.BACKBONE_NAMES}, a card or a "
            ".keras file."
        ),
    ] = None,
    view: Annotated[int, typer.Option(min=0, help="Number of the augmented view; 0 is the image itself.")] = 0,
    weights: options.WeightsChoice = None,
    cache: options.Cache = options.CACHE_DEFAULT,
    output: options.Output,
) -> console.Result:
    """Show whether the stored features of an image would be reused and, if not, what differs."""
    from featx.features import default_recipe
    from featx.recipes import load_recipe, override
    from featx.runs import explain_image, explain_of_run

    if sum(choice is not None for choice in (run, recipe, backbone)) != 1:
        raise UsageError("Expected one of --run, --recipe and --backbone, to choose the features.")
    if run is not None and weights:
        raise UsageError(
            "Expected --weights with --recipe or --backbone, but a run has its own; leave --weights out."
        )
    if run is not None:
        explanation = explain_of_run(image, run, view=view, cache=cache)
    else:
        spec = load_recipe(recipe) if recipe is not None else default_recipe(str(backbone))
        spec = override(spec, {"backbone.weights": options.weights_for(spec.backbone.name, weights)})
        explanation = explain_image(image, spec, view=view, cache=cache)
    return console.Result(asdict(explanation), lambda: console.print_lines(explanation.sentences()))


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _what(description: dict[str, object]) -> str:
    if description.get("kind") == "penultimate":
        return f"penultimate {description.get('layer')}"
    images = description.get("images")
    if description.get("kind") == "pixels" and isinstance(images, dict):
        return f"grey pixels, {images['size']} × {images['size']}"
    if description.get("kind") == "previews":
        return "previews of images"
    if description.get("kind") == "sample ranges":
        return "bit depths of images"
    backbone = description.get("backbone")
    if not isinstance(backbone, dict):
        return "unknown"
    views = "views of " if description.get("views") else ""
    return f"{views}{backbone['name']}, pooling {backbone['pooling']}"
