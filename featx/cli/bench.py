"""`featx bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.bench import Benchmark


def command(
    recipe: Annotated[str, typer.Option(help="Name or TOML file: the network and the head.")] = "covid4-vgg16",
    images: Annotated[int, typer.Option(min=1, help="Generated images a round.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="How often the engines take turns.")] = 5,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure the engines on this machine, in one run, on generated data."""
    console.start(quiet=quiet, debug=debug)
    from featx.bench import bench

    with console.progress_bars(quiet=quiet):
        found = bench(recipe, images=images, rounds=rounds)
    if json:
        console.print_json(found.to_json())
    else:
        _tell(found)


def _tell(found: Benchmark) -> None:
    console.print_lines([f"{found.machine}, {found.cpus} CPUs; recipe {found.recipe}.", ""])
    console.print_table(
        [
            (
                row.engine,
                f"{row.images_per_second:.2f}",
                f"{row.times_as_fast_as_predict:.2f}",
                f"{row.gflops:.0f}",
                f"{row.share_of_matrix_product:.0%}",
            )
            for row in found.networks
        ],
        ("network by", "images/s", "× predict", "GFLOP/s", "of a matrix product"),
    )
    console.print_lines([""])
    console.print_table(
        [
            (row.engine, f"{row.step_ms:.1f}", f"{row.times_floor:.2f}", f"{row.times_as_fast_as_keras:.2f}")
            for row in found.heads
        ],
        (f"head by, steps of {found.batch_size}", "ms a step", "× floor", "× as fast as keras"),
    )
    console.print_lines(["The floor is one pass of Adam's arithmetic over the weights and both moments."])
