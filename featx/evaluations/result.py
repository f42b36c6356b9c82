"""The result of an evaluation: scores, and every image with its class and its probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits import ColumnScores
from featx.evaluations.scores import Scores
from featx.evaluations.training import Copy
from featx.evaluations.words import copies_words, majority_words, outside_words, subgroup_words
from featx.features import Failure
from featx.files import finite
from featx.frames import Shown, columns_of, frame, with_further
from featx.novelty import is_outside
from featx.stats import ClassMetrics, Score
from featx.text import decimal, fraction_percent, images, interval_percent, joined_labels, percent

# Metrics in a short table, and what they are called there.
NAMED = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log loss (nats)",
    "brier": "Brier score",
}
# Entries that metrics of classes have at the top of the JSON.
OF_CLASSES = ("majority", "p_value_vs_majority", "positive")
MOST_CLASSES = 12  # in a table on a terminal


@dataclass(frozen=True)
class EvaluatedImage:
    """An image with its true class and what the model says.

    Attributes:
        path: The image's path as the data names it.
        split: `train`, `val` or `test`, as the data has it.
        label: The true class; of several labels those that are there, with `|` between them.
        predicted: The most probable class; of several labels those with a probability of at least 0.5.
        probabilities: In the order of the classes.
        correct: Whether the class is right; of several labels, whether all that are known are right.
        digest: SHA-256 of the image's bytes.
        group: Such as the patient; None where the data names none.
        extra: The data's other columns.
        typicality: Percentile among held-out training images, 0 to 100, see `predict`; None where it is not known.
        targets: Of several labels 1, 0 or NaN for each; None otherwise.
        file: Where the image is.
        pixels: Of an image in memory its pixels.
    """

    path: str
    split: str
    label: str
    predicted: str
    probabilities: tuple[float, ...]
    correct: bool
    digest: str
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    typicality: float | None = None
    targets: tuple[float, ...] | None = field(default=None, compare=False)
    file: Path = field(default=Path(), compare=False, repr=False)
    pixels: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """A run's head or a saved classifier on new labelled images.

    Attributes:
        model: The model's folder.
        kind: `head` or `classifier`.
        name: The data's name.
        split: The split that was evaluated, or `all`.
        why: Why it was this one, as a sentence.
        classes: The model's classes or labels, in the order of the probabilities.
        multilabel: Whether an image may have several labels.
        images: Every image, in the data's order.
        scores: How good the probabilities are.
        temperature: What the head's logits were divided by; 1 without one, None for a classifier.
        subgroups: The accuracy by the values of the data's further columns.
        atypical_p: The probability that chance alone puts so many images outside what the training images span; None
            where it is not known how typical images are.
        copies: Paths of images that are copies of training images in all but their bytes, and of what.
        without_copies: The accuracy on the other images; None without copies.
        skipped: The number of images that were left out because the model has seen them.
        notes: What a reader must know of the results, as sentences.
        failed: Images that could not be read.
        files: The files that were written.
        seconds: Wall time.
    """

    model: Path
    kind: str
    name: str
    split: str
    why: str
    classes: tuple[str, ...]
    multilabel: bool
    images: tuple[EvaluatedImage, ...]
    scores: Scores
    temperature: float | None = None
    subgroups: tuple[ColumnScores, ...] = ()
    atypical_p: float | None = None
    copies: tuple[tuple[str, Copy], ...] = ()
    without_copies: Score | None = None
    skipped: int = 0
    notes: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    files: tuple[Path, ...] = ()
    seconds: float = 0.0

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.images)

    @property
    def which(self) -> str:
        """What the images are, before `images`: `test`, or "" for all."""
        return {"train": "training", "val": "validation", "test": "test"}.get(self.split, "")

    @property
    def misclassified(self) -> tuple[EvaluatedImage, ...]:
        """The images whose class is wrong, those with the most probable wrong class first."""
        wrong = [image for image in self.images if not image.correct]
        return tuple(sorted(wrong, key=lambda image: (-max(image.probabilities), image.digest, image.path)))

    @property
    def atypical(self) -> tuple[EvaluatedImage, ...]:
        """The images outside what the training images span, those that lie farthest outside first."""
        outside = [image for image in self.images if image.typicality is not None and is_outside(image.typicality)]
        return tuple(sorted(outside, key=lambda image: (image.typicality or 0.0, image.digest, image.path)))

    def named(self, name: str, words: str) -> str:
        """Return the words for a metric; those of one class name it."""
        own = self.scores.classification
        return f"{words} for {own.positive}" if own is not None and name in ("sensitivity", "specificity") else words

    def headline(self) -> str:
        """Return `run on elsewhere, 770 images: 591/770 = 76.8 % (74–80 %)`."""
        return f"{self.model.name} on {self.name}, {images(self.n, self.which)}: {self.scores.score}"

    def sentences(self) -> tuple[str, ...]:
        """Return what the metrics alone do not say: whether guessing is as good, and where the accuracy differs."""
        sentences = [majority_words(self.scores), *map(subgroup_words, self.subgroups)]
        if self.atypical_p is not None:
            sentences.append(self.atypical_words())
        if self.copies:
            sentences.append(self.copies_words())
        return tuple(sentence for sentence in (*sentences, *self.notes) if sentence)

    def atypical_words(self) -> str:
        """Return how many images lie outside what the training images span, and how good the model is there."""
        paths = {image.path for image in self.atypical}
        outside = np.array([image.path in paths for image in self.images], bool)
        correct = np.array([image.correct for image in self.images], bool)
        return outside_words(correct, outside, 1.0 if self.atypical_p is None else self.atypical_p)

    def copies_words(self) -> str:
        """Return how many images are copies of training images, and the accuracy without them."""
        path, copy = self.copies[0]
        return copies_words(len(self.copies), self.n, (path, copy.training), self.without_copies)

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the metrics with their intervals, and the recall of each class."""
        rows = [("accuracy", str(self.scores.score))]
        if self.scores.by_group is not None:
            rows.append(("by group", str(self.scores.by_group)))
        if self.scores.classification is not None:
            label, most = self.scores.classification.majority
            rows.append(("always the most frequent class", f"{fraction_percent(most, self.n)}, {label}"))
        for name, words in NAMED.items():
            if (metric := self.scores.metrics.get(name)) is not None:
                rows.append((self.named(name, words), f"{decimal(metric.value)}{_ends(metric.interval)}"))
        own = self.scores.calibration
        rows.append(("mean confidence", f"{percent(own.confidence)} at an accuracy of {percent(own.accuracy)}"))
        rows.append(
            (
                "calibration error",
                f"{decimal(own.ece)}; {decimal(own.expected_ece)} would be chance alone at this number of images",
            )
        )
        for one in self.scores.per_class[:MOST_CLASSES]:
            if isinstance(one, ClassMetrics):
                rows.append((f"of {one.label}", _correct(one)))
            else:
                rows.append((f"AUC of {one.label}", "–" if one.auc is None else str(one.auc)))
        return (), rows

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx evaluate`."""
        score, own = self.scores.score.to_json(), self.scores.calibration
        of_classes = {} if self.scores.classification is None else self.scores.classification.to_json()
        of_classes = {name: value for name, value in of_classes.items() if name in OF_CLASSES}
        by_group = {} if self.scores.by_group is None else {"by_group": self.scores.by_group.to_json()}
        calibration = {
            "ece": own.ece,
            "debiased_ece": own.debiased_ece,
            "expected_ece": own.expected_ece,
            "brier": own.brier.score,
            "confidence": own.confidence,
            "temperature": self.temperature,
        }
        document = {
            "model": str(self.model),
            "kind": self.kind,
            "data": self.name,
            "split": self.split,
            "classes": list(self.classes),
            **score,
            **by_group,
            **of_classes,
            "metrics": {name: metric.to_json() for name, metric in self.scores.metrics.items()},
            "per_class": [one.to_json() for one in self.scores.per_class],
            "calibration": calibration,
            "subgroups": [one.to_json() for one in self.subgroups],
            "atypical": [{"path": image.path, "percentile": image.typicality} for image in self.atypical],
            "atypical_p_value": self.atypical_p,
            "duplicates": len(self.copies),
            "copies": [{"path": path, **copy.to_json()} for path, copy in self.copies],
            **({} if self.without_copies is None else {"without_duplicates": _without_loss(self.without_copies)}),
            "skipped_seen": self.skipped,
            "notes": list(self.notes),
            "failed": [failure.to_json() for failure in self.failed],
            "files": [str(path) for path in self.files],
            "seconds": round(self.seconds, 3),
        }
        return dict(finite(document))

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return a table by column, with a row for each image in the data's order.

        Columns: `path`, `split`, `label` (the true class), `predicted`, `correct`, `p_<class>` for each class,
        `typicality`, `sha256`, `group`, then the data's other columns, with `extra_` before a name that is there
        already. Where an image may have several labels, `label` and `predicted` have `|` between them, and columns
        `label:<name>` say of each whether it is there: 1, 0, or None where that is not known.
        """
        names = ("path", "split", "label", "predicted", "correct")
        columns: dict[str, Sequence[Any]] = {name: [getattr(image, name) for image in self.images] for name in names}
        for number, name in enumerate(self.classes if self.multilabel else ()):
            columns[f"label:{name}"] = [_known(image.targets, number) for image in self.images]
        for number, name in enumerate(self.classes):
            columns[f"p_{name}"] = [image.probabilities[number] for image in self.images]
        columns["typicality"] = [image.typicality for image in self.images]
        columns["sha256"] = [image.digest for image in self.images]
        columns["group"] = [image.group for image in self.images]
        return with_further(columns, columns_of([image.extra for image in self.images]))

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each image, see `columns`.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(self.columns())


def _without_loss(score: Score) -> dict[str, Any]:
    return {name: value for name, value in score.to_json().items() if name != "loss"}


def _ends(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({decimal(interval[0], 2)}–{decimal(interval[1], 2)})"


def _correct(one: ClassMetrics) -> str:
    """Return `33/40 = 82.5 % correct (68.1–91.3 %)`."""
    if one.sensitivity is None:
        return "no images"
    shown = fraction_percent(round(one.sensitivity.value * one.n), one.n)
    return f"{shown} correct ({interval_percent(one.sensitivity.interval)})"


def _known(targets: tuple[float, ...] | None, number: int) -> int | None:
    if targets is None or targets[number] != targets[number]:
        return None
    return int(targets[number])


def labels_in_words(names: Sequence[str], there: Sequence[bool]) -> str:
    """Return the labels that are there, with `|` between them."""
    return joined_labels(name for name, chosen in zip(names, there, strict=True) if chosen)
