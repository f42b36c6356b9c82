"""The report's section on where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.pipeline.report_data import Told
from featx.report_blocks import Facts, Section
from featx.report_numbers import NOTHING, count, duration


def provenance_section(told: Told) -> Section:
    """Return the section: dates, digests, versions, device, timings, seeds."""
    manifest, recipe = told.run.manifest, told.run.recipe
    penultimate = manifest["head"]["penultimate"]
    run = (
        ("folder", str(told.run.path)),
        ("fitted", str(manifest.get("created", NOTHING)).replace("T", " ").replace("+00:00", " UTC")),
        ("features computed or read in", duration(manifest["seconds"]["extract"])),
        ("head fitted in", duration(manifest["seconds"]["fit"])),
        ("features computed by", str(manifest["features"]["engine"])),
        ("head fitted by", str(told.metrics["engine"])),
        ("steps an epoch", count(int(told.metrics["steps"]))),
        ("seed of split, order, first weights and dropout", str(recipe.fit.seed)),
        ("seed of views", str(recipe.views.seed)),
    )
    digests = (
        ("data (SHA-256)", str(manifest["data"]["sha256"])),
        ("weights (SHA-256)", str(manifest["weights"]["sha256"])),
        ("head (SHA-256)", str(manifest["head"]["sha256"])),
        ("feature set", str(manifest["features"]["feature_set"])),
        ("feature set of the views", str(manifest["features"].get("augmented_set", NOTHING))),
        ("feature set of the penultimate layer", str(penultimate["feature_set"]) if penultimate else NOTHING),
    )
    return Section(
        "Provenance",
        told.id("provenance"),
        (
            Facts("The run", run),
            Facts("Digests", digests),
            Facts("Versions", _pairs(manifest["versions"])),
            Facts("Machine", _pairs(manifest["device"])),
        ),
    )


def _pairs(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", " "), _words(value)) for name, value in document.items())


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
