"""Learning curves: accuracy by the number of training images, as an inverse power law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.errors import UsageError

Array = NDArray[np.float64]
# Exponents that are tried: below, a curve hardly bends; above, it ends at once.
EXPONENTS = np.geomspace(0.1, 2.0, 120)
LEAST_SIZES = 3


@dataclass(frozen=True)
class PowerLaw:
    """Inverse power laws `asymptote - scale * (n / unit)^-exponent`, one or several.

    Attributes:
        asymptote: (...) the accuracy that the law approaches, at most 1.
        scale: (...) how much lower it is at `unit` images, at least 0.
        exponent: (...) how fast it rises, above 0.
        unit: Number of images, the largest size that it was fitted to.
    """

    asymptote: Array
    scale: Array
    exponent: Array
    unit: float

    def at(self, sizes: ArrayLike) -> Array:
        """Return the accuracies at numbers of training images.

        Args:
            sizes: (m,) numbers, above 0.

        Returns:
            (..., m) accuracies, 0 to 1.
        """
        steps = np.asarray(sizes, np.float64) / self.unit
        risen = self.scale[..., None] * steps ** -self.exponent[..., None]
        return np.clip(self.asymptote[..., None] - risen, 0.0, 1.0)


def fit_power_law(sizes: ArrayLike, accuracies: ArrayLike) -> PowerLaw:
    """Fit an inverse power law to accuracies at several numbers of training images.

    The squared errors are weighted by the number of images, as larger training sets say more about what comes after
    them. For each exponent of a grid the best asymptote and scale follow from a linear equation, within their bounds:
    accuracy does not pass 1 and does not fall. Sources: Figueroa, Zeng-Treitler, Kandula and Ngo, "Predicting sample
    size required for classification performance", BMC Medical Informatics and Decision Making 12:8 (2012),
    doi:10.1186/1472-6947-12-8; Hestness et al., "Deep learning scaling is predictable, empirically" (2017),
    arXiv:1712.00409.

    Args:
        sizes: (k,) different numbers of training images, at least 3.
        accuracies: (..., k) accuracies at these, 0 to 1; each row gets a law of its own.

    Raises:
        UsageError: There are fewer than 3 sizes.
    """
    n, y = np.asarray(sizes, np.float64), np.asarray(accuracies, np.float64)
    if len(n) < LEAST_SIZES:
        raise UsageError(f"Expected accuracies at {LEAST_SIZES} or more numbers of images, received {len(n)}.")
    unit, weights = float(n.max()), n / n.sum()
    x = (n / unit) ** -EXPONENTS[:, None]
    asymptote, scale = _best_lines(x, y[..., None, :], weights)
    errors = (weights * (asymptote[..., None] - scale[..., None] * x - y[..., None, :]) ** 2).sum(axis=-1)
    # Rounding must not choose between exponents of a flat curve.
    best = (errors <= errors.min(axis=-1, keepdims=True) + 1e-15).argmax(axis=-1)[..., None]
    asymptote, scale = (np.take_along_axis(part, best, -1)[..., 0] for part in (asymptote, scale))
    return PowerLaw(asymptote, scale, EXPONENTS[best[..., 0]], unit)


def _best_lines(x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    """Return the asymptote and scale, (..., exponents), of `y = asymptote - scale * x` with the least squares."""
    mean_x, mean_y = (weights * x).sum(axis=-1), (weights * y).sum(axis=-1)
    deviations = x - mean_x[:, None]
    slope = (weights * deviations * y).sum(axis=-1) / (weights * deviations**2).sum(axis=-1)
    scale = np.maximum(-slope, 0.0)
    asymptote = mean_y + scale * mean_x
    # A law that would pass 1 is fitted again with this asymptote.
    capped = (weights * x * (1 - y)).sum(axis=-1) / (weights * x**2).sum(axis=-1)
    over = asymptote > 1
    return np.where(over, 1.0, asymptote), np.where(over, capped, scale)
