"""`featx report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import console, options


def command(
    run: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that fit-head wrote.")],
    out: Annotated[
        Path | None, typer.Option(metavar="F.html", help="The page; RUN/report.html if not given, for one run.")
    ] = None,
    without: Annotated[
        str | None, typer.Option(metavar="A,B", help="Sections to leave out: maps, comparison, clusters.")
    ] = None,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write one self-contained HTML page about a run, or about several side by side."""
    console.start(quiet=quiet, debug=debug)
    from featx.reports import report
    from featx.text import size

    sections = [name.strip() for name in (without or "").split(",") if name.strip()]
    with console.progress_bars(quiet=quiet):
        found = report(*run, out=out, without=sections, cache=cache, seed=seed or 0)
    if json:
        console.print_json(found.to_json())
        return
    console.print_lines([f"{found.file} ({size(found.bytes)}), in {found.seconds:.1f} s."])
