"""A map that was drawn: its points with what is known of their images, and how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.features import Failure
from featx.frames import frame
from featx.maps.embedding import Embedding, place
from featx.maps.quality import neighbours
from featx.runs import Layer, Source

LABEL = "label"
COLUMNS = ("path", "label", "predicted", "split", "added", "x", "y")


@dataclass(frozen=True)
class Points:
    """Points, the map's own first and then those placed on it, and a value each of everything else.

    Attributes:
        xy: (n, 2) coordinates.
        ids: Each image's path, as the data names it, or as it was given.
        labels: Each image's class; "" where it is not known.
        predicted: The class that the run's head gives it; None where there is no head.
        confidence: The probability of that class; None where there is no head.
        splits: `train`, `val` or `test`; "" for images that are not of the data.
        added: Whether the image was placed on the map afterwards.
        by: The column that colours the points.
        groups: Each image's value in that column; "" where it has none.
        files: Where each image lay when it was last read.
        digests: SHA-256 of each image's bytes.
    """

    xy: NDArray[np.float64]
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...] | None
    confidence: tuple[float, ...] | None
    splits: tuple[str, ...]
    added: tuple[bool, ...]
    by: str
    groups: tuple[str, ...]
    files: tuple[Path, ...]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def wrong(self) -> tuple[bool, ...] | None:
        """Whether the head's class is not the image's own; None where there is no head."""
        if self.predicted is None:
            return None
        return tuple(
            label not in ("", predicted) for label, predicted in zip(self.labels, self.predicted, strict=True)
        )

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return path, label, predicted, split, added, x, y, and the column that colours if it is not the label."""
        predicted = self.predicted if self.predicted is not None else ("",) * len(self)
        known: tuple[Sequence[Any], ...] = (
            self.ids,
            self.labels,
            predicted,
            self.splits,
            self.added,
            list(self.xy[:, 0]),
            list(self.xy[:, 1]),
        )
        columns: dict[str, Sequence[Any]] = dict(zip(COLUMNS, known, strict=True))
        if self.by != LABEL:
            # A column of the user's may be named like one of ours.
            columns[f"extra_{self.by}" if self.by in columns else self.by] = self.groups
        return columns


@dataclass(frozen=True)
class Map:
    """A map that was drawn.

    Attributes:
        embedding: The map's own points and how they were made.
        points: Every point, those placed afterwards last, with what is known of its image.
        name: The run's or the data's, for titles.
        layer: Which features.
        split: Which images the map was made of.
        by: The column that colours the points.
        trustworthiness: 0 to 1, see `featx.map_quality.trustworthiness`; None for too few images.
        stability: 0 to 1, see `featx.map_quality.stability`; None for PCA, which has nothing random, and for more
            than 10,000 images.
        silhouette: Of the groups that are coloured, in the `features` and on the `map`; -1 to 1, None where there
            are not two groups.
        stored: The file that further images are placed by; None where nothing is written.
        failed: Images that could not be used.
        files: What was written for people.
        seconds: Wall time.
    """

    embedding: Embedding
    points: Points
    name: str
    layer: Layer
    split: str
    by: str
    trustworthiness: float | None
    stability: float | None
    silhouette: dict[str, float | None]
    stored: Path | None
    failed: tuple[Failure, ...]
    files: tuple[Path, ...] = ()
    seconds: float = 0.0

    @property
    def n(self) -> int:
        """How many images the map was made of."""
        return len(self.embedding.points)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row an image: the columns of the CSV file.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(self.points.columns())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx visualize`."""
        parameters = self.embedding.parameters
        return {
            "files": [str(path) for path in self.files],
            "stored": None if self.stored is None else str(self.stored),
            "method": parameters.method,
            "description": self.embedding.method,
            "setting": parameters.setting,
            "layer": self.layer,
            "split": self.split,
            "by": self.by,
            "n": self.n,
            "added": len(self.points) - self.n,
            "perplexity": parameters.perplexity,
            "neighbors": parameters.neighbors,
            "min_dist": parameters.min_dist,
            "seed": parameters.seed,
            "trustworthiness": self.trustworthiness,
            "stability": self.stability,
            "k": neighbours(self.n),
            "silhouette": self.silhouette,
            "failed": [failure.to_json() for failure in self.failed],
            "seconds": round(self.seconds, 3),
        }


def points_of(base: Source, new: Sequence[Source], embedding: Embedding, by: str) -> Points:
    """Return a map's points, and those of new images where they belong on it.

    Args:
        base: What the map was made of.
        new: What is placed on it.
        embedding: The map.
        by: The column that colours the points, which `base` has.
    """
    sources = [base, *new]
    places = [place(embedding, base.table.X, source.table.X) for source in new]
    known = base.predicted is not None
    return Points(
        xy=np.concatenate([embedding.points, *places]),
        ids=_joined([source.table.ids for source in sources]),
        labels=_joined([source.column(LABEL) for source in sources]),
        predicted=_joined([_predicted(source) for source in sources]) if known else None,
        confidence=_joined([_confidence(source) for source in sources]) if known else None,
        splits=_joined([source.table.splits for source in sources]),
        added=_joined([(number > 0,) * len(source.table) for number, source in enumerate(sources)]),
        by=by,
        groups=_joined([base.column(by), *(_group(source, by) for source in new)]),
        files=_joined([source.files for source in sources]),
        digests=_joined([source.table.digests for source in sources]),
    )


def _joined(parts: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(value for part in parts for value in part)


def _predicted(source: Source) -> tuple[str, ...]:
    return ("",) * len(source.table) if source.predicted is None else source.predicted.labels


def _confidence(source: Source) -> tuple[float, ...]:
    if source.predicted is None:
        return (float("nan"),) * len(source.table)
    return tuple(map(float, source.predicted.probabilities.max(axis=1)))


def _group(source: Source, by: str) -> tuple[str, ...]:
    """Return a column that new images need not have."""
    return source.column(LABEL) if by == LABEL else tuple(columns.get(by, "") for columns in source.extra)
