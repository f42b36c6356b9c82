"""What was measured here, under the names of the report's figures, and the verdict on each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from featx.reports import Told, layers_of, loss_interval, score_of
from featx.reproduction.claims import claims_of, late
from featx.reproduction.data import IMAGES
from featx.reproduction.found import Found
from featx.reproduction.plan import RESNET, TASK1, VGG16
from featx.reproduction.reported import Figure, Reported
from featx.reproduction.verdicts import Judged, Ours, judge
from featx.stats import SeedSpread, wilson
from featx.sweeps import Sweep
from featx.text import count, decimal, duration, percent, share_of, span

FIELD = "fit.batch_size"
OTHER_WAY = (
    "Another machine, and other work: features are computed once for all epochs, where the report sends every image "
    "through the whole network in every epoch."
)
# Claims on numbers of parameters, which are the same whatever the weights are.
COUNTED = ("models.frozen", "models.complexity")
# Whose curves the report describes, what of them, and from which share of the epochs on.
CURVES = {
    "task1.validation": (TASK1, "val_accuracy", "validation", 5 / 40),
    "vgg16.training.late": (VGG16, "accuracy", "train", 0.5),
    "vgg16.validation.late": (VGG16, "val_accuracy", "validation", 0.5),
    "resnet50v2.training": (RESNET, "accuracy", "train", 0.8),
    "resnet50v2.validation": (RESNET, "val_accuracy", "validation", 0.6),
}


def verdicts(found: Found, reported: Reported) -> tuple[Judged, ...]:
    """Return every figure of the report with ours beside it and the verdict."""
    ours: dict[str, Ours] = {}
    for part in (_data, _parameters, _accuracies, _curves, _batches, claims_of, _times):
        ours.update(part(found))
    return tuple(judge(figure, _marked(found, figure, ours.get(figure.id))) for figure in reported.figures)


def _marked(found: Found, figure: Figure, ours: Ours | None) -> Ours | None:
    """Say of numbers that they rest on random weights."""
    subject = figure.id.partition(".")[0]
    names = {"models": (VGG16, RESNET), "batch": (VGG16,), "time": (VGG16,)}.get(subject, (subject,))
    counted = figure.kind == "count" or figure.id in COUNTED
    if ours is None or ours.value is None or counted or not any(map(found.random, names)):
        return ours
    return replace(ours, shown=f"{ours.shown}; random weights")


def _data(found: Found) -> Iterator[tuple[str, Ours]]:
    for task, folder in (("task1", "two"), ("task2", "all")):
        data = found.plan.data[folder]
        for split, classes in IMAGES[folder].items():
            for of in classes:
                n = data.count(split, of)
                shown, apart = ("–", data.other(folder)) if n is None else (count(n), "")
                yield f"{task}.data.{split}.{of}", Ours(shown, n, apart=apart)


def _parameters(found: Found) -> Iterator[tuple[str, Ours]]:
    for name in (TASK1, VGG16, RESNET):
        if name not in found.runs:
            for part in ("backbone", "trainable", "non_trainable", "total", "dense1", "dense2", "dense3"):
                yield f"{name}.parameters.{part}", Ours("–", None, apart=found.apart(name))
            continue
        told = found.runs[name]
        numbers = {part: int(told.metrics["parameters"][part]) for part in ("trainable", "non_trainable", "total")}
        numbers["backbone"] = numbers["non_trainable"]
        dense = [layer.parameters for layer in layers_of(told) if layer.trainable and layer.parameters]
        numbers |= {f"dense{number}": parameters for number, parameters in enumerate(dense, 1)}
        for part, n in numbers.items():
            yield f"{name}.parameters.{part}", Ours(count(n), n)


def _accuracies(found: Found) -> Iterator[tuple[str, Ours]]:
    for name in (TASK1, VGG16, RESNET):
        told, apart = found.runs.get(name), found.apart(name)
        if told is None:
            yield f"{name}.test", Ours("–", None, apart=apart)
            continue
        score = score_of(told, "test")
        shown, fits = share_of(score.correct, score.n), () if score.accuracy is None else (score.accuracy,)
        yield f"{name}.test", Ours(shown, score.accuracy, score.interval, fits, score.n, apart=apart)
    if VGG16 in found.runs:
        yield f"{VGG16}.loss", _loss(found.runs[VGG16], found.apart(VGG16))


def _loss(told: Told, apart: str) -> Ours:
    value, interval = score_of(told, "test").loss, loss_interval(told.of_role("test"), told.run.classes)
    told_interval = "" if interval is None else f" ({interval[0]:.3f}–{interval[1]:.3f})"
    return Ours(f"{decimal(value, 4)}{told_interval}", value, interval, apart=apart)


def _curves(found: Found) -> Iterator[tuple[str, Ours]]:
    for figure, (name, column, role, first) in CURVES.items():
        told, apart = found.runs.get(name), found.apart(name)
        value = None if told is None else late(told, column, first)
        if told is None or value is None:
            yield figure, Ours("–", None, apart=apart)
            continue
        n = score_of(told, role).n
        interval = wilson(value * n, n)
        shown = f"{percent(value)} ({span(interval)})"
        yield figure, Ours(shown, value, interval, (value,), n, apart=apart)


def _batches(found: Found) -> Iterator[tuple[str, Ours]]:
    tried = {} if found.sweep is None else sizes_of(found.sweep)
    apart = found.apart_of_sweep()
    for size in range(5, 16):
        if size not in tried:
            yield f"batch.{size}", Ours("–", None, apart=apart or "This batch size was not tried.")
            continue
        spread = tried[size]
        shown = f"{percent(spread.mean)}, seeds {percent(spread.low)} to {percent(spread.high)}"
        shown += f", {spread.refused} more diverged" if spread.refused else ""
        fits = tuple(float(accuracy) for accuracy in spread.accuracies)
        ends = (min(fits), max(fits)) if fits else None
        yield f"batch.{size}", Ours(shown, spread.mean, ends, fits, spread.n, apart=apart)


def sizes_of(sweep: Sweep) -> dict[int, SeedSpread]:
    """Return what each batch size gave over the seeds, in the order tried."""
    return {int(values[FIELD]): spread for values, spread in sweep.spreads()}


def _times(found: Found) -> Iterator[tuple[str, Ours]]:
    told = found.runs.get(VGG16)
    if told is None:
        return
    seconds = told.metrics["seconds"]
    whole = seconds["extract"] + seconds["fit"]
    shown = (
        f"{duration(whole)} for {len(told.history)} epochs: features {duration(seconds['extract'])} (those that the "
        f"cache lacked), fit {duration(seconds['fit'])}"
    )
    for figure in ("time.cpu", "time.gpu"):
        yield figure, Ours(shown, whole, apart=OTHER_WAY)
    epoch = seconds["fit"] / len(told.history)
    steps = math.ceil(score_of(told, "train").n / told.run.recipe.fit.batch_size)
    for figure, value in (("cpu.epoch", epoch), ("gpu.epoch", epoch), ("gpu.step", epoch / steps)):
        yield f"time.{figure}", Ours(f"{1000 * value:,.0f} ms of the fit", value, apart=OTHER_WAY)
