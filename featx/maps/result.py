"""The result of drawing a map: its points with what is known of their images, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.features import Failure
from featx.frames import Shown, frame, paragraph, with_further
from featx.maps.colouring import LABEL, OF_LABEL, Colouring
from featx.maps.embedding import Embedding, place
from featx.maps.guesses import guesses_of, labels_of, targets_of
from featx.maps.quality import neighbour_count
from featx.runs import Layer, Source
from featx.text import decimal, images

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What the images of a split are called; those of none are new.
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test", "all": "all", "": "new"}


@dataclass(frozen=True)
class MapPoints:
    """The n points of a map: first those that made it, then those placed on it.

    Attributes:
        xy: (n, 2) coordinates.
        ids: Each image's path, as the data names it, or as it was given.
        labels: Each image's class; "" if it is not known. Of several labels those that are there, with `|` between.
        predicted: The class that the run's head predicts; None if there is no head. Of several labels those with a
            probability of at least 0.5; if one of them colours the points, `there` or `not there`.
        confidence: The probability of that class, 0 to 1; None if there is no head, or for several labels.
        splits: `train`, `val` or `test`; "" for new images.
        added: Whether the image was placed on the map afterwards.
        by: The column that colours the points.
        categories: Each image's value in that column; "" if it has none.
        files: Where each image was when it was last read.
        digests: SHA-256 of each image's bytes.
        pixels: Of each image its pixels if it is in memory, None if it is a file.
        extra: The other columns of the data's manifest or data frame by name; None where an image has no value.
        wrong: Whether each image is misclassified by the head; None if there is no head. Of several labels, whether
            any that is known is wrong, or the one that colours the points.
        colouring: What colours the points.
    """

    xy: NDArray[np.float64]
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...] | None
    confidence: tuple[float, ...] | None
    splits: tuple[str, ...]
    added: tuple[bool, ...]
    by: str
    categories: tuple[str, ...]
    files: tuple[Path, ...]
    digests: tuple[str, ...]
    pixels: tuple[NDArray[np.uint8] | None, ...]
    extra: Mapping[str, tuple[Any, ...]]
    wrong: tuple[bool, ...] | None
    colouring: Colouring

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def placed(self) -> tuple[str, ...]:
        """What each image that was placed on the map is called, such as `test` or `new`; "" for the others."""
        return tuple(SPLIT_NAMES[split] if late else "" for split, late in zip(self.splits, self.added, strict=True))

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return the table: path, label, predicted, split, added, x, y, and the data's other columns.

        `extra_` is put before the name of one that is there already.
        """
        columns: dict[str, Sequence[Any]] = {
            "path": self.ids,
            "label": self.labels,
            "predicted": ("",) * len(self) if self.predicted is None else self.predicted,
            "split": self.splits,
            "added": self.added,
            "x": list(self.xy[:, 0]),
            "y": list(self.xy[:, 1]),
        }
        return with_further(columns, self.extra)


@dataclass(frozen=True, repr=False)
class Map(Shown):
    """A map that was drawn.

    Attributes:
        embedding: The points that made the map, and how they were made.
        points: All points, also those placed on the map, with what is known of their images.
        name: The name of the run or the data, for titles.
        layer: `penultimate` or `backbone`.
        split: The images that the map was made of: `train`, `val`, `test` or `all`.
        by: The column that colours the points.
        trustworthiness: 0 to 1, see `trustworthiness`; None for too few images.
        stability: The share of an image's neighbours that a map of the next seed keeps, 0 to 1, as a mean; None for
            PCA, which is not random, and for more than 10,000 images.
        silhouette: The silhouette of the colours in the `features` and on the `map`, -1 to 1; None if there are not
            two colours.
        stored: The file of the stored map; None if nothing is written.
        failed: Images that could not be used.
        files: Pictures, page and table.
        seconds: Wall time of `visualize`.
    """

    embedding: Embedding
    points: MapPoints
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

    def headline(self) -> str:
        """Return `run: 216 images by t-SNE and 36 placed on it, trustworthiness 0.95, stability 0.61`."""
        placed = len(self.points) - self.n
        added = f" and {placed:,} placed on it" if placed else ""
        trust = f", {self.trust.lower()}" if self.trust else ""
        return f"{self.name}: {images(self.n)} by {self.embedding.method}{added}{trust}"

    def _repr_html_(self) -> str:
        return paragraph(self.headline()) + plots.inline_png(self.draw())

    @property
    def n(self) -> int:
        """The number of images that the map was made of."""
        return len(self.embedding.points)

    @property
    def trust(self) -> str:
        """Trustworthiness and stability in words; "" if neither is known."""
        values = {"trustworthiness": self.trustworthiness, "stability": self.stability}
        return ", ".join(f"{name} {decimal(v, 2)}" for name, v in values.items() if v is not None).capitalize()

    @property
    def title(self) -> str:
        """The run or data, the features, and which images are on the map."""
        colouring = self.points.colouring
        by = f", by {colouring.name}" if colouring.name not in ("", LABEL) else ""
        placed = sorted(set(self.points.placed) - {""}, reverse=True)
        # Images without labels are for training in name only.
        whole = not any(self.points.labels) and set(self.points.splits[: self.n]) == {"train"}
        *first, last = [SPLIT_NAMES["all" if whole else self.split], *placed]
        kinds = f"{', '.join(first)} and {last}" if first else last
        return f"{self.name}: {self.layer} features, {kinds} images{by}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that say how the map was made and how far to trust it."""
        trust = f"{self.trust} ({neighbour_count(self.n)} neighbours)." if self.trust else ""
        features, on_map = (decimal(self.silhouette[name], 2) for name in ("features", "map"))
        apart = f"Silhouette {features} in the features, {on_map} on the map."
        known = None not in self.silhouette.values()
        colours = self.points.colouring.note
        return tuple(note for note in (f"{self.embedding.method}.", trust, apart if known else "", colours) if note)

    def draw(self, ax: Axes | None = None) -> Axes:
        """Draw the map as it is in the PNG file.

        Args:
            ax: Where to draw; by default the Axes of a new figure as wide as a journal's column.
        """
        return self.draw_titled(self.title, "\n".join(self.notes), ax)

    def draw_titled(self, title: str, note: str, ax: Axes | None = None) -> Axes:
        """Draw the map with another title and note."""
        points, directions = self.points, self.embedding.axes
        colours = points.colouring.few()
        if colours.numbers is not None:
            where: dict[str, Any] = {"placed": points.placed, "directions": directions}
            return plots.draw_scale(points.xy, colours.numbers, colours.name, title, note, ax, **where)
        return plots.draw_scatter(
            points.xy,
            colours.categories,
            title,
            note,
            ax,
            wrong=points.wrong,
            placed=points.placed,
            directions=directions,
            looks=colours.looks,
            missing=colours.missing,
        )

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row for each image and the columns of the CSV file.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(self.points.columns())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx visualize`."""
        return {
            "files": [str(path) for path in self.files],
            "stored": None if self.stored is None else str(self.stored),
            **asdict(self.embedding.parameters),
            "description": self.embedding.method,
            "layer": self.layer,
            "split": self.split,
            "by": self.by,
            "n": self.n,
            "added": len(self.points) - self.n,
            "trustworthiness": self.trustworthiness,
            "stability": self.stability,
            "k": neighbour_count(self.n),
            "silhouette": self.silhouette,
            "failed": [failure.to_json() for failure in self.failed],
            "seconds": round(self.seconds, 3),
        }


def points_of(base: Source, added: Sequence[Source], embedding: Embedding, colouring: Colouring) -> MapPoints:
    """Return the points of a map of `base`, and those of the images placed on it, in the colours of all of them."""
    sources = [base, *added]
    places = [place(embedding, base.table.X, source.table.X) for source in added]
    heads = [source.predicted for source in sources if source.predicted is not None]
    guesses = guesses_of(sources, heads, colouring)
    return MapPoints(
        xy=np.concatenate([embedding.points, *places]),
        ids=_joined(source.table.ids for source in sources),
        labels=_joined(labels_of(source) for source in sources),
        predicted=None if guesses is None else guesses.predicted,
        confidence=None if guesses is None else guesses.confidence,
        splits=_joined(source.table.splits for source in sources),
        added=_joined((number > 0,) * len(source.table) for number, source in enumerate(sources)),
        by=colouring.by,
        categories=colouring.categories,
        files=_joined(source.files for source in sources),
        digests=_joined(source.table.digests for source in sources),
        pixels=_joined(source.pixels or (None,) * len(source.table) for source in sources),
        extra=_extra(sources, colouring),
        wrong=None if guesses is None else guesses.wrong,
        colouring=colouring,
    )


def _extra(sources: Sequence[Source], colouring: Colouring) -> dict[str, tuple[Any, ...]]:
    """Return the data's other columns, one for each of several labels, and what colours the points if it is none."""
    names = dict.fromkeys(name for source in sources for name in source.table.extra)
    empty = [(None,) * len(source.table) for source in sources]
    extra = {
        name: _joined(source.table.extra.get(name, none) for source, none in zip(sources, empty, strict=True))
        for name in names
    }
    for label in sources[0].table.label_names:
        extra[f"{OF_LABEL}{label}"] = _joined(targets_of(source, label) for source in sources)
    clusters = colouring.name == "cluster"  # a column of this name is in the table already
    if colouring.name not in ("", LABEL, "split") and not colouring.by.startswith(OF_LABEL):
        values = (value.removeprefix("cluster ") if clusters else value for value in colouring.categories)
        extra.setdefault(colouring.name, tuple(value or None for value in values))
    return extra


def _joined(parts: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(parts))
