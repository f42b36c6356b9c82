"""Why an image's row is or is not reused."""

from __future__ import annotations

from pathlib import Path

from featx.explain import Explanation, explain
from featx.images import read_bytes
from featx.pipeline.hashing import sha256
from featx.pipeline.spaces import describe
from featx.recipe import FeatureSpec
from featx.store import Store
from featx.weights import find_weights


def explain_image(image: str | Path, spec: FeatureSpec, *, view: int = 0, cache: str | Path = "cache") -> Explanation:
    """Compare the key of an image's row with the nearest row that the cache holds.

    Args:
        image: The file.
        spec: What features are meant. Where it needs channel statistics and names none, those of the
            nearest row are taken for the same.
        view: Which view; 0 is the image itself.
        cache: The store's folder.

    Raises:
        ImageError: The file cannot be read.
        WeightsError: The backbone's weights cannot be had.
    """
    digest = sha256(read_bytes(Path(image), str(image)))
    weights = find_weights(spec.backbone.name, spec.backbone.weights)
    store = Store(Path(cache))
    spec = _with_known_statistics(spec, digest, store)
    return explain(store, describe(spec, weights, augmented=view > 0), digest, view)


def _with_known_statistics(spec: FeatureSpec, digest: str, store: Store) -> FeatureSpec:
    if spec.preprocess.mode != "featurewise" or spec.preprocess.mean is not None:
        return spec
    fitted = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    for space in store.spaces():
        known = space.description.get("preprocess") or {}
        if known.get("rule") == "featurewise" and space.views(digest):
            fitted = {name: tuple(known[name]) for name in ("mean", "std")}
            break
    return spec.model_copy(update={"preprocess": spec.preprocess.model_copy(update=fitted)})
