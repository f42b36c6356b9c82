"""`featx recipes`."""

from __future__ import annotations

from typing import Annotated

import typer

from featx.cli import commands, console, options

app = typer.Typer(help="The recipes that come with featx.", no_args_is_help=True)


@commands.named(app, "recipes list")
@options.command
def list_recipes(*, output: options.Output) -> console.Result:
    """List the recipes by name."""
    from featx.recipes import load_recipe, recipe_names

    rows = [(name, load_recipe(name).description) for name in recipe_names()]
    document = {"recipes": [{"name": name, "description": text} for name, text in rows]}
    return console.Result(document, lambda: console.print_table(rows))


@commands.named(app, "recipes show")
@options.command
def show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or its TOML file.")],
    *,
    output: options.Output,
) -> console.Result:
    """Print a recipe as TOML with every default; save it, edit it and pass its path."""
    from featx.recipes import dump_recipe, load_recipe

    loaded = load_recipe(recipe)
    text = dump_recipe(loaded).rstrip()
    return console.Result(loaded.model_dump(mode="json"), lambda: console.print_lines([text]))
