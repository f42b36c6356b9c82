"""Copies of images: the same picture, encoded anew, resized, mirrored, cropped a little, or made brighter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.alignment import SYMMETRIES, agreement, grey_previews
from featx.duplicates.candidates import Rows, neighbours, preview_neighbours, scale_of, unique_pairs
from featx.previews import Previews
from featx.text import count

log = logging.getLogger("featx")

# How well the details of two previews must agree, by the distance of their features in units of the usual distance
# to the fifth neighbour: LEAST up to NEAR, MOST from FAR on, in between on a straight line. Chosen on planted copies,
# see benchmarks/duplicates.py and docs/duplicates.md.
LEAST, MOST = 0.88, 0.97
NEAR, FAR = 0.4, 0.85

NEIGHBOURS = 3  # in the features, of each image
MOST_ROWS = 100_000  # above, nothing is searched
MOST_PREVIEW_ROWS = 30_000  # above, candidates are neighbours in the features alone
# Images of two sets of which all are decoded. Of more, only those are that have a neighbour in the features nearer
# than the usual distance.
MOST_DECODED = 1_000
SAME_BYTES = "same bytes"


@dataclass(frozen=True)
class Pair:
    """Two images of which one is a copy of the other.

    Attributes:
        a: Number of one image.
        b: Number of the other, larger than `a`.
        cosine: Of their features, -1 to 1.
        correlation: Of their small grey copies, one laid over the other, -1 to 1; below zero for a negative.
        detail: The same without what is coarse in them, 0 to 1.
        how: How one is laid over the other, such as `mirrored`; `same bytes`; "" for as it is.
    """

    a: int
    b: int
    cosine: float
    correlation: float
    detail: float
    how: str


@dataclass(frozen=True)
class Copies:
    """The copies among n images.

    Attributes:
        pairs: The most alike first.
        groups: (n,) the number of each image's group of copies, from 1; 0 for an image without a copy. Images are in
            one group if a chain of pairs leads from one to the other.
        searched: False if there are too many images to search.
        unseen: Number of images without a preview, which were not compared.
    """

    pairs: tuple[Pair, ...]
    groups: NDArray[np.int64]
    searched: bool = True
    unseen: int = 0

    def members(self) -> list[list[int]]:
        """Return the numbers of the images of each group, in the order of the groups."""
        return [np.flatnonzero(self.groups == number).tolist() for number in range(1, self.groups.max(initial=0) + 1)]


def find_copies(
    rows: Rows,
    digests: Sequence[str],
    previews: Callable[[NDArray[np.int64]], Previews],
    *,
    between: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Copies:
    """Return the copies among images.

    Candidates are the nearest neighbours in the features and, where all images are compared, among the previews. A
    candidate counts if the details of both previews agree once one is laid over the other, see `agreement`; how well
    they must agree depends on the distance of their features.

    Args:
        rows: (n, d) features of the images, see `projected`.
        digests: (n,) those of their bytes.
        previews: Returns the previews of the images of some numbers.
        between: The numbers of two sets of images without one in common: then only pairs of one image of each are
            looked for. Of many images, only nearest neighbours in the features are candidates and need previews.

    Returns:
        The copies; with a notice none, if there are too many images.
    """
    n = len(digests)
    if n > MOST_ROWS:
        what = "Copies of images are not looked for: these are %s images, more than the limit of %s."
        log.info(what, count(n), count(MOST_ROWS))
        return Copies((), np.zeros(n, np.int64), searched=False)
    if between is None:
        first = _first_of_digests(digests, np.arange(n))
        same = [(first[digest], number) for number, digest in enumerate(digests) if first[digest] != number]
        pairs, unseen = _among(rows, np.array(sorted(first.values()), np.int64), previews)
    else:
        new, old = between
        first = _first_of_digests(digests, np.sort(old))
        same = [(first[digests[number]], number) for number in new.tolist() if digests[number] in first]
        seen = np.isin(new, [number for _, number in same])
        pairs, unseen = _across(rows, new[~seen], np.array(sorted(first.values()), np.int64), previews)
    pairs += [Pair(min(pair), max(pair), 1.0, 1.0, 1.0, SAME_BYTES) for pair in same]
    ordered = sorted(pairs, key=lambda pair: (-pair.detail, -pair.cosine, pair.a, pair.b))
    return Copies(tuple(ordered), _grouped(ordered, n), unseen=unseen)


def _first_of_digests(digests: Sequence[str], images: NDArray[np.int64]) -> dict[str, int]:
    """Return for each digest of some images, in ascending order, the number of the first with it."""
    first: dict[str, int] = {}
    for number in images.tolist():
        first.setdefault(digests[number], number)
    return first


def _among(
    rows: Rows, images: NDArray[np.int64], previews: Callable[[NDArray[np.int64]], Previews]
) -> tuple[list[Pair], int]:
    """Return copies among images of different bytes, and how many of these have no preview."""
    scale = scale_of(rows, images)
    parts = []
    if len(images) > 1:
        parts.append(neighbours(rows, images, images, min(NEIGHBOURS, len(images) - 1)))
    small = previews(images)
    if len(images) <= MOST_PREVIEW_ROWS:
        parts.append(_alike(images, small, images, images))
    return _confirmed(rows, unique_pairs(parts), images, small, scale), int((~small.there).sum())


def _across(
    rows: Rows, new: NDArray[np.int64], old: NDArray[np.int64], previews: Callable[[NDArray[np.int64]], Previews]
) -> tuple[list[Pair], int]:
    """Return copies between two sets of images of different bytes, and how many candidates have no preview."""
    if not len(new) or not len(old):
        return [], 0
    scale = scale_of(rows, old)
    pairs = neighbours(rows, new, old, min(NEIGHBOURS, len(old)))
    if len(new) + len(old) <= MOST_DECODED:
        images = np.sort(np.concatenate([new, old]))
        small = previews(images)
        pairs = np.concatenate([pairs, _alike(images, small, new, old)])
    else:
        if scale > 0:
            pairs = pairs[1 - _cosines(rows, pairs) <= scale]
        images = np.unique(pairs)
        small = previews(images)
    return _confirmed(rows, unique_pairs([pairs]), images, small, scale), int((~small.there).sum())


def _alike(
    images: NDArray[np.int64], small: Previews, queries: NDArray[np.int64], among: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return pairs, (m, 2), of a query with one of some images whose previews are alike; see `_confirmed`."""
    there = images[small.there]
    places, others = (np.flatnonzero(np.isin(there, part)) for part in (queries, among))
    if len(there) < 2 or not len(places) or not len(others):
        return np.zeros((0, 2), np.int64)
    return there[preview_neighbours(grey_previews(small.pixels[small.there]), places, others)]


def _confirmed(
    rows: Rows, pairs: NDArray[np.int64], images: NDArray[np.int64], small: Previews, scale: float
) -> list[Pair]:
    """Return the pairs that are copies; `images` are the ascending numbers of those with these previews."""
    places = np.searchsorted(images, pairs)
    seen = small.there[places].all(axis=1)
    pairs, places = pairs[seen], places[seen]
    cosines = _cosines(rows, pairs)
    alike = agreement(grey_previews(small.pixels), places)
    chosen = np.flatnonzero(alike.detail >= least_agreement(1 - cosines, scale))
    return [
        Pair(
            int(pairs[k, 0]),
            int(pairs[k, 1]),
            float(cosines[k]),
            float(alike.correlation[k]),
            float(alike.detail[k]),
            SYMMETRIES[alike.symmetry[k]][0],
        )
        for k in chosen
    ]


def least_agreement(distances: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return how well details must agree, by the distance 1 - cosine of features and the usual one (0: not known)."""
    if scale <= 0:
        return np.full(len(distances), MOST)
    return np.interp(distances / scale, [NEAR, FAR], [LEAST, MOST])


def _cosines(rows: Rows, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the cosines of pairs of rows, a few at a time."""
    cosines = np.empty(len(pairs), np.float64)
    for start in range(0, len(pairs), 4096):
        part = pairs[start : start + 4096]
        cosines[start : start + len(part)] = np.einsum("nd,nd->n", rows[part[:, 0]], rows[part[:, 1]])
    return cosines.clip(-1, 1)


def _grouped(pairs: Sequence[Pair], n: int) -> NDArray[np.int64]:
    """Return the number of each image's group of copies, counted in the order of the pairs; 0 without a copy."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups = np.zeros(n, np.int64)
    if not pairs:
        return groups
    a, b = np.array([[pair.a, pair.b] for pair in pairs]).T
    _, component = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    for pair in pairs:
        if not groups[pair.a]:
            groups[component == component[pair.a]] = groups.max() + 1
    return groups
