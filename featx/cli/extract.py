"""`featx extract`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.features import Extraction


@options.command
def command(
    data: options.SeveralData,
    *,
    features: options.Features,
    reading: options.DataOptions,
    views: options.Views = None,
    cut: Annotated[
        str | None,
        options.feature_option(help="Name of the network's layer whose output is used.", show_default="the last one"),
    ] = None,
    dtype: Annotated[
        str | None,
        options.feature_option(
            help="Type of the stored numbers: float32 or float16.", show_default="float32, or the recipe's"
        ),
    ] = None,
    precision: options.Precision = None,
    engine: Annotated[
        Literal["auto", "keras", "openvino", "onnxruntime"],
        options.running_option(
            help="What runs the network; auto is openvino if it is installed and there is no GPU, else keras. "
            "onnxruntime runs networks that have a card and an ONNX file."
        ),
    ] = "auto",
    batch_size: Annotated[
        int | None,
        options.running_option(
            min=1, help="Number of images that the network takes at once.", show_default="the engine's"
        ),
    ] = None,
    export: Annotated[
        Path | None,
        options.running_option(metavar="F.npz|F.parquet|F.csv", help="Also write the features to this file."),
    ] = None,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    output: options.Output,
) -> console.Result:
    """Compute the features of images, once, and store them; only what is not stored yet is computed."""
    from featx.features import check_export, export_rows, extract
    from featx.limits import permitting

    if export is not None:
        check_export(export)
    extraction = extract(
        options.one_or_several(data),
        features.recipe,
        views=views,
        cut=cut,
        dtype=dtype,
        precision=precision,
        cache=cache,
        engine=engine,
        batch_size=batch_size,
        on_error=on_error,
        yes=yes,
        **features.choice(),
        **reading.choice(),
    )
    if export is not None:
        with permitting(yes):
            export_rows(extraction, export)
    return console.Result(extraction.to_json(), lambda: _show(extraction, export))


def _show(extraction: Extraction, export: Path | None) -> None:
    document = extraction.to_json()
    lines = [
        f"{document['images']} image{'s' * (document['images'] != 1)}, "
        f"{document['rows']} row{'s' * (document['rows'] != 1)} of {document['dim']} features: "
        f"{document['computed']} computed, {document['reused']} reused, in {document['seconds']:.1f} s.",
        f"Feature set {document['feature_set']} in {extraction.store.root}.",
    ]
    if export is not None:
        lines.append(f"Written to {export}.")
    console.print_lines(lines)
