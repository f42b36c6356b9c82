"""What an exported file says of itself: its classes, and what it was made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featx import __version__
from featx.classifiers import SavedClassifier
from featx.features import FeatureSpace
from featx.networks import describe_backbone
from featx.recipes import Recipe, dump_recipe, is_network_path
from featx.runs import HeadModel, Model

ANY_SIZE = "RGB pixels in uint8, (images, height, width, 3); any height and width, upright as EXIF says"


def provenance(model: Model, space: FeatureSpace, pixels: str) -> dict[str, Any]:
    """Return what decides the probabilities, with digests (SHA-256) instead of paths.

    Args:
        model: The run's head or the saved classifier.
        space: Its features.
        pixels: What the file's input is.
    """
    weights = space.weights
    own = is_network_path(space.spec.backbone.name)
    card = weights.card
    facts: dict[str, Any] = {
        "featx": __version__,
        "classes": list(model.classes),
        "input": pixels,
        "output": "the probability of each label by itself, (images, labels)"
        if model.multilabel
        else "probabilities, (images, classes)",
        "backbone": card.name if card else Path(space.spec.backbone.name).name if own else space.spec.backbone.name,
        "licence": (card.about.licence if card else "" if own else _licence(space.spec.backbone.name)) or "unknown",
        "source": card.about.source if card else "",
        "weights_sha256": weights.digest,
        "recipe": dump_recipe(_without_paths(model.recipe)),
    }
    if isinstance(model, HeadModel):
        facts |= {"data_sha256": model.run.manifest["data"]["sha256"], "head_sha256": model.head.digest()}
        facts |= {} if model.temperature == 1 else {"temperature": model.temperature}
    elif isinstance(model, SavedClassifier):
        facts |= {"data_sha256": model.data, "classifier_sha256": model.sha256}
        facts |= {} if model.head is None else {"head_sha256": model.head[0]}
    return facts


def as_texts(facts: dict[str, Any]) -> dict[str, str]:
    """Return the facts as texts; lists are JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}


def _licence(name: str) -> str:
    return str(describe_backbone(name)["licence"])


def _without_paths(recipe: Recipe) -> Recipe:
    """Return a recipe with names of files for paths, which say much of the machine and nothing of the features."""
    part = recipe.backbone
    changes = {
        field: Path(value).name
        for field, value in (("backbone.name", part.name), ("backbone.weights", part.weights))
        if is_network_path(value)
    }
    return recipe.replaced(changes)
