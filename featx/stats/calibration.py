"""Do probabilities say how often they are right? The calibration error and the Brier score in parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats.metrics import BINS

Matrix = NDArray[np.float64]
# Below it a probability is none; its logarithm would be infinite.
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class BrierParts:
    """The Brier score and what it consists of: `score = reliability - resolution + uncertainty + within_bins`.

    Attributes:
        score: Mean of the squared errors summed over the classes, 0 to 2; over labels it is the mean of one label's,
            0 to 1.
        reliability: By how much the shares in each bin of probabilities miss the probabilities: 0 is perfect.
        resolution: By how much the shares in the bins differ from the overall share: the larger, the better.
        uncertainty: What a model has that always gives the overall shares; it belongs to the data.
        within_bins: The rest, because probabilities in one bin differ.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float

    def to_json(self) -> dict[str, Any]:
        """Return the attributes."""
        return asdict(self)


@dataclass(frozen=True)
class Calibration:
    """How well probabilities say how often they are right, on n images, or n known labels of images.

    Attributes:
        n: Number of images; of several labels for each image, the number of known labels.
        confidence: Mean probability of the predicted class, 0 to 1; of several labels the mean probability.
        accuracy: Share of images whose predicted class is the true one; of several labels the share that is there.
        ece: Expected calibration error, 0 to 1, see `calibration_error`.
        debiased_ece: The same without the part that chance alone adds, see `debiased_calibration_error`.
        expected_ece: What a perfectly calibrated model with these probabilities would have on average, see
            `expected_calibration_error`.
        p_value: Share of such models whose error is at least as large, above 0; images are taken as independent.
        log_loss: Mean cross-entropy in nats.
        brier: The Brier score in its parts.
    """

    n: int
    confidence: float
    accuracy: float
    ece: float
    debiased_ece: float
    expected_ece: float
    p_value: float
    log_loss: float
    brier: BrierParts

    def to_json(self) -> dict[str, Any]:
        """Return the attributes; `brier` is the score, `brier_parts` has the parts."""
        parts = self.brier.to_json()
        return {**asdict(self), "brier": parts.pop("score"), "brier_parts": parts}


def calibration_of(y: NDArray[Any], P: Matrix, seed: int, draws: int = 200) -> Calibration:
    """Return how well probabilities are calibrated.

    Args:
        y: (n,) class indices; or (n, L) of several labels: 1, 0 and NaN where it is not known.
        P: (n, classes) or (n, L) probabilities, n at least 1.
        seed: Seed of the draws of calibrated models.
        draws: Their number.
    """
    confidence, correct = confidence_of(y, P)
    error = _error(confidence, correct)
    calibrated = calibrated_errors(confidence, seed, draws)
    return Calibration(
        n=len(confidence),
        confidence=float(confidence.mean()),
        accuracy=float(correct.mean()),
        ece=error,
        debiased_ece=debiased_calibration_error(y, P),
        expected_ece=float(calibrated.mean()),
        # Equal errors may differ by rounding.
        p_value=float((1 + np.sum(calibrated >= error - 1e-12)) / (draws + 1)),
        log_loss=_log_loss(y, P),
        brier=brier_parts(y, P),
    )


def confidence_of(y: NDArray[Any], P: Matrix) -> tuple[Matrix, Matrix]:
    """Return the probability of each image's predicted class, (n,), and 1 where it is the true class, else 0.

    Of several labels it is the probability of each known label of each image, and whether it is there.

    Args:
        y: (n,) class indices; or (n, L) with 1, 0 and NaN.
        P: (n, classes) or (n, L).
    """
    if y.ndim == 2:
        known = np.isfinite(y)
        return P[known], (y[known] == 1).astype(np.float64)
    return P.max(axis=1), (P.argmax(axis=1) == y).astype(np.float64)


def expected_calibration_error(P: Matrix, seed: int, draws: int = 200) -> float:
    """Return the mean calibration error of perfectly calibrated models with these probabilities, 0 to 1.

    Whether an image is correct is drawn with its confidence as probability, independently of the others. With few
    images the error is then far from 0 though nothing is wrong. Source: Bröcker and Smith, "Increasing the
    reliability of reliability diagrams", Weather and Forecasting 22 (2007), 651-661 (consistency resampling).

    Args:
        P: (n, classes) probabilities, or (n,) the confidence itself; n at least 1.
        seed: Seed of the draws. The order of the rows does not matter.
        draws: Number of such models.
    """
    return float(calibrated_errors(P if P.ndim == 1 else P.max(axis=1), seed, draws).mean())


def calibrated_errors(confidence: Matrix, seed: int, draws: int = 200) -> Matrix:
    """Return the calibration errors, (draws,), of models for which each confidence is true."""
    ordered = np.sort(confidence)
    generator = np.random.default_rng(seed)
    drawn = [_error(ordered, (generator.random(len(ordered)) < ordered).astype(np.float64)) for _ in range(draws)]
    return np.array(drawn)


def debiased_calibration_error(y: NDArray[Any], P: Matrix) -> float:
    """Return the expected calibration error without the part that chance alone adds, 0 to 1.

    The gap of a bin, |accuracy - mean confidence|, is too large on average, because the accuracy of few images
    varies and the sign is lost. With the standard error s of a bin's gap and a true gap m, the mean of the observed
    one is that of |N(m, s)|. The excess over m is subtracted, with `m^2 = max(0, gap^2 - s^2)`. Source: Kumar, Liang
    and Ma, "Verified uncertainty calibration", NeurIPS 2019, which subtracts such an excess of normal gaps; they take
    the observed gap for m, which removes less of it.

    Args:
        y: (n,) class indices; or (n, L) of several labels: 1, 0 and NaN where it is not known.
        P: (n, classes) or (n, L) probabilities, n at least 1.
    """
    from scipy.stats import norm

    confidence, correct = confidence_of(y, P)
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=BINS)
    used = counts > 0
    n = counts[used]
    gaps = np.abs(np.bincount(bins, correct - confidence, BINS)[used]) / n
    # Half an image of each kind is added, as else a bin without errors would have no standard error.
    shares = (np.bincount(bins, correct, BINS)[used] + 0.5) / (n + 1)
    errors = np.sqrt(shares * (1 - shares) / n)
    true = np.sqrt(np.maximum(gaps**2 - errors**2, 0))
    folded = errors * sqrt(2 / pi) * np.exp(-(true**2) / (2 * errors**2)) + true * (1 - 2 * norm.cdf(-true / errors))
    return float(max(0.0, np.sum(n * (gaps - (folded - true))) / len(confidence)))


def brier_parts(y: NDArray[Any], P: Matrix) -> BrierParts:
    """Return the Brier score with its reliability, resolution and uncertainty.

    Each class is one event with its probabilities in 15 bins of equal width, and the parts are added over the
    classes; over labels, on the images where each is known, they are averaged. With few images in a bin, reliability
    and resolution are both too large. Sources: A. H. Murphy, "A new vector partition of the probability score",
    Journal of Applied Meteorology 12 (1973), 595-600; for the rest within bins, Stephenson, Coelho and Jolliffe, "Two
    extra components in the Brier score decomposition", Weather and Forecasting 23 (2008), 752-757.

    Args:
        y: (n,) class indices; or (n, L) of several labels: 1, 0 and NaN where it is not known.
        P: (n, classes) or (n, L) probabilities, n at least 1.
    """
    if y.ndim == 2:
        known = np.isfinite(y)
        columns = [_binary_parts(P[known[:, i], i], y[known[:, i], i] == 1) for i in range(P.shape[1])]
        weights = known.sum(axis=0) / known.sum()
        parts = np.sum([weight * part for weight, part in zip(weights, columns, strict=True)], axis=0)
    else:
        parts = np.sum([_binary_parts(P[:, number], y == number) for number in range(P.shape[1])], axis=0)
    return BrierParts(*map(float, parts))


def _binary_parts(shares: Matrix, there: NDArray[np.bool_]) -> Matrix:
    """Return score, reliability, resolution, uncertainty and the rest of one event."""
    n = len(shares)
    if not n:
        return np.zeros(5)
    bins = _bins(shares)
    counts = np.bincount(bins, minlength=BINS)
    used = np.maximum(counts, 1)
    observed, given = np.bincount(bins, there, BINS) / used, np.bincount(bins, shares, BINS) / used
    overall = float(there.mean())
    score = float(np.mean((shares - there) ** 2))
    reliability = float(np.sum(counts * (given - observed) ** 2) / n)
    resolution = float(np.sum(counts * (observed - overall) ** 2) / n)
    uncertainty = overall * (1 - overall)
    return np.array([score, reliability, resolution, uncertainty, score - reliability + resolution - uncertainty])


def _bins(shares: Matrix) -> NDArray[np.int64]:
    """Return the bin of each probability, as in `calibration_error`: 15 of equal width over (0, 1]."""
    return np.clip(np.ceil(shares * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _error(confidence: Matrix, correct: Matrix) -> float:
    return float(np.abs(np.bincount(_bins(confidence), correct - confidence, BINS)).sum() / len(confidence))


def _log_loss(y: NDArray[Any], P: Matrix) -> float:
    if y.ndim == 2:
        shares, there = confidence_of(y, P)
        own = np.where(there == 1, shares, np.maximum(1 - shares, np.finfo(np.float64).eps / 2))
    else:
        own = P[np.arange(len(y)), y]
    return float(-np.log(np.clip(own, TINY, 1)).mean())
