"""The report's section on results: scores, confusion matrix, curves, misclassified images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from featx import plots
from featx.plots import inline_svg
from featx.reports.blocks import Block, Confusion, ConfusionCell, Figure, Gallery, Note, Picture, Section, Table, Text
from featx.reports.pictures import thumbnails
from featx.reports.told import Told
from featx.runs import RunImage
from featx.stats import Score, mean_interval
from featx.text import NOTHING, count, decimal, fraction, images, percent, share_of, span

# Pictures of each part of the data; every one adds about 6 kB.
SHOWN = 24
# Classes whose probabilities are told of each image.
CLASSES = 4


def errors_section(told: Told) -> Section:
    """Return the section: of test and validation images those got wrong, with the probabilities of their classes."""
    blocks: list[Block] = []
    for role in ("test", "validation"):
        chosen = told.of_role(role)
        if chosen:
            blocks += _part(told, role, chosen)
    if not blocks:
        blocks.append(Text("No image was tested or held out, so none was got wrong."))
    return Section("Images got wrong", told.id("errors"), tuple(blocks))


def _part(told: Told, role: str, chosen: Sequence[RunImage]) -> list[Block]:
    wrong = sorted(
        (image for image in chosen if image.predicted != image.label),
        key=lambda image: (-max(image.probabilities), image.digest, image.path),
    )
    if not wrong:
        return [Text(f"Of {images(len(chosen))} ({role}), none was got wrong.")]
    shown = wrong[:SHOWN]
    capped = "" if len(shown) == len(wrong) else f"; the first {len(shown)} of {count(len(wrong))} are shown"
    caption = (
        f"Of {images(len(chosen))} ({role}), {count(len(wrong))} got wrong, sorted by the probability of the "
        f"class that was predicted{capped}."
    )
    sources = thumbnails(told.run, shown, f"images got wrong ({role})")
    pictures = tuple(_picture(told, image, source) for image, source in zip(shown, sources, strict=True))
    gone = sum(source is None for source in sources)
    blocks: list[Block] = [Gallery(caption, pictures)]
    if gone:
        blocks.append(
            Note(
                f"{count(gone)} of these files are no longer where the data lay, or have changed since: they are not "
                "shown."
            )
        )
    return blocks


def _picture(told: Told, image: RunImage, source: str | None) -> Picture:
    shares = sorted(zip(told.run.classes, image.probabilities, strict=True), key=lambda pair: -pair[1])
    listed = shares[:CLASSES]
    if all(name != image.label for name, _ in listed):
        listed = [*listed[:-1], next(pair for pair in shares if pair[0] == image.label)]
    return Picture(source, image.path, tuple(listed), f"{image.label}, taken for {image.predicted}", image.label)


ROLES = {"fit": "fitted on", "validation": "validation", "test": "test"}
# Beyond this many classes a matrix is wider than a page.
CONFUSION_CLASSES = 30


def curves_section(told: Told) -> Section:
    """Return the section: accuracy and loss by epoch, and the numbers themselves."""
    history = told.history
    _, (left, right) = plots.new_figure(9, 3.4, columns=2)
    plots.curve(_numbers(history, "accuracy"), [e["val_accuracy"] for e in history], "accuracy", left)
    left.set_ylim(0, 1.02)
    plots.curve(_numbers(history, "loss"), [e["val_loss"] for e in history], "cross-entropy (nats)", right)
    right.set_ylim(bottom=0)
    caption = (
        "Accuracy and cross-entropy by epoch, counted from 0. Training figures are means over an epoch's batches as "
        "they were fitted, dropout on; validation is taken after each epoch, dropout off."
    )
    figure = Figure(inline_svg(left, told.id("curves")), _curves_alt(history), caption)
    return Section("Fitting", told.id("fitting"), (figure, _epochs(history)))


def _numbers(history: Sequence[dict[str, float | None]], name: str) -> list[float]:
    return [np.nan if epoch[name] is None else float(epoch[name] or 0) for epoch in history]


def _curves_alt(history: Sequence[dict[str, float | None]]) -> str:
    first, last = history[0], history[-1]
    parts = [
        f"Two line charts of {len(history)} epochs. From first to last, training accuracy goes from "
        f"{percent(first['accuracy'])} to {percent(last['accuracy'])}, training loss from {decimal(first['loss'])} "
        f"to {decimal(last['loss'])}"
    ]
    if last["val_accuracy"] is not None:
        parts.append(
            f"; validation accuracy from {percent(first['val_accuracy'])} to {percent(last['val_accuracy'])}, "
            f"validation loss from {decimal(first['val_loss'])} to {decimal(last['val_loss'])}"
        )
    return "".join(parts) + "."


def _epochs(history: Sequence[dict[str, float | None]]) -> Table:
    rows = tuple(
        (
            str(int(epoch["epoch"] or 0)),
            f"{epoch['learning_rate']:g}",
            decimal(epoch["loss"], 4),
            percent(epoch["accuracy"]),
            decimal(epoch["val_loss"], 4),
            percent(epoch["val_accuracy"]),
        )
        for epoch in history
    )
    header = (
        "epoch",
        "learning rate",
        "training loss",
        "training accuracy",
        "validation loss",
        "validation accuracy",
    )
    return Table("By epoch; losses in nats.", header, rows, fold=f"Numbers of all {count(len(rows))} epochs")


def results_section(told: Told) -> Section:
    """Return the section: accuracy with intervals, by class, confusion matrices."""
    blocks: list[Block] = [_scores(told)]
    test, validation = told.of_role("test"), told.of_role("validation")
    if test:
        blocks.append(Text(_baseline(told, test)))
    else:
        blocks.append(
            Note("The data has no test split: nothing here says how the head does on images that played no part.")
        )
    main, word = (test, "test") if test else (validation, "validation")
    if main:
        blocks.append(_by_class(told.run.classes, main, word))
    for role_images, role in ((test, "test"), (validation, "validation")):
        if role_images:
            blocks.append(confusion(told.run.classes, role_images, role))
    return Section("Results", told.id("results"), tuple(blocks))


def score_of(told: Told, part: str) -> Score:
    """Return the score of `train` (the images fitted on), `validation` or `test`, as the run has it."""
    known = told.metrics[part]
    return Score(int(known["n"]), int(known["correct"]), known["loss"])


def loss_interval(chosen: Sequence[RunImage], classes: Sequence[str]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean cross-entropy in nats, by Student's t.

    Args:
        chosen: Images with their probabilities.
        classes: In the order of the probabilities.

    Returns:
        Both ends; None for fewer than two images, and where a true class's probability is too small to be written, so
        that its logarithm is not known.
    """
    column = {name: number for number, name in enumerate(classes)}
    known = [image.probabilities[column[image.label]] for image in chosen]
    if not all(known):
        return None
    interval = mean_interval([-math.log(probability) for probability in known])
    # No loss is below 0, which Student's t does not know.
    return None if interval is None else (max(0.0, interval[0]), interval[1])


def _scores(told: Told) -> Table:
    rows = []
    for part, role, name in (
        ("test", "test", "test"),
        ("validation", "validation", "validation"),
        ("train", "fit", "fitted on"),
    ):
        score, ends = score_of(told, part), loss_interval(told.of_role(role), told.run.classes)
        between = NOTHING if ends is None else f"{ends[0]:.3f}–{ends[1]:.3f}"
        right = fraction(score.correct, score.n)
        rows.append((name, right, percent(score.accuracy), span(score.interval), decimal(score.loss), between))
    caption = (
        "Accuracy with Wilson's 95 % interval, and mean cross-entropy in nats with Student's; dropout off. Both "
        "intervals speak of other images, not of other fits."
    )
    header = ("part of the data", "right", "accuracy", "95 % interval", "loss", "95 % interval of the loss")
    return Table(caption, header, tuple(rows))


def _baseline(told: Told, test: Sequence[RunImage]) -> str:
    counts = {name: sum(image.label == name for image in test) for name in told.run.classes}
    most = max(counts.values())
    return (
        f"To call every test image by the commonest class would be right for {fraction(most, len(test))} = "
        f"{percent(most / len(test))}. One test image is worth {100 / len(test):.2g} points of accuracy."
    )


def _by_class(classes: Sequence[str], chosen: Sequence[RunImage], word: str) -> Table:
    rows = []
    for name in classes:
        own = [image for image in chosen if image.label == name]
        called = [image for image in chosen if image.predicted == name]
        both = sum(image.predicted == name for image in own)
        rows.append((name, count(len(own)), share_of(both, len(own)), share_of(both, len(called))))
    caption = (
        f"By class, {word} images: recall (sensitivity) is the share of a class's images that are found, precision "
        "the share of those called so that are; Wilson's 95 % intervals."
    )
    return Table(caption, ("class", "images", "recall", "precision"), tuple(rows))


def confusion(classes: Sequence[str], chosen: Sequence[RunImage], word: str) -> Block:
    """Return the confusion matrix of some images, or for very many classes the commonest confusions."""
    number = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes),) * 2, np.int64)
    np.add.at(counts, ([number[i.label] for i in chosen], [number[i.predicted] for i in chosen]), 1)
    right = int(np.trace(counts))
    caption = f"Confusion matrix of {images(len(chosen))} ({word}), {count(right)} right."
    if len(classes) > CONFUSION_CLASSES:
        return _commonest(classes, counts, caption)
    totals = counts.sum(axis=1)
    rows = tuple(
        (
            name,
            tuple(
                ConfusionCell(str(value), float(value / max(totals[row], 1)), column == row)
                for column, value in enumerate(counts[row])
            ),
            fraction(int(counts[row, row]), int(totals[row])),
        )
        for row, name in enumerate(classes)
    )
    return Confusion(f"{caption} Shaded by the share of the true class.", tuple(classes), rows)


def _commonest(
    classes: Sequence[str], counts: np.ndarray[tuple[int, int], np.dtype[np.int64]], caption: str
) -> Table:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSION_CLASSES]
    pairs = [divmod(int(place), len(classes)) for place in order if wrong.flat[place]]
    rows = tuple((classes[row], classes[column], count(int(counts[row, column]))) for row, column in pairs)
    text = f"{caption} With {len(classes)} classes the matrix is too wide; its commonest confusions:"
    return Table(text, ("true", "predicted", "images"), rows or ((NOTHING, NOTHING, "0"),), words=frozenset({1}))
