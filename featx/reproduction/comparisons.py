"""The page's sections that set fits side by side: batch sizes, schedules, models, settings, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from featx.reports import (
    RANDOM_WEIGHTS,
    Block,
    Coefficients,
    Facts,
    Note,
    Section,
    Table,
    Text,
    models_section,
    paired,
    score_of,
)
from featx.reproduction.claims import mean_ratio, quality_of
from featx.reproduction.drawings import Drawings
from featx.reproduction.found import THEN, Found
from featx.reproduction.judging import sizes_of
from featx.reproduction.markdown import own_spread
from featx.reproduction.plan import FACTORS, RESNET, VGG16
from featx.reproduction.reported import Reported
from featx.reproduction.settings import sentences, settings_of
from featx.text import NOTHING, count, decimal, duration, fraction, p_words, percent, probability, span


def batch_section(found: Found, reported: Reported, drawings: Drawings) -> Section:
    """Return §4.3.1: the report's table with means, intervals and the range over seeds."""
    title, anchor = "4.3.1 Batch sizes", "batch-sizes"
    figure = drawings.sweep(found, reported)
    if found.sweep is None or figure is None:
        return Section(title, anchor, (Note(f"This part could not be made. {found.stages.failed.get(anchor, '')}"),))
    theirs = reported.numbers()
    rows = tuple(
        (
            str(size),
            percent(theirs.get(f"batch.{size}")),
            percent(one.mean),
            span(one.interval),
            span(None if one.low is None or one.high is None else (one.low, one.high)),
            count(len(one.accuracies)) + (f", {one.refused} diverged" if one.refused else ""),
        )
        for size, one in sizes_of(found.sweep).items()
    )
    caption = (
        f"Test accuracy by batch size, {found.plan.seeds} seeds each, {found.plan.sweep.fit.epochs} epochs: the mean "
        "with its 95 % interval over seeds (Student's t) and the range over seeds, all on the same test images."
    )
    header = ("batch size", "the report", "mean", "95 % over seeds", "range over seeds", "fits")
    told = [Text(found.sweep.conclusion()), Text(own_spread(reported))]
    return Section(title, anchor, (*_random(found), Table(caption, header, rows), figure, *told))


def _random(found: Found) -> list[Block]:
    """What must be known where VGG16 was never trained."""
    return [Note(RANDOM_WEIGHTS, loud=True)] if found.random(VGG16) else []


def schedule_section(found: Found, drawings: Drawings) -> Section:
    """Return the learning-rate schedule of §4.6, as printed and as factors."""
    title, anchor = "4.6 The schedule, read in two ways", "schedules"
    if not {RESNET, FACTORS} <= set(found.runs):
        return Section(title, anchor, (Note("This part could not be made: a fit is missing."),))
    one, other = found.runs[RESNET], found.runs[FACTORS]
    blocks: list[Block] = [
        Text(
            "As printed, the rate rises a hundredfold at epoch 80 of 100. The example that the report cites has the "
            "same figures as factors on a first rate of 1e-3, by which it falls to a tenth there."
        ),
        drawings.schedules(one, other),
    ]
    rows = []
    for told, name in ((one, "as printed"), (other, "as factors")):
        test, validation = score_of(told, "test"), score_of(told, "validation")
        rows.append(
            (name, fraction(test.correct, test.n), percent(test.accuracy), span(test.interval), decimal(test.loss),
             percent(validation.accuracy))
        )  # fmt: skip
    header = ("rates", "test right", "accuracy", "95 % interval", "loss", "validation accuracy")
    blocks.append(Table("Test accuracy by reading of the schedule.", header, tuple(rows)))
    counts = paired(one, other)
    if counts is not None:
        n, first, second, p = counts
        blocks.append(
            Text(
                f"Of the same {n} test images {first} are right with the rates as printed alone and {second} with "
                f"factors alone: {p_words(p)} (McNemar's exact test)."
            )
        )
    return Section(title, anchor, tuple(blocks))


def comparison_section(found: Found) -> Section:
    """Return §4.8, the models of Task 2 side by side."""
    title, names = "4.8 VGG16 against ResNet50V2 and others", found.models()
    if len(names) < 2:
        return Section(title, "models", (Note("This part could not be made: there are no two models to compare."),))
    separation: list[Coefficients] = []
    for name in names:
        quality = {layer: quality_of(found, name, layer) for layer in ("backbone", "penultimate")}
        coefficients: Coefficients = {
            layer: None if one is None else one.silhouette.value for layer, one in quality.items()
        }
        drawn = found.maps.get((name, THEN))
        coefficients["map"] = None if drawn is None else drawn.silhouette["map"]
        separation.append(coefficients)
    note = Text("The map in the table of silhouettes is that of 2020's defaults.")
    section = models_section([found.runs[name] for name in names], separation, (note, _boundaries(found, names)))
    return replace(section, title=title)


def _boundaries(found: Found, names: Sequence[str]) -> Table:
    """How wide the boundary is between each two classes."""
    known = {name: quality for name in names if (quality := quality_of(found, name)) is not None}
    rows: list[tuple[str, ...]] = []
    if known:
        classes = next(iter(known.values())).classes
        for i, j in combinations(range(len(classes)), 2):
            cells = (decimal(float(quality.ratios[i, j]), 2) for quality in known.values())
            rows.append((f"{classes[i]} – {classes[j]}", *cells))
        rows.append(("mean", *(decimal(mean_ratio(quality), 2) for quality in known.values())))
    caption = (
        "How wide the boundary between two classes is: the distance between their centroids over the sum of their "
        "radii, penultimate features of the training images. Below 1 the two overlap."
    )
    return Table(caption, ("pair", *(found.runs[name].name for name in known)), tuple(rows), last_is_total=True)


def settings_section(found: Found) -> Section:
    """Return what is described against what was run, §2."""
    rows = settings_of(found)
    cells = tuple(
        (
            row.title,
            fraction(row.test.correct, row.test.n),
            percent(row.test.accuracy),
            span(row.test.interval),
            percent(row.validation.accuracy),
            NOTHING if row.augmented is None else percent(row.augmented.accuracy),
            probability(row.p_value),
        )
        for row in rows
    )
    header = ("fit", "test right", "accuracy", "95 % interval", "validation", "its views", "p")
    views = 0 if VGG16 not in found.runs else found.runs[VGG16].run.recipe.views.count
    caption = (
        f"VGG16 as described (pixels of zero mean and unit variance over the training images, {views} views of each) "
        "and as the logs show to have run (pixels only rescaled by 1/255), with and without views; validation on the "
        "images as they are and on their augmented views. p is McNemar's exact test on the test images against the "
        "first row."
    )
    blocks: list[Block] = [*_random(found), Table(caption, header, cells)]
    blocks += [Text(line) for line in sentences(found, rows)]
    return Section("2 As described against as run", "settings", tuple(blocks))


def time_section(found: Found, reported: Reported) -> Section:
    """Return §5: devices, time by stage, and what the report's way would take here."""
    stages = found.stages
    rows = tuple(
        (stages.titles[name], duration(seconds), "failed" if stages.error(name) else "done")
        for name, seconds in stages.seconds.items()
    )
    total = sum(stages.seconds.values())
    blocks: list[Block] = [
        Facts("Devices", _devices(found)),
        Table(
            "Wall time by stage over all calls, before this page was made; features that were in the cache are read "
            "and not computed.",
            ("stage", "time", ""),
            (*rows, ("all", duration(total), "")),
            words=frozenset({2}),
            last_is_total=True,
        ),
        Text(_against(found, reported)),
    ]
    return Section("5 Time and devices", "time", tuple(blocks))


def _devices(found: Found) -> tuple[tuple[str, str], ...]:
    machine = found.machine
    told = next(iter(found.runs.values()), None)
    seen = [] if told is None else told.run.manifest["device"].get("devices", [])
    return (
        ("processor", machine.processor),
        ("processors that may be used", str(machine.cpus)),
        ("memory", NOTHING if machine.memory is None else f"{machine.memory / 2**30:.1f} GiB"),
        ("GPUs", ", ".join(machine.gpus) or "none"),
        ("devices as TensorFlow sees them", ", ".join(map(str, seen)) or NOTHING),
        ("system", machine.system),
        ("the report's CPU", "a node of its cluster; limit of 256 MiB and 16 GiB (XLA) as TensorFlow printed them"),
        ("the report's GPU", "Tesla V100-SXM2-16GB, of which 15.7 GB (15,675,496,858 bytes) could be used"),
    )


def _against(found: Found, reported: Reported) -> str:
    cpu, gpu = (float(reported.figure(f"time.{name}").number or 0) for name in ("cpu", "gpu"))
    text = (
        f"The report's 100 epochs took {cpu:,.0f} s on its CPU and {gpu:,.0f} s on its GPU; such times of another "
        "machine cannot be set beside ours."
    )
    told, timed = found.runs.get(VGG16), found.yardstick
    if told is not None:
        seconds = told.metrics["seconds"]
        text += (
            f" Here {found.runs[VGG16].name} took {duration(seconds['extract'])} for features that the cache lacked "
            f"and {duration(seconds['fit'])} for {len(told.history)} epochs."
        )
    if timed is not None:
        text += (
            f" On this machine the report's way (images read, augmented and sent through the whole network in every "
            f"step) takes {timed.step:.2f} s for a training step of 10 images and {timed.held_out:.2f} s for a "
            f"validation step, medians of {timed.steps}; extrapolated to {timed.epochs} epochs of "
            f"{timed.steps_an_epoch} and {timed.held_out_an_epoch} steps that is {duration(timed.seconds)}."
        )
    return text
