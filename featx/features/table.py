"""Rows of features with labels, splits and groups, checked for equal length once, here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.frames import Shown, frame, with_further
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
        extra: The other columns of the data's manifest or data frame by name, each of n values; None where a cell is
            empty.
        targets: Of data with several labels for each image: (n, L) float32, 1 where a label is there, 0 where it is
            not, NaN where it is not known; None for data with one label.
        label_names: The L labels of `targets`, in the order of its columns.

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
    extra: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    targets: NDArray[np.float32] | None = None
    label_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        others = ("extra", "label_names", *(["targets"] if self.targets is None else []))
        lengths = {each.name: len(getattr(self, each.name)) for each in fields(self) if each.name not in others}
        lengths |= {name: len(column) for name, column in self.extra.items()}
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

        def taken(column: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(column[i] for i in index)

        own = ("ids", "labels", "splits", "groups", "digests", "views")
        columns = {name: taken(getattr(self, name)) for name in own}
        extra = {name: taken(column) for name, column in self.extra.items()}
        targets = None if self.targets is None else self.targets[index]
        return replace(self, X=self.X[index], **columns, extra=extra, targets=targets)

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each image: its columns, then features `x0`, `x1` and so on.

        Columns before the features: `id`, `label`, `split`, `group`, `view`, `sha256`, of several labels `label:NAME`
        (1, 0 or NaN) for each, and those of `extra` under their own names, with `extra_` before one that is there
        already.

        Raises:
            UsageError: pandas is not installed.
        """
        columns: dict[str, Any] = {
            "id": self.ids,
            "label": self.labels,
            "split": self.splits,
            "group": self.groups,
            "view": self.views,
            "sha256": self.digests,
        }
        if self.targets is not None:
            columns |= {f"label:{name}": marks for name, marks in zip(self.label_names, self.targets.T, strict=True)}
        features = {f"x{number}": column for number, column in enumerate(self.X.T)}
        joined = with_further({**columns, **features}, self.extra)
        # Thousands of features come last.
        names = [*(name for name in joined if name not in features), *features]
        return frame({name: joined[name] for name in names})
