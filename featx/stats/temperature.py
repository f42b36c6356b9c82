"""Temperature scaling: one number that makes the probabilities of a trained head as sure as they are right."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats.labels import label_probabilities
from featx.stats.scoring import probabilities, two_columns

Matrix = NDArray[np.float64]
Logits = NDArray[np.floating[Any]]

# Beyond them a temperature says only that there is no best one.
LOWEST, HIGHEST = 0.05, 100.0
# With fewer images the temperature itself varies by more than most heads need.
LEAST_IMAGES = 20


@dataclass(frozen=True)
class Temperature:
    """A temperature, and what it changes on the images that it was fitted on.

    Attributes:
        temperature: What logits are divided by, above 0: above 1 probabilities become less sure. 1 changes nothing.
        n: Number of images.
        loss_before: Mean cross-entropy in nats without it; None where there are no images.
        loss_after: The same with it.
        note: Why it stays 1, as a clause; "" where it was fitted.
    """

    temperature: float
    n: int
    loss_before: float | None
    loss_after: float | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the attributes; `note` only where it says something."""
        document = asdict(self)
        return document if self.note else {name: value for name, value in document.items() if name != "note"}


def fit_temperature(logits: Logits, labels: NDArray[Any]) -> Temperature:
    """Return the temperature with the lowest mean cross-entropy, between 0.05 and 100.

    The loss is convex in 1 / temperature, so there is one best temperature or none. It stays 1, with a note, for
    fewer than 20 images; where all images are right, since the loss then falls for ever as the temperature does; and
    where equal probabilities would be better than the head's. Source: Guo, Pleiss, Sun and Weinberger, "On
    calibration of modern neural networks", ICML 2017.

    Args:
        logits: (n, classes), or (n, 1) for two classes, of images that the head was not trained on; for several
            labels (n, L), which share one temperature.
        labels: (n,) class indices; for several labels (n, L) with 1, 0 and NaN for unknown, which does not count.
    """
    from scipy.optimize import brentq

    n = int(np.isfinite(labels).any(axis=1).sum()) if labels.ndim == 2 else len(labels)
    before = _loss(logits, labels, 1.0) if n else None
    if n < LEAST_IMAGES:
        return Temperature(1.0, n, before, before, f"fewer than {LEAST_IMAGES} images are too few to fit it")
    if _slope(logits, labels, 1 / LOWEST) <= 0:
        return Temperature(
            1.0, n, before, before, "the predictions are all right, or nearly so, and no temperature is best"
        )
    if _slope(logits, labels, 1 / HIGHEST) >= 0:
        return Temperature(
            1.0, n, before, before, "equal probabilities would fit these images better than the head's"
        )
    inverse = float(brentq(lambda value: _slope(logits, labels, value), 1 / HIGHEST, 1 / LOWEST, xtol=1e-10))
    return Temperature(1 / inverse, n, before, _loss(logits, labels, 1 / inverse))


def scaled_probabilities(logits: Logits, temperature: float = 1.0, *, multilabel: bool = False) -> Matrix:
    """Return the probabilities of logits divided by a temperature, (n, classes); the predicted class stays the same.

    Args:
        logits: (n, classes), or (n, 1) for two classes; for several labels (n, L).
        temperature: Above 0.
        multilabel: Whether there is a logit for each of several labels.
    """
    # In double precision no two logits become equal by the division.
    scaled: Any = logits.astype(np.float64) / temperature
    return label_probabilities(scaled) if multilabel else probabilities(scaled)


def with_temperature(P: Matrix, temperature: float, *, multilabel: bool = False) -> Matrix:
    """Return probabilities as a temperature changes them, (n, classes): `p^(1/T)`, which then add up to 1 again.

    Args:
        P: (n, classes) probabilities; for several labels (n, L), each by itself.
        temperature: Above 0.
        multilabel: Whether they are probabilities of several labels.
    """
    return (
        P
        if temperature == 1
        else scaled_probabilities(logits_of(P, multilabel=multilabel), temperature, multilabel=multilabel)
    )


def logits_of(P: Matrix, *, multilabel: bool = False) -> Matrix:
    """Return logits that give these probabilities, of the same shape; those of 0 and 1 stay finite.

    Args:
        P: (n, classes) probabilities; for several labels (n, L).
        multilabel: Whether they are probabilities of several labels.
    """
    clipped = np.clip(P, np.finfo(np.float64).tiny, 1.0)
    if not multilabel:
        return np.asarray(np.log(clipped))
    return np.asarray(np.log(clipped) - np.log(np.maximum(1.0 - P, np.finfo(np.float64).eps)))


def _slope(logits: Logits, labels: NDArray[Any], inverse: float) -> float:
    """Return the derivative of the mean cross-entropy by the inverse temperature; it never falls as that rises."""
    if labels.ndim == 2:
        known = np.isfinite(labels)
        z = logits.astype(np.float64)
        shares = scaled_probabilities(logits, 1 / inverse, multilabel=True)
        return float(((shares - (labels == 1)) * z)[known].mean())
    z = _columns(logits)
    # Only differences of logits count, and these are of the size of the slope.
    z -= z[np.arange(len(labels)), labels][:, None]
    shares = scaled_probabilities(logits, 1 / inverse)
    return float(np.sum(shares * z, axis=1).mean())


def _loss(logits: Logits, labels: NDArray[Any], temperature: float) -> float:
    z = _columns(logits) / temperature if labels.ndim == 1 else logits.astype(np.float64) / temperature
    if labels.ndim == 2:
        losses = np.logaddexp(0, z) - z * (labels == 1)
        return float(losses[np.isfinite(labels)].mean())
    own = z[np.arange(len(labels)), labels]
    return float(np.mean(np.logaddexp.reduce(z - own[:, None], axis=1)))


def _columns(logits: Logits) -> Matrix:
    wide: Any = logits
    return two_columns(wide).astype(np.float64)
