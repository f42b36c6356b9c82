"""The result of a search: for each query the nearest images, as JSON, a data frame, a CSV file and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.features import Failure
from featx.files import write_csv, write_text
from featx.frames import Shown, columns_of, frame, paragraph, with_further
from featx.searching.neighbours import QueryResult
from featx.searching.page import Strips, fragment, page
from featx.text import images

TRAINED = (
    "The penultimate layer was trained with the classes of the training images, so neighbours tend to have the class "
    "that the head predicts. The backbone's features (layer backbone) were not trained with them."
)


@dataclass(frozen=True, repr=False)
class SearchResult(Shown):
    """The nearest images of each query, in the order of the queries.

    Attributes:
        name: The run's or the data's folder name.
        layer: `penultimate` or `backbone`.
        split: The split that was searched, or `all`.
        n: Number of images that were searched.
        k: Number of neighbours that were wanted.
        classes: The classes or labels of the images that were searched, sorted; none if they have none.
        results: One for each query.
        failed: Images of the data, and queries, that could not be read and were left out.
        files: The files that were written.
        seconds: Wall time.
        multilabel: Whether an image may have several of the labels.
    """

    name: str
    layer: str
    split: str
    n: int
    k: int
    classes: tuple[str, ...]
    results: tuple[QueryResult, ...]
    failed: tuple[Failure, ...] = ()
    files: tuple[Path, ...] = ()
    seconds: float = 0.0
    multilabel: bool = False

    def headline(self) -> str:
        """Return what was searched for what, in one line."""
        queries = f"{len(self.results):,} quer{'y' if len(self.results) == 1 else 'ies'}"
        return f"{self.name}: {queries}, {self.k:,} nearest of {images(self.n)}, {self.layer} features"

    def _repr_html_(self) -> str:
        """Return thumbnails of a few neighbours of the first queries, for a notebook."""
        return paragraph(self.headline()) + fragment(self._strips())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx search`."""
        return {
            "results": [result.to_json() for result in self.results],
            "n": self.n,
            "k": self.k,
            "layer": self.layer,
            "split": self.split,
            "seconds": round(self.seconds, 3),
            "files": [str(path) for path in self.files],
            "failed": [failure.to_json() for failure in self.failed],
        }

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return a table by column, with a row for each query and neighbour.

        Columns: `query`, `rank` (from 1), `path`, `label`, `split`, `group`, `cosine`, `same_file`, then the other
        columns of the data's manifest, with `extra_` before a name that is there already. There is no `label` where
        no image that was searched has one; several labels have `|` between them.
        """
        rows = [
            (result.query, rank, near) for result in self.results for rank, near in enumerate(result.neighbours, 1)
        ]
        columns: dict[str, Sequence[Any]] = {"query": [row[0] for row in rows], "rank": [row[1] for row in rows]}
        for name in ("path", *(["label"] if self.classes else []), "split", "group", "cosine", "same_file"):
            columns[name] = [getattr(near, name) for _, _, near in rows]
        return with_further(columns, columns_of([near.extra for _, _, near in rows]))

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each query and neighbour, see `columns`.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(self.columns())

    def write(self, path: str | Path) -> Path:
        """Write a CSV file with the columns of `columns`; what is not known is an empty cell.

        Raises:
            StoreError: It cannot be written.
        """
        columns = self.columns()
        columns["cosine"] = [f"{cosine:.6f}" for cosine in columns["cosine"]]
        return write_csv(Path(path), list(columns), zip(*columns.values(), strict=True))

    def write_page(self, path: str | Path) -> Path:
        """Write a self-contained HTML page: each query, and its neighbours with thumbnail, class, cosine and path.

        Raises:
            StoreError: It cannot be written.
        """
        return write_text(Path(path), page(f"{self.name}: nearest images", self._strips()))

    def _strips(self) -> Strips:
        which = "" if self.split == "all" else f"split {self.split}, "
        head = (
            f"{images(self.n)}, {which}{self.layer} features, compared by cosine similarity (1: same direction, "
            "0: nothing in common)."
        )
        return Strips(
            head, TRAINED if self.layer == "penultimate" else "", self.classes, self.results, self.multilabel
        )
