"""Principal components: a map by themselves, and what wide features go through before t-SNE and UMAP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Beyond this many columns, distances are taken after PCA, as van der Maaten and Hinton (2008) did.
PCA_COLUMNS = 50


@dataclass(frozen=True)
class Reduction:
    """A projection onto principal components (Pearson 1901; Hotelling 1933).

    Attributes:
        mean: (d,) of the rows it was made from.
        components: (columns, d) unit vectors. In each, the entry of largest size is positive, which fixes the signs.
        shares: Each component's share of the variance, 0 to 1.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float32]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, rows: NDArray[np.float64], columns: int, seed: int) -> Reduction:
        """Return the components of (n, d) rows, of which there are at most n and at most d.

        One column, which has one component, is given a second that is zero everywhere.
        """
        from sklearn.decomposition import PCA

        found = PCA(min(columns, *rows.shape), random_state=seed).fit(rows)
        components = np.asarray(found.components_)
        largest = np.abs(components).argmax(axis=1)
        components = components * np.where(components[np.arange(len(largest)), largest] < 0, -1.0, 1.0)[:, None]
        shares = [float(share) for share in found.explained_variance_ratio_]
        lacking = max(2 - len(components), 0)
        components = np.vstack([components, np.zeros((lacking, rows.shape[1]))])
        # Kept in single precision, and used so from the start: what is read back gives the same points.
        return cls(found.mean_.astype(np.float64), components.astype(np.float32), (*shares, *[0.0] * lacking))

    @property
    def columns(self) -> int:
        """How many components there are."""
        return len(self.components)

    def apply(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, columns) coordinates of (n, d) rows."""
        return np.asarray((rows - self.mean) @ self.components.T.astype(np.float64))
