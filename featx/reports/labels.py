"""The report's sections for a head that was trained on images with several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.data import SPLITS
from featx.pages import Block, Gallery, Note, Picture, Table, Text, drawing, few_classes, fold_of, missing_note
from featx.reports.metrics import groups_of
from featx.reports.opened import SPLIT_NAMES, OpenedRun
from featx.reports.pictures import run_thumbnails
from featx.runs import RunImage
from featx.stats import BINS, THRESHOLD, Estimate, LabelMetrics, LabelScore, label_metrics
from featx.text import LABEL_SEPARATOR, NOTHING, count, decimal, fraction, images, interval_percent, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_LABEL = "no label"
# Labels in the table of those that stand together, which has as many columns.
MOST_TOGETHER = 20
# Wrong labels that are named below an image.
SHOWN_WRONG = 3
# Images on the page, and those that are seen at first, as of misclassified ones.
SHOWN, OPEN = 24, 4
# Of curves, in inches; a square would be as high as the page is wide.
CURVE_SIZE = (6.6, 4.4)
EXPLAINED = (
    "Prevalence: the share of images that have it. AUC with Newcombe's interval, AP with a logit interval. "
    "Sensitivity and specificity: shares of the images with and without the label that are predicted so at a "
    "probability of 0.5, with Wilson's intervals. All are 95 % intervals and allow for images of one group."
)


def targets_and_shares(chosen: Sequence[RunImage]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return (n, L) targets, 1, 0 or NaN for unknown, and (n, L) probabilities of images."""
    targets = np.array([image.targets for image in chosen], np.float32)
    return targets, np.array([image.probabilities for image in chosen], np.float64)


def wrong_labels(image: RunImage) -> NDArray[np.bool_]:
    """Return (L,) which of an image's known labels are wrong at a probability of 0.5."""
    targets, shares = np.array(image.targets, np.float64), np.array(image.probabilities)
    return np.asarray(((shares >= THRESHOLD) != (targets == 1)) & np.isfinite(targets))


def label_score_of(stored: dict[str, Any]) -> LabelScore:
    """Return a score of `metrics.json`."""
    return LabelScore.from_json(stored)


def label_words(label: str) -> str:
    """Return the labels of an image as the page shows them."""
    return label.replace(LABEL_SEPARATOR, ", ") or NO_LABEL


def label_results_blocks(opened: OpenedRun, parts: Sequence[tuple[str, LabelScore]]) -> list[Block]:
    """Return scores, metrics by label, and curves.

    Args:
        opened: The run.
        parts: Names and scores of the parts of the data.
    """
    blocks: list[Block] = [_scores(parts)]
    tested = {role: chosen for role in ("test", "validation") if (chosen := opened.of_role(role))}
    if "test" not in tested:
        text = (
            "The data has no test split, so nothing here shows how the head performs on images that played no part "
            "in training."
        )
        blocks.append(Note(text))
    for number, (role, chosen) in enumerate(tested.items()):
        targets, shares = targets_and_shares(chosen)
        metrics = label_metrics(opened.run.classes, shares, targets, groups_of(chosen))
        blocks.append(_by_label(metrics, role, number == 0))
        if number == 0:
            blocks += _pictures(opened, metrics, targets, shares, role)
    return blocks


def _scores(parts: Sequence[tuple[str, LabelScore]]) -> Table:
    rows = tuple(
        (
            SPLIT_NAMES.get(part, part),
            decimal(score.auc),
            decimal(score.average_precision),
            fraction(score.correct, score.n),
            percent(score.accuracy),
            interval_percent(score.interval),
            decimal(score.loss),
        )
        for part, score in parts
    )
    caption = (
        "Means over the labels of the area under the ROC curve (AUC, chance 0.5) and of the average precision (AP, "
        "chance: how frequent the label is); images in which every known label is right at a probability of 0.5, "
        "with Wilson's 95 % interval; mean binary cross-entropy of the known labels in nats. All without dropout."
    )
    header = ("images", "AUC", "AP", "all right", "share", "95 % interval", "loss")
    return Table(caption, header, rows)


def _by_label(metrics: Sequence[LabelMetrics], role: str, first: bool) -> Table:
    by_name = {each.label: each for each in metrics}

    def area(name: str) -> float:
        auc = by_name[name].auc
        return 2.0 if auc is None else auc.value

    listed, words = few_classes(list(by_name), area, "the smallest areas")
    rows = tuple(
        (
            name,
            _prevalence(by_name[name]),
            *(_area_words(getattr(by_name[name], part)) for part in ("auc", "average_precision")),
            *(_share(getattr(by_name[name], part)) for part in ("sensitivity", "specificity")),
        )
        for name in listed
    )
    caption = f"By label, {role} images where it is known. {EXPLAINED if first else ''}{words}".strip()
    header = ("label", "prevalence", "AUC", "AP", "sensitivity (%)", "specificity (%)")
    return Table(caption, header, rows, fold=fold_of(listed).replace("classes", "labels"))


def _share(estimate: Estimate | None) -> str:
    """Return `75 (59–86)` in per cent; a label has so many columns that digits are saved."""
    if estimate is None:
        return NOTHING
    low, high = estimate.interval
    return f"{100 * estimate.value:.0f} ({100 * low:.0f}–{100 * high:.0f})"


def _prevalence(metrics: LabelMetrics) -> str:
    """Return `11/60 (18 %)`, without its interval, so that all columns are seen at once."""
    if metrics.prevalence is None:
        return NOTHING
    return f"{fraction(metrics.positive, metrics.n)} ({percent(metrics.prevalence.value, 0)})"


def _area_words(estimate: Estimate | None) -> str:
    return NOTHING if estimate is None else str(estimate)


def _pictures(
    opened: OpenedRun,
    metrics: Sequence[LabelMetrics],
    targets: NDArray[np.float32],
    shares: NDArray[np.float64],
    role: str,
) -> list[Block]:
    """Return drawings of the metrics by label, of the ROC and precision-recall curves, and of the calibration."""
    listed = "; ".join(f"{each.label} {_area_words(each.auc)}" for each in metrics[:MOST_TOGETHER])

    precise = "; ".join(f"{each.label} {_area_words(each.average_precision)}" for each in metrics[:MOST_TOGETHER])

    intervals = {each.label: each.auc.interval for each in metrics if each.auc is not None}

    def roc() -> Axes:
        axes = plots.new_figure(*CURVE_SIZE)[1]
        return plots.draw_roc(targets, shares, opened.run.classes, ax=axes, intervals=intervals)

    def precision_recall() -> Axes:
        return plots.draw_precision_recall(targets, shares, opened.run.classes, ax=plots.new_figure(*CURVE_SIZE)[1])

    def calibration() -> Axes:
        return plots.draw_reliability(targets, shares, bins=BINS, ax=plots.new_figure(*CURVE_SIZE)[1])

    return [
        drawing(
            lambda: plots.draw_label_metrics(metrics, ""),
            opened.id("labels"),
            f"Points with intervals, one line for each label. Areas under the ROC curve: {listed}.",
            f"Metrics of each label, {role} images, with 95 % intervals.",
        ),
        drawing(
            roc,
            opened.id("label-curves"),
            f"ROC curves of the labels. Areas: {listed}.",
            f"Receiver operating characteristic of each label against its absence, {images(len(targets), role)}.",
        ),
        drawing(
            precision_recall,
            opened.id("label-precision"),
            f"Precision-recall curves of the labels. Areas, the average precision: {precise}.",
            "Precision against recall of each label, at every threshold. By chance the precision is the label's "
            "prevalence. With few images of a label, one image more or less moves a curve far.",
        ),
        drawing(
            calibration,
            opened.id("label-calibration"),
            "A reliability diagram: dots of the share of labels that are there against their probability.",
            "Calibration of all known labels together: the share that is there against the probability that it is, "
            f"in {BINS} bins of equal width.",
        ),
    ]


def label_errors(opened: OpenedRun, role: str, chosen: Sequence[RunImage]) -> list[Block]:
    """Return the images with the most wrong labels, with the probabilities of these labels."""
    wrong = {image.path: wrong_labels(image) for image in chosen}

    def distance(image: RunImage) -> float:
        targets, shares = np.array(image.targets), np.array(image.probabilities)
        return float(np.abs(shares - targets)[wrong[image.path]].sum())

    bad = [image for image in chosen if wrong[image.path].any()]
    bad.sort(key=lambda image: (-int(wrong[image.path].sum()), -distance(image), image.digest, image.path))
    total = sum(int(each.sum()) for each in wrong.values())
    known = sum(int(np.isfinite(image.targets).sum()) for image in chosen if image.targets is not None)
    caption = (
        f"{count(len(bad))} of {images(len(chosen), role)} with a wrongly predicted label; {count(total)} of "
        f"{count(known)} known labels are predicted wrongly"
    )
    if not bad:
        return [Text(f"{caption}.")]
    shown = bad[:SHOWN]
    capped = "" if len(shown) == len(bad) else f" The first {len(shown)} are shown."
    uris = run_thumbnails(opened.run, shown, f"wrongly predicted images ({role})", opened.cache)
    pictures = tuple(
        Picture(uri, image.path, _title(image), _wrong_shares(opened.run.classes, image, wrong[image.path]))
        for image, uri in zip(shown, uris, strict=True)
    )
    order = "those with the most such labels first, then those whose probabilities are farthest off"
    return [Gallery(f"{caption}; {order}.{capped}", pictures, OPEN), *missing_note(uris, "wrongly predicted")]


def _title(image: RunImage) -> str:
    return f"{label_words(image.label)}; predicted: {label_words(image.predicted)}"


def _wrong_shares(classes: Sequence[str], image: RunImage, wrong: NDArray[np.bool_]) -> tuple[tuple[str, float], ...]:
    """Return the probabilities of the wrong labels, those that are farthest off first."""
    shares, targets = np.array(image.probabilities), np.array(image.targets)
    numbers = sorted(np.flatnonzero(wrong).tolist(), key=lambda number: -abs(shares[number] - targets[number]))
    return tuple((classes[number], float(shares[number])) for number in numbers[:SHOWN_WRONG])


def label_counts(opened: OpenedRun) -> list[Block]:
    """Return the images by label and split, and how often two labels stand together."""
    run = opened.run
    targets, _ = targets_and_shares(run.images)
    split_of = np.array([image.split for image in run.images])
    splits = [split for split in SPLITS if (split_of == split).any()]
    there = {split: (targets[split_of == split] == 1).sum(axis=0) for split in splits}
    unknown = np.isnan(targets).sum(axis=0)
    number = {name: place for place, name in enumerate(run.classes)}
    total = (targets == 1).sum(axis=0)
    listed, words = few_classes(run.classes, lambda name: -float(total[number[name]]), "the most images")
    rows = [
        (
            name,
            *(count(int(there[split][number[name]])) for split in splits),
            count(int(total[number[name]])),
            count(int(unknown[number[name]])),
        )
        for name in listed
    ]
    sizes = [int((split_of == split).sum()) for split in splits]
    rows.append(("all images", *map(count, sizes), count(sum(sizes)), ""))
    held_out = len(opened.of_role("validation"))
    note = f"; {count(held_out)} of the training images were held out for validation"
    caption = (
        f"Images that have each label, by split, and images where it is not known"
        f"{note if held_out and 'val' not in splits else ''}. An image may have several labels or none.{words}"
    )
    header = ("label", *(SPLIT_NAMES[split] for split in splits), "all", "not known")
    fold = fold_of(listed).replace("classes", "labels")
    return [Table(caption, header, tuple(rows), last_is_total=True, fold=fold), _together(run.classes, targets)]


def _together(classes: Sequence[str], targets: NDArray[np.float32]) -> Block:
    """Return how many images have both of two labels, of many labels the most frequent ones."""
    there = (targets == 1).astype(np.int64)
    frequent = sorted(np.argsort(-there.sum(axis=0), kind="stable")[:MOST_TOGETHER].tolist())
    counts = there.T @ there
    rows = tuple((classes[i], *(count(int(counts[i, j])) for j in frequent)) for i in frequent)
    some = "" if len(frequent) == len(classes) else f" These are the {len(frequent)} most frequent labels."
    caption = f"Images that have both of two labels; where they are the same, all images with the label.{some}"
    return Table(caption, ("label", *(classes[i] for i in frequent)), rows, fold="Labels that stand together")


def sampled_by_label(opened: OpenedRun, per_label: int, most: int) -> tuple[list[RunImage], int]:
    """Return sample images: one with each label, then others label by label; and how many come first."""
    candidates = sorted(
        (image for image in opened.run.images if image.role != "test"), key=lambda image: (image.digest, image.path)
    )
    first: list[RunImage] = []
    others: list[RunImage] = []
    taken: set[str] = set()
    for number in range(min(len(opened.run.classes), most)):
        own = [image for image in candidates if image.targets is not None and image.targets[number] == 1]
        fresh = [image for image in own if image.path not in taken][:per_label]
        taken |= {image.path for image in fresh}
        first += fresh[:1]
        others += fresh[1:]
    return first + others, len(first)
