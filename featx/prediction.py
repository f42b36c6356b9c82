"""The verb `predict`: classes and probabilities of new images, by a run's head or a saved classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.classifiers import is_saved_classifier, read_classifier
from featx.features import Failure, OnError
from featx.files import write_csv
from featx.frames import Shown, frame
from featx.progress import Progress, reports_progress
from featx.runs import HeadModel, Model, as_given, extract_new, listed_images, read_run
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
    """

    path: str
    label: str
    probabilities: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return `path, label, probabilities`."""
        return vars(self).copy()


@dataclass(frozen=True, repr=False)
class Predictions(Shown):
    """Predictions in the order of the images, and the images that could not be used."""

    classes: tuple[str, ...]
    rows: tuple[Prediction, ...]
    failed: tuple[Failure, ...]

    def headline(self) -> str:
        """Return how many images were predicted to be of each class, the most frequent first."""
        counts = Counter(row.label for row in self.rows).most_common(MOST_SHOWN)
        named = ", ".join(f"{label} {n:,}" for label, n in counts)
        skipped = f"; {len(self.failed):,} skipped" if self.failed else ""
        return f"{images(len(self.rows))}: {named}{skipped}"

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
        """Return a `pandas.DataFrame` with a row for each image: `path`, `label` and `p_<class>` for each class.

        Raises:
            UsageError: pandas is not installed.
        """
        shares = {f"p_{name}": [row.probabilities[name] for row in self.rows] for name in self.classes}
        return frame({"path": [row.path for row in self.rows], "label": [row.label for row in self.rows], **shares})

    def write(self, path: Path) -> Path:
        """Write a CSV file with `path`, `label` and a column `p_<class>` for each class."""
        header = ["path", "label", *(f"p_{name}" for name in self.classes)]
        rows = ([row.path, row.label, *(f"{p:.6g}" for p in row.probabilities.values())] for row in self.rows)
        return write_csv(path, header, rows)


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
            `path`, or images in memory, see `read_data`. Predictions are in their order; those of one folder,
            manifest or data frame are ordered by name.
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
    paths = listed_images(paths)
    model = read_model(run)
    extraction = extract_new(model, paths, cache=cache, weights=weights, on_error=on_error)
    ordered = as_given(extraction.images, paths)
    rows = []
    for image, row in zip(ordered, model.probabilities(extraction.view_rows(ordered)), strict=True):
        by_class = dict(zip(model.classes, map(float, row), strict=True))
        rows.append(Prediction(image.item.id, model.classes[int(row.argmax())], by_class))
    return Predictions(model.classes, tuple(rows), extraction.failed)
