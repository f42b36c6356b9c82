"""A compared classifier to keep: fitted on the whole training part, for features as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from featx.classifiers.comparison import Comparison
from featx.classifiers.models import CLASSIFIERS
from featx.classifiers.nested_cv import inner_folds
from featx.classifiers.plain_fits import fit_plain
from featx.errors import UsageError


def fit_winner(comparison: Comparison, name: str | None = None) -> Any:
    """Return a compared classifier as a plain scikit-learn Pipeline, fitted on the whole training part.

    It takes (n, d) features as they are, predicts class names, and gives the probabilities that the comparison has
    of the test images, up to rounding.

    Args:
        comparison: Which has the images, and the parameters that were chosen on them.
        name: Of a row; the best one's if not given.

    Raises:
        UsageError: There is no such row, or it is the head or the raw pixels, which do not take these features.
    """
    wanted = comparison.best if name is None else name
    possible = [row.name for row in comparison.rows if row.name in CLASSIFIERS and not CLASSIFIERS[row.name].pixels]
    if wanted not in possible:
        raise UsageError(f"Expected a classifier on features out of {', '.join(possible)}, received {wanted!r}.")
    from threadpoolctl import threadpool_limits

    row, train = comparison.row(wanted), comparison.train
    # As in the comparison: the division after those of all repeats.
    inner = inner_folds(comparison.y_train, train.group_ids(), [comparison.seed, comparison.folds * comparison.repeats])
    labels = np.array(comparison.classes)[comparison.y_train]
    with threadpool_limits(1):
        return fit_plain(CLASSIFIERS[wanted], train.table.X, labels, row.parameters, inner, comparison.seed)
