"""Prediction sets that contain the true class of a promised share of new images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]


def conformal_threshold(y: Numbers, P: Matrix, groups: Numbers, coverage: float) -> float:
    """Return the probability from which on a class belongs to an image's prediction set.

    If a new image's group and those of these images are exchangeable (drawn in the same way, in any order), the set
    contains the true class with a probability of at least `coverage`. Without ties and with groups of one image it is
    at most `coverage + 1 / (n + 1)`. The promise is about all images together, not about each class. The images must
    not have been used to train the model.

    Sources: Sadinle, Lei and Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", JASA 114
    (2019), 223-234, on the sets; Lee, Barber and Willett, "Distribution-free inference with hierarchical data",
    arXiv:2306.06342 (2023), on groups: each counts as one, its images share its weight, and the new group counts too.

    Args:
        y: (n,) true class indices.
        P: (n, classes) probabilities.
        groups: (n,) the number of each image's group, from 0 without gaps.
        coverage: The promised share, above 0 and below 1.

    Returns:
        The threshold, 0 to 1. It is 0, and every class is in each set, where there are too few groups for the
        promise: fewer than `coverage / (1 - coverage)`.
    """
    if not len(y):
        return 0.0
    sizes = np.bincount(groups)
    own = P[np.arange(len(y)), y]
    order = np.argsort(-own, kind="stable")
    reached = np.cumsum(1 / sizes[groups[order]]) / (len(sizes) + 1)
    # A sum that should be equal may be smaller by rounding.
    enough = np.flatnonzero(reached >= coverage - 1e-12)
    return float(own[order[enough[0]]]) if len(enough) else 0.0


def prediction_sets(P: Matrix, threshold: float | Matrix) -> NDArray[np.bool_]:
    """Return which classes are in each image's set, (n, classes); a set may be empty.

    Args:
        P: (n, classes) probabilities.
        threshold: What `conformal_threshold` returned, or (n, 1) of each image.
    """
    return np.asarray(threshold <= P)
