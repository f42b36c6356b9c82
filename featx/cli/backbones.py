"""`featx backbones`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from featx.cli import commands, console, options

app = typer.Typer(help="List networks, show one, and bring one in from elsewhere.", no_args_is_help=True)


@commands.named(app, "backbones list")
@options.command
def list_networks(*, output: options.Output) -> console.Result:
    """List the networks that featx knows by name; others come with a card (featx backbones import)."""
    from featx.networks import list_backbones

    rows = list_backbones()
    document = [vars(row) for row in rows]
    header = ("name", "width", "size", "licence", "here", "source")
    table = [
        (row.name, f"{row.width:,}", str(row.size), row.licence, "yes" if row.here else "no", row.source)
        for row in rows
    ]
    return console.Result(document, lambda: console.print_table(table, header))


@commands.named(app, "backbones show")
@options.command
def show(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK", help="Name of a backbone, a card, a folder with a card, or an .onnx file with one."
        ),
    ],
    *,
    output: options.Output,
) -> console.Result:
    """Show what featx knows about a network. If it has a card, the card is printed as TOML."""
    from featx.networks import describe_backbone

    described = describe_backbone(network)
    toml = described.get("toml")
    lines = _lines(described) if toml is None else [f"# Digest: {described['digest']}", toml.rstrip()]
    return console.Result(described, lambda: console.print_lines(lines))


def _lines(row: dict[str, Any]) -> list[str]:
    weights = row["weights"]
    lines = [
        f"{row['name']}: {row['source']}",
        f"Width: {row['width']:,} features of an image with pooling; without, as many every {row['stride']} pixels",
        f"Input: {row['size']} × {row['size']} pixels",
        f"Preprocessing ({row['preprocessing']['rule']}): {row['preprocessing']['formula']}",
        f"Licence of the weights: {row['licence']}",
    ]
    if weights["path"] is None:
        return [*lines, "Weights: not on this machine; looked for in", *(f"  {place}" for place in weights["places"])]
    return [*lines, f"Weights: {weights['path']}", f"SHA-256: {weights['sha256']}"]


@commands.named(app, "backbones import")
@options.command
def import_network(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Network: timm:NAME, hf:NAME, hf:FOLDER, keras-hub:NAME, torchxrayvision:NAME or FILE.onnx.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder for the card and the network.")],
    tokens: Annotated[
        Literal["cls", "mean", "cls+mean", "map"] | None,
        typer.Option(
            "--tokens",
            help="Tokens of a transformer that become the features.",
            show_default="as the network does it",
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="NETWORK",
            help="For an ONNX file, the backbone or card whose pixels are prepared in the same way.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="NAME",
            help="For an ONNX file, the name of the output to use, or of a value inside the network.",
            show_default="the only output",
        ),
    ] = None,
    output: options.Output,
) -> console.Result:
    r"""Bring in a network once as a file and a card, and compare it with its framework on ten images.

    For all sources but FILE.onnx, pip install 'featx\[import]' first. The imported network runs without it.
    """
    from featx.networks import import_backbone

    done = import_backbone(source, out, tokens=tokens, like=like, output=name)
    document = {
        "card": str(done.card),
        "onnx": str(done.file) if done.kind == "onnx" else None,
        "file": str(done.file),
        "kind": done.kind,
        "width": done.width,
        "network_difference": done.network_difference,
        "largest_difference": done.largest_difference,
    }
    difference = done.largest_difference
    told = "not compared" if difference is None else f"largest difference {difference:.1e} of the largest feature"
    lines = [
        f"{done.file}: {done.width:,} features of an image; {told}.",
        f"Use it with: --backbone {done.card}",
    ]
    return console.Result(document, lambda: console.print_lines(lines))
