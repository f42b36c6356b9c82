"""Why a row is not found: what differs between the space it is looked for in and the nearest that has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from featx.canonical import canonical_json
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
