"""The command line. Commands load what they need inside their functions, so that `--help` is quick."""

from __future__ import annotations

import sys

import typer

from featx import __version__
from featx.cli import (
    backbones,
    cache,
    clusters,
    compare,
    console,
    demo,
    doctor,
    export,
    extract,
    fit_head,
    predict,
    recipes,
    report,
    reproduce,
    search,
    streams,
    sweep,
    visualize,
)
from featx.errors import FeatxError

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    name="featx",
    help="Run a frozen network over your images once; fit heads and draw maps on its cached features from then on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: featx demo",
)


def _version(wanted: bool) -> None:
    if wanted:
        console.print_lines([f"featx {__version__}"])
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("extract")(extract.command)
app.command("fit-head")(fit_head.command)
app.command("predict")(predict.command)
app.command("search")(search.command)
app.command("visualize")(visualize.command)
app.command("clusters")(clusters.command)
app.command("compare")(compare.command)
app.command("export")(export.command)
app.command("report")(report.command)
app.command("reproduce")(reproduce.command)
app.command("demo")(demo.command)
app.command("sweep")(sweep.command)
app.command("doctor")(doctor.command)
app.add_typer(backbones.app, name="backbones")
app.add_typer(recipes.app, name="recipes")
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line; every error that featx knows is one sentence and its exit code."""
    streams.prepare()
    sys.excepthook = console.one_line
    try:
        _run()
    except FeatxError as error:
        if console.State.debug:
            raise
        streams.complain(f"{error}\n")
        sys.exit(error.exit_code)
    except SystemExit as leave:
        if leave.code == INTERRUPTED:
            if console.State.terminated:
                streams.complain(console.TERMINATION)
                sys.exit(TERMINATED)
            streams.complain(console.INTERRUPTION)
        raise


def _run() -> None:
    try:
        app()
    finally:
        # What Typer printed, such as help, may have no place either.
        streams.flush()
