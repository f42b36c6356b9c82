"""A query and its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Neighbour:
    """An image near a query.

    Attributes:
        path: Its path, as the data names it.
        label: Its class, or its labels with `|` between them; None where it has none, or where none is known.
        split: `train`, `val` or `test`.
        group: Its patient or other group; None where it has none.
        cosine: The cosine similarity of its features and the query's, -1 to 1.
        same_file: Whether its file has the same bytes as the query.
        file: Where its file was when it was last read.
        digest: SHA-256 of its bytes.
        extra: The other columns of the data's manifest.
        pixels: The pixels of an image that is in memory and no file.
        labels: Its class, or its labels one by one; empty where it has none.
    """

    path: str
    label: str | None
    split: str
    group: str | None
    cosine: float
    same_file: bool
    file: Path = field(repr=False)
    digest: str = field(repr=False)
    extra: Mapping[str, Any] = field(repr=False, hash=False)
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    labels: tuple[str, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return `path, label, split, group, cosine, same_file`."""
        names = ("path", "label", "split", "group", "cosine", "same_file")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class QueryResult:
    """A query, and the images that are nearest to it.

    Attributes:
        query: The image's path as it was given.
        label: Its class, or its labels with `|` between them, where a manifest gives any.
        neighbours: The nearest images, the most similar first.
        file: The image's file.
        digest: SHA-256 of its bytes.
        pixels: The pixels of an image that is in memory and no file.
    """

    query: str
    label: str | None
    neighbours: tuple[Neighbour, ...]
    file: Path = field(repr=False)
    digest: str = field(repr=False)
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    def label_counts(self) -> dict[str, int]:
        """Return how many neighbours each class has, the most frequent class first, then by name.

        Neighbours with the same bytes as the query do not count, nor do those without a class. One with several
        labels counts for each of them.
        """
        others = [near for near in self.neighbours if not near.same_file]
        counts = Counter(label for near in others for label in near.labels)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def to_json(self) -> dict[str, Any]:
        """Return `query, label, neighbours`."""
        neighbours = [near.to_json() for near in self.neighbours]
        return {"query": self.query, "label": self.label, "neighbours": neighbours}
