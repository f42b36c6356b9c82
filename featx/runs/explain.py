"""Why rows of the cache are not reused: which part of what decides a row differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featx.digests import canonical_json
from featx.features import FeatureSpace
from featx.images import content_digest, read_bytes
from featx.networks import Weights, find_weights
from featx.recipes import FeatureSpec
from featx.runs.folder import read_run
from featx.store import Store

ABSENT = "(absent)"
STATISTICS = ("preprocess.mean", "preprocess.std")


@dataclass(frozen=True)
class Explanation:
    """Whether a row is stored, and what differs from the nearest space that holds the image, if there is one.

    Attributes:
        digest: SHA-256 of the image's bytes.
        nearest: Id of that space.
        views: The views of this image in it.
        differences: (dotted field, value wanted, value in that space) for each field that differs.
    """

    digest: str
    view: int
    hit: bool
    nearest: str | None
    views: list[int]
    differences: list[tuple[str, Any, Any]]

    def sentences(self) -> list[str]:
        """Return the explanation for people, one sentence an item."""
        image = f"image {self.digest[:12]}…"
        if self.hit:
            return [f"View {self.view} of the {image} is stored: it is not computed again."]
        if self.nearest is None:
            return [f"No features of the {image} are stored: a file with these bytes was never extracted."]
        views = f"with view {', '.join(map(str, self.views))}"
        lines = [f"View {self.view} of the {image} is not stored with the features that you chose."]
        if self.view in self.views:
            lines.append(f"It is stored in the feature set {self.nearest[:12]}…, which differs least.")
        elif self.differences:
            lines.append(f"No feature set has it. The feature set {self.nearest[:12]}… has the image {views}.")
        else:
            lines.append(f"The features that you chose have the image {views}.")
        return lines + [
            f"There, {name} is {_plain(stored)}; you chose {_plain(wanted)}."
            for name, wanted, stored in self.differences
        ]


def explain(store: Store, description: Mapping[str, Any], digest: str, view: int) -> Explanation:
    """Compare the space with this description, in which a row is wanted, with the nearest that holds the image.

    Spaces that hold this very view come before those that hold only others; among them the one whose
    description differs in the fewest fields is the nearest.
    """
    wanted = store.space(description)
    if wanted.contains((digest, view)):
        return Explanation(digest, view, True, wanted.id, wanted.views(digest), [])
    candidates: list[tuple[bool, int, str, Explanation]] = []
    for space in store.spaces():
        # Rows of another kind, such as a head's penultimate features or raw pixels, explain nothing.
        if not space.description or space.description.get("kind") != wanted.description.get("kind"):
            continue
        if views := space.views(digest):
            differences = _differences(wanted.description, space.description)
            explanation = Explanation(digest, view, False, space.id, views, differences)
            candidates.append((view not in views, len(differences), space.id, explanation))
    return min(candidates)[-1] if candidates else Explanation(digest, view, False, None, [], [])


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


def explain_image(image: str | Path, spec: FeatureSpec, *, view: int = 0, cache: str | Path = "cache") -> Explanation:
    """Compare the key of an image's row with the nearest row that the cache holds.

    Args:
        image: The file.
        spec: Which features. If it needs channel statistics and has none, those of the stored rows are used.
        view: Which view; 0 is the image itself.
        cache: The store's folder.

    Raises:
        ImageError: The file cannot be read.
        WeightsError: The backbone's weights cannot be had.
    """
    digest = content_digest(read_bytes(Path(image), str(image)))
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
    opened = read_run(run)
    digest = str(opened.manifest["weights"]["sha256"])
    weights = Weights(opened.recipe.backbone.weights, None, digest, card=opened.card)
    return _explain(content_digest(read_bytes(Path(image), str(image))), opened.recipe, weights, view, cache)


def _explain(digest: str, spec: FeatureSpec, weights: Weights, view: int, cache: str | Path) -> Explanation:
    store = Store(Path(cache))
    unknown = False
    if spec.preprocess.mode == "featurewise" and spec.preprocess.mean is None:
        stored = _stored_statistics(digest, store)
        unknown = stored is None
        statistics = stored or {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        spec = spec.model_copy(update={"preprocess": spec.preprocess.model_copy(update=statistics)})
    explanation = explain(store, FeatureSpace(spec, weights, store).of_view(view).description, digest, view)
    if not unknown:
        return explanation
    # Statistics that stand in for unknown ones differ from everything and explain nothing.
    differences = [difference for difference in explanation.differences if difference[0] not in STATISTICS]
    return replace(explanation, differences=differences)


def _stored_statistics(digest: str, store: Store) -> dict[str, tuple[float, ...]] | None:
    for space in store.spaces():
        preprocess = space.description.get("preprocess") or {}
        if preprocess.get("rule") == "featurewise" and space.views(digest):
            return {name: tuple(preprocess[name]) for name in ("mean", "std")}
    return None
