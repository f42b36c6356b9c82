from __future__ import annotations

import numpy as np
import pytest

from featx.errors import UsageError
from featx.stats import fit_power_law

SIZES = np.array([20.0, 40.0, 80.0, 160.0, 320.0])


@pytest.mark.parametrize(("asymptote", "scale", "exponent"), [(0.9, 0.05, 0.5), (0.97, 0.02, 1.0), (1.0, 0.1, 0.4)])
def test_a_law_is_found_again_and_carried_on(asymptote: float, scale: float, exponent: float) -> None:
    law = fit_power_law(SIZES, asymptote - scale * (SIZES / 320) ** -exponent)
    assert law.at([640, 1280]) == pytest.approx(asymptote - scale * np.array([2.0, 4.0]) ** -exponent, abs=1e-3)
    assert float(law.exponent) == pytest.approx(exponent, rel=0.05)


def test_a_law_neither_passes_one_nor_falls() -> None:
    risen = fit_power_law(SIZES, [0.7, 0.8, 0.9, 0.97, 1.0])
    assert float(risen.asymptote) == 1.0
    assert 0.99 < float(risen.at([10_000])[0]) <= 1.0
    fallen = fit_power_law(SIZES, [0.8, 0.79, 0.78, 0.77, 0.76])
    assert float(fallen.scale) == 0.0
    # Flat at the mean, in which large training sets weigh most.
    assert fallen.at([20, 5000]) == pytest.approx([np.average([0.8, 0.79, 0.78, 0.77, 0.76], weights=SIZES)] * 2)


def test_an_exponent_between_those_of_the_grid_beats_its_neighbours() -> None:
    """Scipy's bounded least squares finds nothing better, and the same forecast."""
    from scipy.optimize import least_squares

    y = 0.95 - 0.04 * (SIZES / 320) ** -0.6 + np.array([0.01, -0.01, 0.008, -0.004, 0.002])
    law, weights = fit_power_law(SIZES, y), SIZES / SIZES.sum()
    fit = least_squares(
        lambda p: np.sqrt(weights) * (p[0] - p[1] * (SIZES / 320) ** -p[2] - y),
        [0.9, 0.05, 0.5],
        bounds=([0, 0, 0.1], [1, 1, 2]),
        xtol=1e-12,
    )
    own = float(np.sum(weights * (law.at(SIZES) - y) ** 2))
    assert own <= 2 * fit.cost * 1.01
    assert float(law.at([640])[0]) == pytest.approx(fit.x[0] - fit.x[1] * 2 ** -fit.x[2], abs=1e-3)


def test_rows_of_accuracies_have_laws_of_their_own() -> None:
    rows = np.array([[0.6, 0.7, 0.8, 0.85, 0.88], [0.5, 0.5, 0.5, 0.5, 0.5]])
    both = fit_power_law(SIZES, rows)
    assert both.at([100, 1000]).shape == (2, 2)
    assert both.at([1000])[0] == pytest.approx(fit_power_law(SIZES, rows[0]).at([1000]))
    assert both.at([1000])[1] == pytest.approx([0.5])


def test_two_sizes_are_too_few() -> None:
    with pytest.raises(UsageError, match="3 or more"):
        fit_power_law([10, 20], [0.5, 0.6])
