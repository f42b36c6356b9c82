"""k-means without labels: which number of clusters, how stable they are, and whether there are any at all."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.clustering.partitions import STARTS, adjusted_rand, contingency
from featx.clustering.permutation import Measure, compared
from featx.digests import sha256
from featx.errors import DataError, UsageError
from featx.progress import report_progress

LEAST_IMAGES = 4
# Numbers of clusters that are tried: from 2 to this, but no more than half the number of images.
MOST_CLUSTERS = 10
# Of each number of clusters, so many fits with other seeds, each on this share of the images, from a few starts.
FITS, SHARE, FIT_STARTS = 10, 0.8, 3
# Steinley (2004) calls an adjusted Rand index of 0.8 or more a good recovery.
STABLE = 0.8
# Data sets without clusters that the silhouette is compared with, and the most rows of one.
REFERENCES, REFERENCE_ROWS = 19, 1000
RANGE = re.compile(r"\s*(\d{1,6})\s*(?:\.\.\s*(\d{1,6})\s*)?")


@dataclass(frozen=True)
class Candidate:
    """One number of clusters.

    Attributes:
        k: The number.
        silhouette: Mean over the images (Rousseeuw 1987), -1 to 1.
        stability: Mean adjusted Rand index between pairs of fits with other seeds and other parts of the images; 1 if
            all fits find the same clusters, 0 if they agree no more than by chance.
    """

    k: int
    silhouette: float
    stability: float

    @property
    def stable(self) -> bool:
        """Whether the fits agree well enough."""
        return self.stability >= STABLE


def parsed_numbers(text: str | int) -> tuple[int, ...]:
    """Return the numbers of clusters of `5` or `2..20`; raise UsageError for anything else."""
    match = RANGE.fullmatch(str(text))
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 2 <= first <= last:
        raise UsageError(
            f"Expected a number of clusters from 2, such as 5, or a range such as 2..20, received {str(text)!r}."
        )
    return tuple(range(first, last + 1))


def check_count(n: int, sample: int) -> None:
    """Raise DataError for fewer than 4 images, and UsageError for a sample of fewer."""
    if n < LEAST_IMAGES:
        raise DataError(f"Expected at least {LEAST_IMAGES} images to look for clusters in, found {n}; add images.")
    if sample < LEAST_IMAGES:
        raise UsageError(f"Expected a --sample of at least {LEAST_IMAGES} images, received {sample}; choose more.")


def numbers_to_try(text: str | int | None, X: NDArray[np.floating]) -> tuple[int, ...]:
    """Return the numbers of clusters to try for (n, d) features that are not all the same.

    Raises UsageError if more clusters are wanted than there are different images, or not fewer than images.
    """
    n, different = len(X), len({sha256(row.tobytes()) for row in X})
    most = min(n - 1, different)
    if text is None:
        return tuple(range(2, min(MOST_CLUSTERS, n // 2, different) + 1))
    numbers = parsed_numbers(text)
    if numbers[-1] > most:
        unlike = f", of which {different} differ" if different < n else ""
        raise UsageError(
            f"Expected at most {most} clusters of {n} images{unlike}, received {text}; choose fewer clusters."
        )
    return numbers


def candidates_of(
    rows: NDArray[np.float64], groups: NDArray[np.int64], numbers: Sequence[int], seed: int
) -> tuple[Candidate, ...]:
    """Return silhouette and stability of each number of clusters; rows of one group number are left out together."""
    from sklearn.metrics import silhouette_score

    candidates = []
    for place, k in enumerate(numbers):
        report_progress("numbers of clusters", place, len(numbers))
        clusters = fitted(rows, k, seed).labels_
        candidates.append(Candidate(k, float(silhouette_score(rows, clusters)), stability(rows, groups, k, seed)))
    report_progress("numbers of clusters", len(numbers), len(numbers))
    return tuple(candidates)


def best(candidates: Sequence[Candidate]) -> Candidate:
    """Return the highest silhouette among the stable numbers, or among all if none is; the smaller one of equals."""
    stable = [one for one in candidates if one.stable]
    return max(stable or candidates, key=lambda one: (one.silhouette, -one.k))


def stability(rows: NDArray[np.float64], groups: NDArray[np.int64], k: int, seed: int) -> float:
    """Return the mean adjusted Rand index between pairs of fits of k clusters, see von Luxburg (2010).

    Each fit has its own seed and its own 80 % of the images (Ben-Hur, Elisseeff and Guyon 2002), with whole groups;
    the others go to the nearest centre, so that two fits are compared on all images.
    """
    found = []
    for number in range(FITS):
        generator = np.random.default_rng([seed, k, number])
        part = _part(generator, groups, max(k, round(SHARE * len(rows))))
        found.append(nearest_centre(rows, fitted(rows[part], k, int(generator.integers(2**31)), FIT_STARTS)))
    return float(np.mean([adjusted_rand(contingency(a, b)) for a, b in itertools.combinations(found, 2)]))


def compared_with_none(rows: NDArray[np.float64], numbers: Sequence[int], value: float, seed: int) -> Measure:
    """Compare a silhouette with the highest one, over the numbers of clusters, in data without clusters.

    These are rows of one normal distribution with the variance of each component, as in SigClust (Liu, Hayes, Nobel
    and Marron 2008). The highest is taken because the number was chosen by its silhouette.
    """
    spread = rows.std(axis=0)
    values = []
    for number in range(REFERENCES):
        report_progress("data without clusters", number, REFERENCES)
        generator = np.random.default_rng([seed, 1, number])
        reference = generator.normal(size=(min(len(rows), REFERENCE_ROWS), len(spread))) * spread
        values.append(max(_silhouette(reference, k, int(generator.integers(2**31))) for k in numbers))
    report_progress("data without clusters", REFERENCES, REFERENCES)
    return compared(value, np.array(values))


def _silhouette(rows: NDArray[np.float64], k: int, seed: int) -> float:
    from sklearn.metrics import silhouette_score

    clusters = fitted(rows, k, seed, FIT_STARTS).labels_
    return float(silhouette_score(rows, clusters)) if 1 < len(set(clusters.tolist())) < len(rows) else 0.0


def fitted(rows: NDArray[np.float64], k: int, seed: int, starts: int = STARTS) -> Any:
    """Return scikit-learn's k-means of (n, c) rows, the best of several seeded starts of k-means++."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # Several threads would add in another order each time, and round to other numbers.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a part may have fewer different rows than clusters
        return KMeans(k, n_init=starts, random_state=seed).fit(rows)


def nearest_centre(rows: NDArray[np.float64], model: Any) -> NDArray[np.int64]:
    """Return the number of the nearest centre of each row."""
    from sklearn.metrics import pairwise_distances_argmin
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return np.asarray(pairwise_distances_argmin(rows, model.cluster_centers_), np.int64)


def by_size(clusters: NDArray[np.int64], noise: int = -1) -> NDArray[np.int64]:
    """Return cluster numbers from 1, the largest cluster first, and of equal ones the one whose row comes first."""
    names, first, counts = np.unique(clusters, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    order = order[names[order] != noise]
    number_of = dict(zip(names[order].tolist(), range(1, len(order) + 1), strict=True))
    return np.array([number_of.get(cluster, noise) for cluster in clusters.tolist()], np.int64)


def silhouettes_by_sample(
    rows: NDArray[np.float64], clusters: NDArray[np.int64], sample: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return (n,) silhouettes, each by the distances to the rows of a sample alone; exact if it has all rows.

    `clusters` are numbers from 1. A row whose cluster has no other row in the sample has the silhouette 0, as
    Rousseeuw (1987) has it for clusters of one row.
    """
    from scipy.spatial.distance import cdist

    k = int(clusters.max())
    members = np.zeros((len(sample), k))
    members[np.arange(len(sample)), clusters[sample] - 1] = 1
    counts = members.sum(axis=0)
    in_sample = np.zeros(len(rows))
    in_sample[sample] = 1
    values = np.zeros(len(rows))
    step = max(1, 8_000_000 // len(sample))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        own = clusters[part] - 1
        place = np.arange(len(own))
        sums = cdist(rows[part], rows[sample]) @ members
        others = counts[own] - in_sample[part]
        inner = sums[place, own] / np.maximum(others, 1)
        means = np.divide(sums, counts, out=np.full_like(sums, np.inf), where=counts > 0)
        means[place, own] = np.inf
        outer = means.min(axis=1)
        larger = np.maximum(inner, outer)
        known = (larger > 0) & np.isfinite(outer) & (others > 0)
        values[part] = np.divide(outer - inner, larger, out=np.zeros_like(larger), where=known)
    return values


def _part(generator: np.random.Generator, groups: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Return the sorted indices of whole groups, drawn at random, with at least so many rows."""
    order = generator.permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    taken = order[: int(np.searchsorted(np.cumsum(sizes), least)) + 1]
    return np.flatnonzero(np.isin(groups, taken))
