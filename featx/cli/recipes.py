"""`featx recipes`."""

from __future__ import annotations

from typing import Annotated

import typer

from featx.cli import console, options

app = typer.Typer(help="The recipes that come with featx.", no_args_is_help=True)


@app.command("list")
def list_recipes(json: options.Json = False, debug: options.Debug = False) -> None:
    """List the recipes by name."""
    console.start(quiet=False, debug=debug)
    from featx.recipes import load_recipe, recipe_names

    rows = [(name, load_recipe(name).description) for name in recipe_names()]
    if json:
        console.print_json({"recipes": [{"name": name, "description": text} for name, text in rows]})
    else:
        console.print_table(rows)


@app.command("show")
def show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name or TOML file.")],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Print a recipe as TOML with every default, to be saved, edited and passed by its path."""
    console.start(quiet=False, debug=debug)
    from featx.recipes import dump_recipe, load_recipe

    found = load_recipe(recipe)
    if json:
        console.print_json(found.model_dump(mode="json"))
    else:
        console.print_lines([dump_recipe(found).rstrip()])
