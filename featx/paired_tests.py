"""Are two classifiers different: tests on the same folds and on the same test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError


def corrected_interval(
    scores: NDArray[np.float64], ratio: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean over repeated cross-validation, by the corrected resampled t.

    Training parts overlap, so the plain standard error is too small; its `1/J` becomes `1/J + n_test/n_train`.
    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52 (2003), 239-281; for
    repeated folds, Bouckaert and Frank, PAKDD 2004.

    Args:
        scores: (J,) one figure a fold, of all repeats. Those that are NaN are left out.
        ratio: Rows held out to rows fitted on, `1 / (folds - 1)`.
        bounds: Between which the figure lies.

    Returns:
        Both ends; None for fewer than two figures.
    """
    from scipy import stats

    known = scores[np.isfinite(scores)]
    if len(known) < 2:
        return None
    half = stats.t.ppf(0.975, len(known) - 1) * _error(known, ratio)
    return max(float(known.mean() - half), bounds[0]), min(float(known.mean() + half), bounds[1])


def corrected_t(one: NDArray[np.float64], other: NDArray[np.float64], ratio: float) -> float:
    """Return the two-sided p-value of the corrected resampled t on the differences of two classifiers by fold.

    Source: as `corrected_interval`.

    Args:
        one: (J,) figures of one classifier, J at least 2.
        other: (J,) those of the other on the same folds.
        ratio: Rows held out to rows fitted on.
    """
    from scipy import stats

    differences = one - other
    mean, error = float(differences.mean()), _error(differences, ratio)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, len(differences) - 1))


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the two-sided exact p-value that two classifiers are right on the same rows equally often.

    Only rows on which exactly one of them is right count; under the hypothesis each is a fair coin. Source:
    Q. McNemar, Psychometrika 12 (1947), 153-157, in the exact form; see Dietterich, Neural Computation 10 (1998).

    Args:
        one: (n,) where one is right.
        other: (n,) where the other is.
    """
    from scipy.stats import binomtest

    ahead, behind = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return float(binomtest(ahead, ahead + behind, 0.5).pvalue) if ahead + behind else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, each at most 1, in the order given.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979), 65-70.
    """
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(order))
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        corrected[place] = highest
    return [float(p) for p in corrected]


def holm_by_name(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the same by name."""
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _error(figures: NDArray[np.float64], ratio: float) -> float:
    if len(figures) < 2:
        raise UsageError("Expected figures of at least 2 folds for a paired test, received fewer; use more folds.")
    # Equal figures can differ from their mean by rounding.
    spread = 0.0 if np.ptp(figures) == 0 else float(figures.var(ddof=1))
    return float(np.sqrt((1 / len(figures) + ratio) * spread))
