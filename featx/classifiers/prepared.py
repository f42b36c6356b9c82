"""Rows of one fold as the classifiers take them, worked out once for all of these."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.isometry import Span, Standardiser
from featx.classifiers.models import Facts, Space

# Beyond this many columns, boosting takes principal components, and this many of them.
WIDE = 256
COMPONENTS = 50

Pair = tuple[NDArray[np.floating], NDArray[np.floating]]


class Prepared:
    """Rows to fit on and rows held out; all that is fitted here is fitted on the former.

    Args:
        fit: (n, d) rows to fit on.
        held: (m, d) rows held out.
        seed: For the classifiers' facts.
    """

    def __init__(self, fit: NDArray[np.float32], held: NDArray[np.float32], seed: int) -> None:
        self.plain: Pair = (fit, held)
        self.seed = seed

    def rows(self, space: Space) -> Pair:
        """Return both kinds of rows in a classifier's space."""
        if space == "plain" or (space == "components" and not self.reduced):
            return self.plain
        return self.standardised if space == "standardised" else self.components

    @property
    def reduced(self) -> bool:
        """Whether components are taken where a classifier wants them."""
        return bool(self.plain[0].shape[1] > WIDE)

    @cached_property
    def facts(self) -> Facts:
        """What the classifiers are told of the rows."""
        return Facts(self.plain[0].shape[1], self.standardiser.varying, self.seed)

    @cached_property
    def standardiser(self) -> Standardiser:
        """That of the rows to fit on."""
        return Standardiser.of(self.plain[0])

    @cached_property
    def standardised(self) -> Pair:
        """Standardised rows; turned into fewer columns without loss where there are more columns than rows."""
        fit, held = (self.standardiser(rows) for rows in self.plain)
        if fit.shape[1] <= len(fit):
            return fit, held
        span = Span.of(fit)
        return span.fitted(), span(held)

    @cached_property
    def components(self) -> Pair:
        """The first principal components of the standardised rows, which turning does not change."""
        fit, held = self.standardised
        model = principal_components(fit)
        # scikit-learn refuses to transform no rows.
        return model.transform(fit), model.transform(held) if len(held) else held[:, : model.n_components_]


def principal_components(rows: NDArray[np.floating]) -> Any:
    """Return scikit-learn's PCA, fitted on rows (n, k)."""
    from sklearn.decomposition import PCA

    solver = "full" if len(rows) <= rows.shape[1] else "covariance_eigh"
    return PCA(min(COMPONENTS, *rows.shape), svd_solver=solver).fit(rows)
