"""What was measured here, under the names of the report's figures, and the verdict on each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from featx.data import read_data
from featx.pipeline.report_data import Told
from featx.pipeline.report_model import layers_of
from featx.pipeline.report_results import score_of
from featx.pipeline.reproduction.claims import claims_of, late
from featx.pipeline.reproduction.found import Found
from featx.pipeline.reproduction.plan import RESNET, TASK1, VGG16
from featx.pipeline.sweeping import Sweep
from featx.report_numbers import count, decimal, duration, percent, share_of, span
from featx.reported import Figure, Reported
from featx.seed_stats import SeedSpread
from featx.stats import mean_interval, wilson
from featx.verdicts import Judged, Ours, batch_interval, judge

FIELD = "fit.batch_size"
LEAST = 1e-300
OTHER_WAY = (
    "Another machine, and other work: features are computed once for all epochs, where the report sends every image "
    "through the whole network in every epoch."
)
# Whose curves the report describes, what of them, and from which share of the epochs on.
CURVES = {
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
    if ours is None or ours.value is None or figure.kind == "count" or not any(map(found.random, names)):
        return ours
    return replace(ours, shown=f"{ours.shown}; random weights")


def _data(found: Found) -> Iterator[tuple[str, Ours]]:
    for task, folder in (("task1", "two"), ("task2", "all")):
        dataset = read_data(found.plan.root / folder)
        counts = Counter((item.split, str(item.label)) for item in dataset.items)
        for word in ("covid", "normal", "bac", "vir"):
            for name in dataset.classes:
                if word in name.lower():
                    for split in ("train", "test"):
                        n = counts[split, name]
                        yield f"{task}.data.{split}.{word}", Ours(count(n), n)


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
        for part in ("test", "validation"):
            # Of the others' validation the report describes the curve.
            if part == "test" or name == TASK1:
                score = score_of(told, part)
                shown = share_of(score.correct, score.n)
                yield f"{name}.{part}", Ours(shown, score.accuracy, score.interval, apart=apart)
        yield f"{name}.loss", _loss(told, apart)


def _loss(told: Told, apart: str) -> Ours:
    column = {name: number for number, name in enumerate(told.run.classes)}
    losses = [-math.log(max(image.probabilities[column[image.label]], LEAST)) for image in told.of_role("test")]
    value, interval = score_of(told, "test").loss, mean_interval(losses)
    # No loss is below 0, which Student's t does not know.
    interval = None if interval is None else (max(0.0, interval[0]), interval[1])
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
        interval = wilson(round(value * n), n)
        shown = f"{percent(value)} ({span(interval)})"
        yield figure, Ours(shown, value, interval, apart=apart)


def _batches(found: Found) -> Iterator[tuple[str, Ours]]:
    tried = {} if found.sweep is None else sizes_of(found.sweep)
    apart = found.apart_of_sweep()
    for size in range(5, 16):
        if size not in tried:
            yield f"batch.{size}", Ours("–", None, apart=apart or "This batch size was not tried.")
            continue
        size_found = tried[size]
        spread = size_found.spread
        shown = f"{percent(spread.mean)}, seeds {percent(spread.low)} to {percent(spread.high)}"
        shown += "" if size_found.widened is None else f" ({span(size_found.widened)})"
        yield f"batch.{size}", Ours(shown, spread.mean, size_found.widened, apart=apart)


@dataclass(frozen=True)
class Size:
    """What the fits of one batch size found.

    Attributes:
        spread: Over seeds.
        widened: Their range with Wilson's interval of one fit at either end; None where no fit gave a score.
    """

    spread: SeedSpread
    widened: tuple[float, float] | None


def sizes_of(sweep: Sweep) -> dict[int, Size]:
    """Return what each batch size gave, in the order tried."""
    found = {}
    for values, spread in sweep.spreads():
        size = int(values[FIELD])
        tests = [
            scores.test
            for point, scores in zip(sweep.points, sweep.scores, strict=True)
            if point.values[FIELD] == size
        ]
        found[size] = Size(spread, batch_interval(tests))
    return found


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
