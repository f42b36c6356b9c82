"""Rows of features with labels, splits and groups, checked for equal length once, here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.frames import Shown, frame
from featx.text import count


@dataclass(frozen=True, repr=False)
class FeatureTable(Shown):
    """Features of n images.

    Attributes:
        X: (n, d) features, float32.
        ids: Each image's path, as the data names it.
        labels: Each image's class; None where it has none.
        splits: `train`, `val` or `test`.
        groups: Patient or other group; None where it has none.
        digests: SHA-256 of each image's bytes.
        views: Which augmented view the row is; 0 is the image itself.

    Raises:
        DataError: The columns differ in length, or X is not a matrix.
    """

    X: NDArray[np.float32]
    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    splits: tuple[str, ...]
    groups: tuple[str | None, ...]
    digests: tuple[str, ...]
    views: tuple[int, ...]

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if self.X.ndim != 2 or len(set(lengths.values())) != 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise DataError(f"Expected a matrix of features and columns of the same length, received {listed}.")

    def headline(self) -> str:
        """Return `306 rows of 1,280 features`."""
        return f"{count(len(self.X))} rows of {count(self.X.shape[1])} features"

    def __len__(self) -> int:
        return len(self.X)

    def take(self, index: NDArray[np.int64]) -> FeatureTable:
        """Return the rows of these numbers, in their order."""
        columns = (self.ids, self.labels, self.splits, self.groups, self.digests, self.views)
        return FeatureTable(self.X[index], *(tuple(column[i] for i in index) for column in columns))

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each image: its columns, then features `x0`, `x1` and so on.

        Columns before the features: `id`, `label`, `split`, `group`, `view`, `sha256`.

        Raises:
            UsageError: pandas is not installed.
        """
        columns = {
            "id": self.ids,
            "label": self.labels,
            "split": self.splits,
            "group": self.groups,
            "view": self.views,
            "sha256": self.digests,
        }
        return frame({**columns, **{f"x{number}": column for number, column in enumerate(self.X.T)}})
