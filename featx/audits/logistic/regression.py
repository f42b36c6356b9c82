"""Logistic regression for rows that are held out: several penalties at once, fast where rows are wide."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
# Added to the squared length of each row, relative to their mean, so that rounding cannot make it negative.
ROUNDING = 1e-9


def held_out_logistic(
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    held: NDArray[np.float32],
    costs: Sequence[float],
    classes: int,
) -> Matrix:
    """Return the probabilities of held-out rows under logistic regression on standardised rows.

    All fits run in one thread, so that the same rows give the same numbers on any number of processors.

    Args:
        X: (n, d) rows to fit on.
        y: (n,) their class numbers; if all are the same, this class gets the probability 1.
        held: (m, d) rows that are held out.
        costs: (c,) values of `C`, the inverse of the penalty; each fit starts from the one before.
        classes: The number of classes; one that no row has gets the probability 0.

    Returns:
        (c, m, classes) probabilities.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    probabilities = np.zeros((len(costs), len(held), classes))
    if len(np.unique(y)) == 1:
        probabilities[:, :, y[0]] = 1.0
        return probabilities
    with _controller().limit(limits=1), warnings.catch_warnings():
        # A path that is cut off after so many steps still gives usable probabilities.
        warnings.simplefilter("ignore", ConvergenceWarning)
        Z, other = reduced(X, held)
        model = LogisticRegression(max_iter=500, warm_start=True)
        for place, cost in enumerate(costs):
            model.set_params(C=cost).fit(Z, y)
            probabilities[place][:, model.classes_] = model.predict_proba(other)
    return probabilities


def reduced(X: NDArray[np.float32], held: NDArray[np.float32]) -> tuple[Matrix, Matrix]:
    """Return standardised rows, and held-out rows likewise, in no more columns than there are rows to fit on.

    A linear classifier with an L2 penalty sees only inner products with the rows it is fitted on. The rows of the
    Cholesky factor of their Gram matrix have the same inner products.
    """
    from scipy.linalg import solve_triangular

    rows = X.astype(np.float64)
    means, spreads = rows.mean(axis=0), rows.std(axis=0)
    # A column of equal values differs from its mean by rounding.
    spreads[spreads <= ROUNDING * np.abs(means)] = 1.0
    Z, other = (rows - means) / spreads, (held - means) / spreads
    if 2 * len(Z) > Z.shape[1]:
        return Z, other
    products = Z @ Z.T
    # Centred rows are linearly dependent, and rows may be equal.
    products.flat[:: len(Z) + 1] += ROUNDING * max(1.0, float(np.trace(products)) / len(Z))
    lower = np.linalg.cholesky(products)
    return lower, solve_triangular(lower, Z @ other.T, lower=True).T


@cache
def _controller() -> Any:
    """Return what limits the threads of the libraries; to look for them takes longer than a small fit."""
    import sklearn.linear_model  # noqa: F401  it loads the libraries
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
