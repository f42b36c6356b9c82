"""Why rows of the cache are not reused: which part of what decides a row differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featx.digests import canonical_json, sha256
from featx.features import FeatureSpace
from featx.images import read_bytes
from featx.networks import Weights, find_weights
from featx.recipes import FeatureSpec
from featx.runs.folder import read_run
from featx.store import Store

ABSENT = "(absent)"


@dataclass(frozen=True)
class Explanation:
    """Why a row is found or not.

    Attributes:
        digest: sha256 of the image's bytes.
        view: The view asked for.
        hit: The row is stored.
        nearest: Id of the space that holds this image and differs least; None if no other does.
        views: The views of this image in the nearest space.
        differences: (dotted field, value wanted, value in the nearest space) for each field that differs.
    """

    digest: str
    view: int
    hit: bool
    nearest: str | None
    views: list[int]
    differences: list[tuple[str, Any, Any]]

    def sentences(self) -> list[str]:
        """The explanation for people, a sentence an item."""
        image = f"image {self.digest[:12]}…"
        if self.hit:
            return [f"View {self.view} of the {image} is stored: it is not computed again."]
        if self.nearest is None:
            return [f"No feature space holds the {image}: these bytes were never extracted."]
        views = f"with view {', '.join(map(str, self.views))}"
        lines = [f"View {self.view} of the {image} is not stored in the feature space asked for."]
        if self.view in self.views:
            lines.append(f"The nearest space that holds it is {self.nearest[:12]}….")
        elif self.differences:
            lines.append(f"No other does; the nearest that holds the image is {self.nearest[:12]}…, {views}.")
        else:
            lines.append(f"That space does hold the image, {views}.")
        return lines + [
            f"There {name} is {_plain(stored)}, but {_plain(wanted)} is wanted."
            for name, wanted, stored in self.differences
        ]


def explain(store: Store, description: Mapping[str, Any], digest: str, view: int) -> Explanation:
    """Say whether a row is stored and, if not, what differs from the nearest space that holds the image.

    Spaces that hold this very view come before those that hold only others; among them the one whose
    description differs in the fewest fields is the nearest.

    Args:
        store: The cache.
        description: Of the space in which the row is wanted.
        digest: sha256 of the image's bytes, 64 hexadecimal digits.
        view: The view wanted.
    """
    wanted = store.space(description)
    if wanted.contains((digest, view)):
        return Explanation(digest, view, True, wanted.id, wanted.views(digest), [])
    nearest: tuple[bool, int, str] | None = None
    found = Explanation(digest, view, False, None, [], [])
    for space in store.spaces():
        # Rows of another kind, such as a head's penultimate features or raw pixels, explain nothing.
        if not space.description or space.description.get("kind") != wanted.description.get("kind"):
            continue
        views = space.views(digest)
        if not views:
            continue
        differences = _differences(wanted.description, space.description)
        rank = (view not in views, len(differences), space.id)
        if nearest is None or rank < nearest:
            nearest = rank
            found = Explanation(digest, view, False, space.id, views, differences)
    return found


def _differences(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(dotted field, wanted, stored) for each field in which two descriptions differ, by field."""
    ours, theirs = dict(_flat(wanted)), dict(_flat(stored))
    pairs = ((name, ours.get(name, ABSENT), theirs.get(name, ABSENT)) for name in sorted(ours | theirs))
    # As JSON, since there 1, 1.0 and true are three values, and the space's id comes from it.
    return [pair for pair in pairs if canonical_json(pair[1]) != canonical_json(pair[2])]


def _flat(description: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in description.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _plain(value: Any) -> str:
    return value if value == ABSENT else json.dumps(value, ensure_ascii=False)


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
        return explain(store, FeatureSpace.of(spec, weights, store).of_view(view).description, digest, view)
    known = _known_statistics(digest, store)
    fitted = known or {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    spec = spec.model_copy(update={"preprocess": spec.preprocess.model_copy(update=fitted)})
    found = explain(store, FeatureSpace.of(spec, weights, store).of_view(view).description, digest, view)
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
