"""The command line. Commands load what they need inside their functions, so that `--help` is quick."""

from __future__ import annotations

import sys

import typer

from featx import __version__
from featx.cli import (
    audit,
    backbones,
    cache,
    clusters,
    commands,
    compare,
    console,
    demo,
    doctor,
    evaluate,
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
    help="Run a frozen, pre-trained network over your images once; train heads and draw maps on its stored features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: featx demo\nWith your own images: featx fit-head photos --test 0.2 --out run",
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


commands.named(app, "extract")(extract.command)
commands.named(app, "fit-head")(fit_head.command)
commands.named(app, "predict")(predict.command)
commands.named(app, "evaluate")(evaluate.command)
commands.named(app, "search")(search.command)
commands.named(app, "visualize")(visualize.command)
commands.named(app, "clusters")(clusters.command)
commands.named(app, "compare")(compare.command)
commands.named(app, "audit")(audit.command)
commands.named(app, "export")(export.command)
commands.named(app, "report")(report.command)
commands.named(app, "reproduce")(reproduce.command)
commands.named(app, "demo")(demo.command)
commands.named(app, "sweep")(sweep.command)
commands.named(app, "doctor")(doctor.command)
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
