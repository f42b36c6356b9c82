"""`featx report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import console, options


@options.command
def command(
    run: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One or more folders that fit-head wrote.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="F.html", help="File to write; needed for several runs.", show_default="RUN/report.html"
        ),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Sections to leave out, separated by commas: audit, maps, comparison, clusters."
        ),
    ] = None,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    yes: options.Yes = False,
    output: options.Output,
) -> console.Result:
    """Write one self-contained HTML page about a run, or about several side by side."""
    from featx.reports import report
    from featx.text import size

    options.refuse_overwriting(out, "report", b"<!doctype html>")
    sections = [name.strip() for name in (without or "").split(",") if name.strip()]
    page = report(*run, out=out, without=sections, cache=cache, seed=seed or 0, yes=yes)
    line = f"{page.file} ({size(page.bytes)}), in {page.seconds:.1f} s."
    return console.Result(page.to_json(), lambda: console.print_lines([line]))
