"""Fewer columns without another answer: rows turned into the span of the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Test rows are turned in portions of about this many numbers (64 MiB of float64).
PORTION = 1 << 23

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Standardiser:
    """Zero mean and unit variance by column, as scikit-learn's StandardScaler in float64.

    Attributes:
        mean: (d,) of the training rows.
        scale: (d,) standard deviations, 1 for columns that do not vary.
        varying: Columns that vary; after standardising, the total variance of the training rows.
    """

    mean: Matrix
    scale: Matrix
    varying: float

    @classmethod
    def of(cls, X: NDArray[np.floating]) -> Standardiser:
        """Return that of training rows (n, d)."""
        from sklearn.preprocessing import StandardScaler

        fitted = StandardScaler().fit(X)
        return cls(fitted.mean_, fitted.scale_, float(np.sum(fitted.var_ / fitted.scale_**2)))

    def __call__(self, X: NDArray[np.floating]) -> Matrix:
        """Return standardised rows, (n, d)."""
        Z = X.astype(np.float64)
        Z -= self.mean
        Z /= self.scale
        return Z


@dataclass(frozen=True)
class Span:
    """An isometry from rows of d columns to few, fitted on n training rows of full width.

    With the eigenvectors of the Gram matrix `Z Zᵀ = U Λ Uᵀ`, training rows become `U √Λ`, at most n columns with
    the same inner products and distances. Another row becomes its projection on their span, `z Zᵀ U / √Λ`, and
    one more column: its distance from the span, which is 0 for training rows. So all inner products and distances
    to training rows are kept, and whatever is computed from these alone is the same as at full width: L2 logistic
    regression, support vector machines, nearest neighbours (the kernel trick; Schölkopf and Smola, "Learning with
    Kernels", 2002, ch. 2 and 4.2).

    Attributes:
        Z: (n, d) the training rows it was fitted on.
        turn: (n, k) `U / √Λ`.
    """

    Z: Matrix
    turn: Matrix

    @classmethod
    def of(cls, Z: Matrix) -> Span:
        """Return that of training rows (n, d)."""
        from scipy.linalg import eigh

        values, vectors = eigh(Z @ Z.T)
        # What is left of directions that the rows do not have is rounding.
        kept = values > max(values[-1], 0) * len(Z) * np.finfo(np.float64).eps
        return cls(Z, vectors[:, kept] / np.sqrt(values[kept]))

    def fitted(self) -> Matrix:
        """Return the training rows, (n, k + 1)."""
        # Λ = 1 / diag(turnᵀ turn), so U √Λ is turn Λ.
        turned = self.turn / np.sum(self.turn**2, axis=0)
        return np.hstack([turned, np.zeros((len(turned), 1))])

    def __call__(self, Z: Matrix) -> Matrix:
        """Return other rows, (m, k + 1) of (m, d)."""
        step = max(1, PORTION // max(1, Z.shape[1]))
        return np.vstack([self._portion(Z[start : start + step]) for start in range(0, max(len(Z), 1), step)])

    def back(self, weights: Matrix) -> Matrix:
        """Return weights of the few columns as weights of the d columns: (…, k) or (…, k + 1) to (…, d)."""
        width = self.turn.shape[1]
        return np.asarray(weights[..., :width] @ self.turn.T @ self.Z)

    def _portion(self, Z: Matrix) -> Matrix:
        turned = Z @ self.Z.T @ self.turn
        rest = np.sum(Z**2, axis=1) - np.sum(turned**2, axis=1)
        return np.hstack([turned, np.sqrt(np.maximum(rest, 0))[:, None]])
