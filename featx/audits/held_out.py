"""Probabilities of images from models that were fitted without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import grouped_folds, possible_folds
from featx.errors import DataError

FOLDS = 5
# The penalty of logistic regression on standardised features.
COST = 0.01


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities of m images.

    Attributes:
        rows: (m,) the numbers of the rows of the source.
        probabilities: (m, classes).
        fold: (m,) the fold that held each image out.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    fold: NDArray[np.int64]


def out_of_fold(
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    train: NDArray[np.int64],
    classes: Sequence[str],
    seed: int,
) -> OutOfFold:
    """Return the probabilities of logistic regression on standardised features, in folds with whole groups.

    Raises:
        DataError: There are no two classes, or too few groups in one.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = train[y[train] >= 0]
    there = np.unique(y[rows])
    if len(there) < 2:
        raise DataError("Expected training images of at least two classes, with one label each, found fewer.")
    own, of_group = y[rows], [str(group) for group in groups[rows]]
    number = np.searchsorted(there, own)
    folds = possible_folds(number, of_group, [classes[i] for i in there], FOLDS)
    probabilities, fold = np.zeros((len(rows), len(classes))), np.zeros(len(rows), np.int64)
    for place, (fit, held) in enumerate(grouped_folds(number, of_group, folds, [seed])):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=COST, max_iter=1000))
        model.fit(X[rows[fit]], own[fit])
        probabilities[np.ix_(held, there)] = model.predict_proba(X[rows[held]])
        fold[held] = place
    return OutOfFold(rows, probabilities, fold)
