"""The result of `predict`: for each image its class, probabilities, typicality and nearest training images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.features import Failure
from featx.files import write_csv, write_text
from featx.frames import Shown, columns_of, frame, with_further
from featx.prediction.page import prediction_page
from featx.prediction.predicted import Prediction, typicality_text
from featx.searching import cosine_text
from featx.text import NOTHING, decimal, images, joined_labels

# Images in a notebook's table, and classes in its line.
MOST_SHOWN = 10
TYPICALITY = "typicality"


@dataclass(frozen=True, repr=False)
class Predictions(Shown):
    """Predictions in the order of the images, and the images that could not be used.

    Attributes:
        classes: The classes or labels, in the order of the probabilities.
        rows: One for each image.
        failed: Images that could not be read.
        multilabel: Whether an image may have several of the labels.
        name: The folder name of the run or of the saved classifier.
        training_images: Number of training images with which images were compared; 0 if they were not.
    """

    classes: tuple[str, ...]
    rows: tuple[Prediction, ...]
    failed: tuple[Failure, ...]
    multilabel: bool = False
    name: str = ""
    training_images: int = 0

    @property
    def outside(self) -> tuple[Prediction, ...]:
        """The images outside what the training images span."""
        return tuple(row for row in self.rows if row.outside)

    def headline(self) -> str:
        """Return how many images were predicted to be of each class, or have each label, the most frequent first."""
        if self.multilabel:
            counts = Counter(label for row in self.rows for label in row.labels or ())
            if none := sum(not row.labels for row in self.rows):
                counts["no label"] = none
        else:
            counts = Counter(str(row.label) for row in self.rows)
        named = ", ".join(f"{label} {n:,}" for label, n in counts.most_common(MOST_SHOWN))
        named += ", …" if len(counts) > MOST_SHOWN else ""
        skipped = f"; {len(self.failed):,} skipped" if self.failed else ""
        return f"{images(len(self.rows))}{': ' if named else ''}{named}{skipped}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the first images with class, probability and, where it is known, typicality."""
        header, shown = self.shown(self.rows[:MOST_SHOWN])
        rest = [("…", *[""] * (len(header) - 1))] if len(self.rows) > MOST_SHOWN else []
        return header, [*shown, *rest]

    def shown(
        self, rows: Sequence[Prediction], *, neighbours: bool = False
    ) -> tuple[Sequence[str], list[Sequence[str]]]:
        """Return header and rows of a table for people: the class with its probability, or the labels with theirs.

        Of an image without a label it is the highest probability. The typicality stands last, where it is known.
        With `neighbours`, those of an image are in rows below it, with their cosine in place of the typicality.
        """
        named = neighbours and self._most_neighbours > 0
        last = " or cosine" * named
        typical = self.training_images > 0 or named
        header = ("image", "labels" if self.multilabel else "class", "probability")
        cells: list[Sequence[str]] = []
        for row in rows:
            own = (row.path, row.words or NOTHING, _probability(row))
            cells.append((*own, typicality_text(row.typicality)) if typical else own)
            for near in row.neighbours if named else ():
                cells.append((f"  near {near.path}", near.label or NOTHING, "", cosine_text(near.cosine)))
        return (*header, *([f"typicality{last}"] * typical)), cells

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx predict`."""
        return {
            "predictions": [row.to_json() for row in self.rows],
            "failed": [failure.to_json() for failure in self.failed],
        }

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each image, see `columns`.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(self.columns())

    def write(self, path: str | Path) -> Path:
        """Write a CSV file with a row for each image, see `columns`; probabilities have six digits.

        Raises:
            StoreError: The file cannot be written.
        """
        columns = self.columns()
        for name in self.classes:
            columns[f"p_{name}"] = [f"{p:.6g}" for p in columns[f"p_{name}"]]
        for name in (*([TYPICALITY] if self._typical else []), *self._cosines):
            columns[name] = ["" if value is None else f"{value:.6g}" for value in columns[name]]
        return write_csv(Path(path), list(columns), zip(*columns.values(), strict=True))

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return a table of the predictions by column.

        Columns: `path`, `label` (the most probable class) and `p_<class>` for each class. Then what the manifest or
        data frame has: `true_label` and `group`, if some image has one, and its other columns under their own names,
        with `extra_` before one that is there already. Where an image may have several labels, `labels` stands in
        place of `label`, with `|` between those whose probability is at least 0.5; the true ones are in columns
        `label:<name>`, 1 where a label is there, 0 where it is not, None where that is not known.

        Last are `typicality`, if it is known of some image, and, where neighbours were asked for,
        `neighbour_<rank>`, `neighbour_<rank>_label` and `neighbour_<rank>_cosine` for each rank from 1.
        """
        rows = self.rows
        own = "labels" if self.multilabel else "label"
        columns: dict[str, Sequence[Any]] = {"path": [row.path for row in rows], own: [row.words for row in rows]}
        columns |= {f"p_{name}": [row.probabilities[name] for row in rows] for name in self.classes}
        names = dict.fromkeys(name for row in rows for name in row.true_labels)
        further: dict[str, list[Any]] = {"true_label": [row.true_label for row in rows]}
        further |= {f"label:{name}": [_number(row.true_labels.get(name)) for row in rows] for name in names}
        further |= {"group": [row.group for row in rows]}
        columns |= {name: cells for name, cells in further.items() if any(cell is not None for cell in cells)}
        last = self._typicality_and_neighbours()
        joined = with_further({**columns, **last}, columns_of([row.extra for row in rows]))
        return {name: joined[name] for name in (*(name for name in joined if name not in last), *last)}

    def write_page(self, path: str | Path) -> Path:
        """Write a self-contained HTML page: each image, its probabilities, typicality and nearest training images.

        Raises:
            StoreError: It cannot be written.
        """
        from featx.pages import render

        title = f"Predictions{f' of {self.name}' if self.name else ''}"
        page = prediction_page(title, f"{self.headline()}.", self.rows, self.training_images)
        return write_text(Path(path), render(page))

    @property
    def _typical(self) -> bool:
        return any(row.typicality is not None for row in self.rows)

    @property
    def _most_neighbours(self) -> int:
        return max((len(row.neighbours) for row in self.rows), default=0)

    @property
    def _cosines(self) -> list[str]:
        return [f"neighbour_{rank}_cosine" for rank in range(1, self._most_neighbours + 1)]

    def _typicality_and_neighbours(self) -> dict[str, Sequence[Any]]:
        """Return the last columns."""
        columns: dict[str, Sequence[Any]] = {}
        if self._typical:
            columns[TYPICALITY] = [row.typicality for row in self.rows]
        for place in range(self._most_neighbours):
            near = [row.neighbours[place] if place < len(row.neighbours) else None for row in self.rows]
            name = f"neighbour_{place + 1}"
            columns[name] = [None if one is None else one.path for one in near]
            columns[f"{name}_label"] = [None if one is None else one.label for one in near]
            columns[f"{name}_cosine"] = [None if one is None else one.cosine for one in near]
        return columns


def _number(there: bool | None) -> int | None:
    return None if there is None else int(there)


def _probability(row: Prediction) -> str:
    """Return the probability of the class, or of each label; the highest where there is no label."""
    own = [row.probabilities[label] for label in row.labels or ()] or [max(row.probabilities.values())]
    return joined_labels(map(decimal, own))
