"""Which images hang together and must stay on one side of every split."""

from __future__ import annotations

from collections.abc import Sequence


def units_of(digests: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """Return a name for each image's unit: the smallest digest among all images that hang together with it.

    Images of one group hang together, and so do images with the same bytes, whatever their group says.

    Args:
        digests: SHA-256 of each image's bytes.
        groups: Patient or other group of each image, or None.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for digest, group in zip(digests, groups, strict=True):
        if group is not None:
            one, other = root(digest), root(f"group {group}")
            parent[max(one, other)] = min(one, other)
    return [root(digest) for digest in digests]
