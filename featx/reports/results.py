"""The report's sections on results: scores, confusion matrices, misclassified images, and the course of training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from featx import plots
from featx.heads import best_epoch
from featx.pages import (
    Block,
    Gallery,
    Note,
    Picture,
    Section,
    Table,
    Text,
    confusion_block,
    drawing,
    few_classes,
    fold_of,
    missing_note,
)
from featx.reports.labels import label_errors, label_results_blocks, label_score_of
from featx.reports.metrics import groups_of, metrics_blocks, with_groups
from featx.reports.opened import SPLIT_NAMES, OpenedRun
from featx.reports.pictures import run_thumbnails
from featx.runs import RunImage
from featx.stats import Score, effective_n, group_numbers, grouped_share, mean_interval
from featx.text import (
    NOTHING,
    count,
    decimal,
    fraction,
    fraction_percent,
    images,
    interval_percent,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Misclassified images of each part of the data that are on the page, every one adds about 6 kB, and those that are
# seen at first: a row on wide screens.
SHOWN, OPEN = 24, 4
# Classes whose probabilities are shown for each of them.
SHOWN_CLASSES = 3
CHOSEN = (
    "The validation images chose the epoch, so the validation accuracy and loss are a little too good. The test "
    "images took no part in it."
)
# Epochs in a table, about.
EPOCHS = 1000


def results_section(opened: OpenedRun) -> Section:
    """Return the section of accuracy with intervals, by class, and confusion matrices."""
    if opened.run.multilabel:
        parts = [(part, label_score_of(opened.run.metrics[part])) for part in ("test", "validation", "train")]
        return Section("Results", opened.id("results"), tuple(label_results_blocks(opened, parts)))
    blocks: list[Block] = [_scores(opened)]
    tested = {role: chosen for role in ("test", "validation") if (chosen := opened.of_role(role))}
    if "test" not in tested:
        text = (
            "The data has no test split, so nothing here shows how the head performs on images that played no part "
            "in training."
        )
        blocks.append(Note(text))
    if tested:
        main = next(iter(tested))
        blocks += metrics_blocks(opened.run, tested[main], main)
        blocks.append(_by_class(opened.run.classes, tested[main], main))
    blocks += [_confusion(opened.run.classes, chosen, role) for role, chosen in tested.items()]
    return Section("Results", opened.id("results"), tuple(blocks))


def score_of(opened: OpenedRun, part: str) -> Score:
    """Return a run's score on `train` (the images that the head was trained on), `validation` or `test`."""
    stored = opened.run.metrics[part]
    if opened.run.multilabel:
        return label_score_of(stored)
    return with_groups(Score.from_json(stored), opened.of_role("fit" if part == "train" else part))


def score_cells(score: Score) -> tuple[str, ...]:
    """Return the cells of a table's row: correct, accuracy, 95 % interval, loss."""
    return (
        fraction(score.correct, score.n),
        percent(score.accuracy),
        interval_percent(score.interval),
        decimal(score.loss),
    )


def loss_interval(chosen: Sequence[RunImage], classes: Sequence[str]) -> tuple[float, float] | None:
    """Return the 95 % interval of the images' mean cross-entropy in nats, by Student's t; it allows for groups.

    Args:
        chosen: The images.
        classes: In the order of the images' probabilities.

    Returns:
        Both ends; None for fewer than two images, and if a true class's probability was rounded to 0, so that its
        logarithm is not known.
    """
    column = {name: number for number, name in enumerate(classes)}
    of_true_class = [image.probabilities[column[image.label]] for image in chosen]
    if not all(of_true_class):
        return None
    losses = np.array([-math.log(probability) for probability in of_true_class])
    groups = group_numbers(groups_of(chosen))
    shared = len(np.unique(groups)) < len(groups)
    return mean_interval(losses.tolist(), (0.0, math.inf), effective_n(losses, groups) if shared else None)


def _scores(opened: OpenedRun) -> Table:
    rows, grouped = [], False
    for part, role in (("test", "test"), ("validation", "validation"), ("train", "fit")):
        score, ends = score_of(opened, part), loss_interval(opened.of_role(role), opened.run.classes)
        loss_ends = NOTHING if ends is None else f"{decimal(ends[0])}–{decimal(ends[1])}"
        name = f"{SPLIT_NAMES.get(part, part)}{score.in_groups}"
        rows.append((name, *score_cells(score), loss_ends))
        grouped |= score.groups is not None
    words = " Images of one group are correlated, and the intervals allow for it." if grouped else ""
    caption = (
        "Accuracy with Wilson's 95 % interval, and mean cross-entropy loss in nats with Student's 95 % interval, "
        "both without dropout. The intervals show how much the values could vary with other images of the same kind. "
        f"They do not show how much they vary between training runs.{words}"
    )
    header = ("images", "correct", "accuracy", "95 % interval", "loss", "95 % interval of the loss")
    return Table(caption, header, tuple(rows))


def _by_class(classes: Sequence[str], chosen: Sequence[RunImage], kind: str) -> Table:
    own = Counter(image.label for image in chosen)
    both = Counter(image.label for image in chosen if image.predicted == image.label)
    # Classes without images, which have no recall, are last.
    recall = {name: both[name] / own[name] if own[name] else math.inf for name in classes}
    listed, words = few_classes(classes, recall.__getitem__, "the lowest recall")
    groups = dict(zip(map(id, chosen), groups_of(chosen), strict=True))

    def share(of: str, name: str) -> str:
        """Return how many images with a class, by label or as predicted, are right, with Wilson's interval."""
        among = [image for image in chosen if getattr(image, of) == name]
        if not among:
            return NOTHING
        hits = np.array([image.predicted == image.label for image in among], np.bool_)
        found = grouped_share(hits, [groups[id(image)] for image in among])
        return f"{fraction_percent(found.correct, found.n)} ({interval_percent(found.interval)})"

    rows = [(name, count(own[name]), share("label", name), share("predicted", name)) for name in listed]
    caption = (
        f"By class, {kind} images. Recall (sensitivity) is the share of a class's images that the model assigns to "
        "this class. Precision is the share of the images assigned to a class that really belong to it. In "
        f"parentheses: Wilson's 95 % intervals.{words}"
    )
    return Table(caption, ("class", "images", "recall", "precision"), tuple(rows), fold=fold_of(listed))


def _confusion(classes: Sequence[str], chosen: Sequence[RunImage], kind: str) -> Block:
    """Return the confusion matrix, or for very many classes the most frequent confusions."""
    number = {name: index for index, name in enumerate(classes)}
    pairs = [(image.label, image.predicted) for image in chosen]
    true, predicted = (np.array([number[name] for name in names], np.int64) for names in zip(*pairs, strict=True))
    return confusion_block(classes, true, predicted, kind)


def errors_section(opened: OpenedRun) -> Section:
    """Return the section of misclassified test and validation images with the probabilities of their classes."""
    several = opened.run.multilabel
    blocks: list[Block] = []
    for role in ("test", "validation"):
        if chosen := opened.of_role(role):
            blocks += (label_errors if several else _misclassified)(opened, role, chosen)
    if not blocks:
        blocks.append(Text("There are no test images and no validation images."))
    title = "Wrongly predicted images" if several else "Misclassified images"
    return Section(title, opened.id("errors"), tuple(blocks))


def _misclassified(opened: OpenedRun, role: str, chosen: Sequence[RunImage]) -> list[Block]:
    wrong = sorted(
        (image for image in chosen if image.predicted != image.label),
        key=lambda image: (-max(image.probabilities), image.digest, image.path),
    )
    caption = f"{count(len(wrong))} of {images(len(chosen), role)} misclassified"
    if not wrong:
        return [Text(f"{caption}.")]
    shown = wrong[:SHOWN]
    capped = "" if len(shown) == len(wrong) else f" The first {len(shown)} are shown."
    uris = run_thumbnails(opened.run, shown, f"misclassified images ({role})", opened.cache)
    pictures = tuple(_picture(opened, image, uri) for image, uri in zip(shown, uris, strict=True))
    order = "sorted by the probability of the predicted class, the highest first"
    return [Gallery(f"{caption}, {order}.{capped}", pictures, OPEN), *missing_note(uris, "misclassified")]


def _picture(opened: OpenedRun, image: RunImage, uri: str | None) -> Picture:
    """Return an image with its largest probabilities and that of its true class."""
    shares = sorted(zip(opened.run.classes, image.probabilities, strict=True), key=lambda pair: -pair[1])
    listed = shares[:SHOWN_CLASSES]
    if all(name != image.label for name, _ in listed):
        listed = [*listed[:-1], next(pair for pair in shares if pair[0] == image.label)]
    return Picture(uri, image.path, f"{image.label}, predicted as {image.predicted}", tuple(listed), image.label)


def curves_section(opened: OpenedRun) -> Section:
    """Return the section of accuracy and loss by epoch, as curves and as numbers."""
    history, dropout = opened.run.history, opened.run.recipe.head.has_dropout
    what = "Share of images with every known label right" if opened.run.multilabel else "Accuracy"
    caption = (
        f"{what} and cross-entropy loss by epoch. Training values are means over the batches "
        f"of an epoch{', with dropout' * dropout}. Validation values are measured after each epoch"
        f"{', without dropout' * dropout}."
    )
    label = "images with all labels right" if opened.run.multilabel else "accuracy"
    figure = drawing(lambda: _curves(history, dropout, label), opened.id("curves"), _curves_alt(history), caption)
    stopping = opened.run.stopping
    sentences = [] if stopping is None else [f"{stopping[0].upper()}{stopping[1:]}."]
    if opened.run.recipe.fit.keeps_best:
        sentences.append(CHOSEN)
    words = [Text(" ".join(sentences))] if sentences else []
    return Section("Training", opened.id("training"), (*words, figure, _epochs(history)))


def _curves(history: Sequence[Mapping[str, float | None]], dropout: bool, label: str) -> Axes:
    names = ("accuracy", "val_accuracy", "loss", "val_loss")
    accuracy, val_accuracy, loss, val_loss = ([epoch[name] for epoch in history] for name in names)
    best = best_epoch(val_loss)
    return plots.draw_training(accuracy, val_accuracy, loss, val_loss, best, dropout=dropout, accuracy_label=label)


def _curves_alt(history: Sequence[Mapping[str, float | None]]) -> str:
    first, last = history[0], history[-1]

    def course(kind: str, prefix: str) -> str:
        accuracy, loss = f"{prefix}accuracy", f"{prefix}loss"
        return (
            f"{kind} accuracy goes from {percent(first[accuracy])} to {percent(last[accuracy])}, {kind} loss from "
            f"{decimal(first[loss])} to {decimal(last[loss])}"
        )

    validation = "" if last["val_accuracy"] is None else f"; {course('validation', 'val_')}"
    return (
        f"Two line charts of {len(history)} epochs. From the first to the last, {course('training', '')}{validation}."
    )


def _epochs(history: Sequence[Mapping[str, float | None]]) -> Table:
    step = math.ceil(len(history) / EPOCHS)
    listed = [*history[:-1:step], history[-1]]
    rows = tuple(
        (
            count(int(epoch["epoch"] or 0) + 1),
            f"{epoch['learning_rate']:g}",
            decimal(epoch["loss"], 4),
            percent(epoch["accuracy"]),
            decimal(epoch["val_loss"], 4),
            percent(epoch["val_accuracy"]),
        )
        for epoch in listed
    )
    header = (
        "epoch",
        "learning rate",
        "training loss",
        "training accuracy",
        "validation loss",
        "validation accuracy",
    )
    words, which = "", "each epoch"
    if step > 1:
        words, which = f" Every {step}th epoch from the first on, and the last.", "some epochs"
    return Table(f"By epoch; losses in nats.{words}", header, rows, fold=f"Values of {which} ({count(len(rows))})")
