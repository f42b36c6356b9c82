"""Our value of each figure of the report, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from featx.reports import layers_of, loss_interval, score_of
from featx.reproduction.claims import late, measured_claims
from featx.reproduction.data import IMAGES
from featx.reproduction.plan import RESNET, TASK1, VGG16
from featx.reproduction.state import ReproductionState
from featx.reproduction.verdicts import FigureVerdict, Measured, Reported, ReportedFigure, judge, not_measured
from featx.stats import wilson
from featx.text import count, decimal, duration, fraction_interval, interval_percent, percent

OTHER_WORK = (
    "Another machine, and other work: featx computes features once for all epochs; the report sends every image "
    "through the whole network in every epoch."
)
# Claims on numbers of parameters, which do not depend on the weights.
COUNTED = ("models.frozen", "models.complexity")
# The curves that the report describes: fit, column of the history, images, and the share of epochs to start from.
CURVES = {
    "task1.validation": (TASK1, "val_accuracy", "validation", 5 / 40),
    "vgg16.training.late": (VGG16, "accuracy", "train", 0.5),
    "vgg16.validation.late": (VGG16, "val_accuracy", "validation", 0.5),
    "resnet50v2.training": (RESNET, "accuracy", "train", 0.8),
    "resnet50v2.validation": (RESNET, "val_accuracy", "validation", 0.6),
}


def judge_figures(state: ReproductionState, reported: Reported) -> tuple[FigureVerdict, ...]:
    """Return every figure of the report with our value and the verdict."""
    ours: dict[str, Measured] = {}
    for part in (_data, _parameters_and_accuracies, _loss, _curves, _batches, measured_claims, _times):
        ours.update(part(state))
    return tuple(judge(figure, _marked(state, figure, ours.get(figure.id))) for figure in reported.figures)


def _marked(state: ReproductionState, figure: ReportedFigure, ours: Measured | None) -> Measured:
    """Return our value of a figure, which says why there is none, or that its weights are random."""
    subject = figure.id.partition(".")[0]
    names = {"models": (VGG16, RESNET), "batch": (VGG16,), "time": (VGG16,)}.get(subject, (subject,))
    if ours is None:
        return not_measured(state.not_comparable(*names))
    counted = figure.kind == "count" or figure.id in COUNTED
    if ours.value is None or counted or not any(map(state.random, names)):
        return ours
    return replace(ours, shown=f"{ours.shown}; random weights")


def _data(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    for task, folder in (("task1", "two"), ("task2", "all")):
        data = state.plan.data[folder]
        for split, classes in IMAGES[folder].items():
            for name in classes:
                n = data.count(split, name)
                value = not_measured(data.deviation(folder)) if n is None else Measured(count(n), n)
                yield f"{task}.data.{split}.{name}", value


def _parameters_and_accuracies(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    for name in (TASK1, VGG16, RESNET):
        opened = state.runs.get(name)
        if opened is None:
            continue
        parameters = opened.run.metrics["parameters"]
        numbers = {part: int(parameters[part]) for part in ("trainable", "non_trainable", "total")}
        numbers["backbone"] = numbers["non_trainable"]
        dense = [layer.parameters for layer in layers_of(opened) if layer.trainable and layer.parameters]
        numbers |= {f"dense{number}": parameters for number, parameters in enumerate(dense, 1)}
        for part, n in numbers.items():
            yield f"{name}.parameters.{part}", Measured(count(n), n)
        score = score_of(opened, "test")
        fits = () if score.accuracy is None else (score.accuracy,)
        shown, reason = fraction_interval(score.correct, score.n), state.not_comparable(name)
        yield f"{name}.test", Measured(shown, score.accuracy, score.interval, fits, score.n, not_comparable=reason)


def _loss(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    opened = state.runs.get(VGG16)
    if opened is None:
        return
    value, ends = score_of(opened, "test").loss, loss_interval(opened.of_role("test"), opened.run.classes)
    shown = decimal(value, 4) + ("" if ends is None else f" ({ends[0]:.3f}–{ends[1]:.3f})")
    yield f"{VGG16}.loss", Measured(shown, value, ends, not_comparable=state.not_comparable(VGG16))


def _curves(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    for figure, (name, column, role, first) in CURVES.items():
        opened = state.runs.get(name)
        value = None if opened is None else late(opened, column, first)
        if opened is None or value is None:
            continue
        n = score_of(opened, role).n
        ends = wilson(value * n, n)
        shown = f"{percent(value)} ({interval_percent(ends)})"
        yield figure, Measured(shown, value, ends, (value,), n, not_comparable=state.not_comparable(name))


def _batches(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    tried, reason = state.sizes(), state.sweep_not_comparable()
    for size in range(5, 16):
        spread = tried.get(size)
        if spread is None:
            yield f"batch.{size}", not_measured(reason or "This batch size was not tried.")
            continue
        shown = f"{percent(spread.mean)}, seeds {percent(spread.low)} to {percent(spread.high)}"
        shown += f", {spread.refused} more diverged" if spread.refused else ""
        fits = spread.accuracies
        ends = (min(fits), max(fits)) if fits else None
        yield f"batch.{size}", Measured(shown, spread.mean, ends, fits, spread.n, not_comparable=reason)


def _times(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    opened = state.runs.get(VGG16)
    if opened is None:
        return
    seconds, epochs = opened.run.metrics["seconds"], len(opened.run.history)
    whole = seconds["extract"] + seconds["fit"]
    shown = (
        f"{duration(whole)} for {epochs} epochs: {duration(seconds['extract'])} for features that were not in the "
        f"cache, {duration(seconds['fit'])} for training"
    )
    for figure in ("time.cpu", "time.gpu"):
        yield figure, Measured(shown, whole, not_comparable=OTHER_WORK)
    epoch = seconds["fit"] / epochs
    steps = math.ceil(score_of(opened, "train").n / opened.run.recipe.fit.batch_size)
    for figure, value in (("cpu.epoch", epoch), ("gpu.epoch", epoch), ("gpu.step", epoch / steps)):
        yield f"time.{figure}", Measured(f"{1000 * value:,.0f} ms of training", value, not_comparable=OTHER_WORK)
