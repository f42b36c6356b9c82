"""The verb `predict`: classes and probabilities of new images, by a run's head or a saved classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.classifiers import is_saved_classifier, read_classifier
from featx.features import Failure, OnError
from featx.files import write_csv
from featx.frames import Shown, columns_of, frame, with_further
from featx.progress import Progress, reports_progress
from featx.runs import HeadModel, Model, extract_new, read_run
from featx.text import decimal, images

# Images in a notebook's table, and classes in its line.
MOST_SHOWN = 10


def read_model(folder: str | Path) -> Model:
    """Read a run or a saved classifier; its head or estimator is loaded when it is needed."""
    place = Path(folder)
    return read_classifier(place) if is_saved_classifier(place) else HeadModel(read_run(place))


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: The image's path as it was given.
        label: The most probable class.
        probabilities: For each class; they add up to 1.
        true_label: The class that a manifest or data frame gives; None without one.
        group: The group that it gives, such as a patient; None without one.
        extra: Its other columns.
    """

    path: str
    label: str
    probabilities: dict[str, float]
    true_label: str | None = None
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        """Return `path, label, probabilities`."""
        return {"path": self.path, "label": self.label, "probabilities": self.probabilities}


@dataclass(frozen=True, repr=False)
class Predictions(Shown):
    """Predictions in the order of the images, and the images that could not be used."""

    classes: tuple[str, ...]
    rows: tuple[Prediction, ...]
    failed: tuple[Failure, ...]

    def headline(self) -> str:
        """Return how many images were predicted to be of each class, the most frequent first."""
        counts = Counter(row.label for row in self.rows)
        named = ", ".join(f"{label} {n:,}" for label, n in counts.most_common(MOST_SHOWN))
        named += ", …" if len(counts) > MOST_SHOWN else ""
        skipped = f"; {len(self.failed):,} skipped" if self.failed else ""
        return f"{images(len(self.rows))}{': ' if named else ''}{named}{skipped}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the first images with class and probability."""
        shown = [(row.path, row.label, decimal(max(row.probabilities.values()))) for row in self.rows[:MOST_SHOWN]]
        rest = [("…", "", "")] if len(self.rows) > MOST_SHOWN else []
        return ("image", "class", "probability"), [*shown, *rest]

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
        return write_csv(Path(path), list(columns), zip(*columns.values(), strict=True))

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return a table of the predictions by column.

        Columns: `path`, `label` (the most probable class) and `p_<class>` for each class. Then what the manifest or
        data frame has: `true_label` and `group`, if some image has one, and its other columns under their own names,
        with `extra_` before one that is there already.
        """
        rows = self.rows
        columns: dict[str, Sequence[Any]] = {"path": [row.path for row in rows], "label": [row.label for row in rows]}
        columns |= {f"p_{name}": [row.probabilities[name] for row in rows] for name in self.classes}
        further = {"true_label": [row.true_label for row in rows], "group": [row.group for row in rows]}
        columns |= {name: cells for name, cells in further.items() if any(cell is not None for cell in cells)}
        return with_further(columns, columns_of([row.extra for row in rows]))


@reports_progress
def predict(
    run: str | Path,
    paths: Any,
    *,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
) -> Predictions:
    """Classify new images with a run's head or a saved classifier, preprocessed as its training images were.

    Args:
        run: A folder that `fit_head` wrote, or a saved classifier that `save_best` wrote.
        paths: Images, folders (searched at any depth) or manifests, or one of them; or a data frame with a column
            `path`, or images in memory, see `read_data`. Predictions are in their order; those of a folder are
            ordered by name. An image that is listed twice has one prediction.
        cache: Folder of the store; features of images predicted before are not computed again.
        weights: Where the backbone's weights are, if not where the recipe says.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.

    Raises:
        UsageError: `paths` is none of these.
        RunError: The folder is neither, or damaged.
        UntrustedError: The backbone's weights, or anything else that decides the features, are not those of the fit.
        FeatxError: What `extract` raises.
    """
    model = read_model(run)
    extraction = extract_new(model, paths, cache=cache, weights=weights, on_error=on_error)
    shares = model.probabilities(extraction.view_rows(extraction.images))
    rows = []
    for image, row in zip(extraction.images, shares, strict=True):
        item, by_class = image.item, dict(zip(model.classes, map(float, row), strict=True))
        label = model.classes[int(row.argmax())]
        rows.append(Prediction(item.id, label, by_class, item.label, item.group, item.extra))
    return Predictions(model.classes, tuple(rows), extraction.failed)
