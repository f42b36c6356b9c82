"""Why an image's row is or is not reused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from featx.explain import Explanation, explain
from featx.images import read_bytes
from featx.pipeline.hashing import sha256
from featx.pipeline.spaces import describe
from featx.recipe import FeatureSpec
from featx.runs import read_run
from featx.store import Store
from featx.weights import Weights, find_weights

STATISTICS = ("preprocess.mean", "preprocess.std")


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
    return _explain(digest, spec, find_weights(spec.backbone.name, spec.backbone.weights), view, cache)


def explain_of_run(image: str | Path, run: str | Path, *, view: int = 0, cache: str | Path = "cache") -> Explanation:
    """Compare the key of an image's row in a run's features with the nearest row that the cache holds.

    Args:
        image: The file.
        run: The run's folder. It knows the digest of its weights, which need not be on this machine.
        view: Which view; 0 is the image itself.
        cache: The store's folder.

    Raises:
        ImageError: The file cannot be read.
        RunError: The folder is not a run.
    """
    found = read_run(run)
    known = Weights(found.recipe.backbone.weights, None, str(found.manifest["weights"]["sha256"]))
    return _explain(sha256(read_bytes(Path(image), str(image))), found.recipe, known, view, cache)


def _explain(digest: str, spec: FeatureSpec, weights: Weights, view: int, cache: str | Path) -> Explanation:
    store = Store(Path(cache))
    if spec.preprocess.mode != "featurewise" or spec.preprocess.mean is not None:
        return explain(store, describe(spec, weights, augmented=view > 0), digest, view)
    known = _known_statistics(digest, store)
    fitted = known or {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    spec = spec.model_copy(update={"preprocess": spec.preprocess.model_copy(update=fitted)})
    found = explain(store, describe(spec, weights, augmented=view > 0), digest, view)
    if known:
        return found
    # Statistics that stand in for unknown ones differ from everything and explain nothing.
    told = [difference for difference in found.differences if difference[0] not in STATISTICS]
    return replace(found, differences=told)


def _known_statistics(digest: str, store: Store) -> dict[str, tuple[float, ...]] | None:
    for space in store.spaces():
        known = space.description.get("preprocess") or {}
        if known.get("rule") == "featurewise" and space.views(digest):
            return {name: tuple(known[name]) for name in ("mean", "std")}
    return None
