"""The page's sections that compare fits: batch sizes, schedules, models, variants of VGG16, and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from featx.machine import this_machine
from featx.pages import Block, Facts, Note, Section, Table, Text
from featx.reports import RANDOM_WEIGHTS, Coefficients, models_section, paired, score_cells, score_of
from featx.reproduction.claims import mean_ratio
from featx.reproduction.drawings import Drawings
from featx.reproduction.plan import FACTORS, RESNET, VGG16
from featx.reproduction.state import THEN, ReproductionState
from featx.reproduction.variants import variant_sentences, variants_of
from featx.reproduction.verdicts import Reported
from featx.stats import SIGNIFICANT, homogeneity_p
from featx.text import NOTHING, count, decimal, duration, fraction, interval_percent, p_words, percent, probability


def batch_section(state: ReproductionState, reported: Reported, drawings: Drawings) -> Section:
    """Return §4.3.1: the report's batch sizes with our means, intervals and ranges over seeds."""
    title, anchor = "4.3.1 Batch sizes", "batch-sizes"
    if state.sweep is None:
        return missing_section(title, anchor, state.stages.failed.get(anchor, ""))
    report = reported.numbers()
    rows = tuple(
        (
            str(size),
            percent(report.get(f"batch.{size}")),
            percent(spread.mean),
            interval_percent(spread.interval),
            interval_percent(None if spread.low is None or spread.high is None else (spread.low, spread.high)),
            count(len(spread.accuracies)) + (f", {spread.refused} diverged" if spread.refused else ""),
        )
        for size, spread in state.sizes().items()
    )
    caption = (
        f"Test accuracy by batch size, with {state.plan.seeds} seeds each and {state.plan.sweep.fit.epochs} epochs: "
        "mean, its 95 % interval over seeds (Student's t), and range over seeds. All fits have the same test images."
    )
    header = ("batch size", "the report", "mean", "95 % over seeds", "range over seeds", "fits")
    conclusions = [Text(state.sweep.conclusion()), Text(own_spread(reported))]
    return Section(
        title, anchor, (*_random(state), Table(caption, header, rows), drawings.sweep(state, reported), *conclusions)
    )


def missing_section(title: str, anchor: str, reason: str) -> Section:
    """Return a section that says why it could not be made."""
    return Section(title, anchor, (Note(f"This part could not be made. {reason}".strip()),))


def own_spread(reported: Reported) -> str:
    """Say whether the report's own accuracies by batch size differ by more than chance."""
    figures = [figure for figure in reported.figures if figure.kind == "batch" and figure.correct is not None]
    correct, n = [figure.correct or 0 for figure in figures], figures[0].n or 0
    p = homogeneity_p(correct, n)
    word = "differ by more than" if p < SIGNIFICANT else "differ by no more than"
    return (
        f"The report's own {len(figures)} accuracies, {min(correct)} to {max(correct)} of {n}, {word} chance alone "
        f"would explain: {p_words(p)} (Pearson's chi-squared test of homogeneity)."
    )


def _random(state: ReproductionState) -> list[Block]:
    """Return a warning if VGG16 has random weights."""
    return [Note(RANDOM_WEIGHTS, loud=True)] if state.random(VGG16) else []


def schedule_section(state: ReproductionState, drawings: Drawings) -> Section:
    """Return the learning-rate schedule of §4.6, as printed and as factors."""
    title, anchor = "4.6 Two readings of the schedule", "schedules"
    if not {RESNET, FACTORS} <= set(state.runs):
        return missing_section(title, anchor, "A fit is missing.")
    one, other = state.runs[RESNET], state.runs[FACTORS]
    rows = []
    for opened, name in ((one, "as printed"), (other, "as factors")):
        rows.append((name, *score_cells(score_of(opened, "test")), percent(score_of(opened, "validation").accuracy)))
    header = ("rates", "correct", "accuracy", "95 % interval", "loss", "validation accuracy")
    blocks: list[Block] = [
        Text(
            "As printed, the rate rises a hundredfold at epoch 80 of 100. The example that the report cites uses the "
            "same numbers as factors of an initial rate of 1e-3: there the rate falls to a tenth at epoch 80."
        ),
        drawings.schedules(one, other),
        Table("Test accuracy by reading of the schedule.", header, tuple(rows)),
    ]
    counts = paired(one, other)
    if counts is not None:
        n, first, second, p = counts
        blocks.append(
            Text(
                f"Both fits have the same {n} test images. Only the fit with rates as printed classifies {first} of "
                f"them correctly, only the fit with factors {second}: {p_words(p)} (McNemar's exact test)."
            )
        )
    return Section(title, anchor, tuple(blocks))


def comparison_section(state: ReproductionState) -> Section:
    """Return §4.8, the comparison of the models of Task 2."""
    title, names = "4.8 VGG16, ResNet50V2 and other models", state.models()
    if len(names) < 2:
        return missing_section(title, "models", "There are no two models to compare.")
    separation: list[Coefficients] = []
    for name in names:
        coefficients: Coefficients = {}
        for layer in ("backbone", "penultimate"):
            quality = state.quality(name, layer)
            coefficients[layer] = None if quality is None else quality.silhouette.value
        drawn = state.maps.get((name, THEN))
        coefficients["map"] = None if drawn is None else drawn.silhouette["map"]
        separation.append(coefficients)
    note = Text("In the table of silhouettes, the map is the one with the defaults of 2020.")
    runs = [state.runs[name] for name in names]
    return replace(models_section(runs, separation, (note, _boundaries(state, names))), title=title)


def _boundaries(state: ReproductionState, names: Sequence[str]) -> Table:
    """Return how wide the boundary between each two classes is."""
    qualities = {name: quality for name in names if (quality := state.quality(name)) is not None}
    rows: list[tuple[str, ...]] = []
    if qualities:
        classes = next(iter(qualities.values())).classes
        for i, j in combinations(range(len(classes)), 2):
            cells = (decimal(float(quality.ratios[i, j]), 2) for quality in qualities.values())
            rows.append((f"{classes[i]} – {classes[j]}", *cells))
        rows.append(("mean", *(decimal(mean_ratio(quality), 2) for quality in qualities.values())))
    caption = (
        "Width of the boundary between two classes: the distance between their centroids divided by the sum of their "
        "radii, in the penultimate features of the training images. If it is below 1, the classes overlap."
    )
    return Table(caption, ("pair", *(state.runs[name].name for name in qualities)), tuple(rows), last_is_total=True)


def variants_section(state: ReproductionState) -> Section:
    """Return §2: VGG16 as described and as run."""
    variants = variants_of(state)
    rows = tuple(
        (
            variant.title,
            fraction(variant.test.correct, variant.test.n),
            percent(variant.test.accuracy),
            interval_percent(variant.test.interval),
            percent(variant.validation.accuracy),
            NOTHING if variant.augmented is None else percent(variant.augmented.accuracy),
            probability(variant.p_value),
        )
        for variant in variants
    )
    header = ("fit", "correct", "accuracy", "95 % interval", "validation", "validation, augmented", "p")
    views = 0 if VGG16 not in state.runs else state.runs[VGG16].run.recipe.views.count
    caption = (
        "VGG16 as described (each channel with zero mean and unit variance over the training images, "
        f"{views} augmented views per image) and as the logs show that it ran (pixels only rescaled by 1/255), with "
        "and without augmented views. Accuracy is on the test images; p is McNemar's exact test on them against the "
        "first row. Validation is on the validation images and on augmented views of them."
    )
    blocks: list[Block] = [*_random(state), Table(caption, header, rows)]
    blocks += [Text(line) for line in variant_sentences(state, variants)]
    return Section("2 As described and as run", "settings", tuple(blocks))


def time_section(state: ReproductionState, reported: Reported) -> Section:
    """Return §5: devices, and times by stage."""
    stages = state.stages
    rows = tuple(
        (stages.titles[name], duration(seconds), "failed" if stages.error(name) else "done")
        for name, seconds in stages.seconds.items()
    )
    total = sum(stages.seconds.values())
    caption = (
        "Wall time by stage, over all calls, before this page was made. Features that are in the cache are read and "
        "not computed again."
    )
    header = ("stage", "time", "")
    times = Table(caption, header, (*rows, ("all", duration(total), "")), words=frozenset({2}), last_is_total=True)
    blocks = (Facts("Devices", _devices(state)), times, Text(_times_of_the_report(state, reported)))
    return Section("5 Time and devices", "time", blocks)


def _devices(state: ReproductionState) -> tuple[tuple[str, str], ...]:
    machine = this_machine()
    opened = next(iter(state.runs.values()), None)
    devices = [] if opened is None else opened.run.manifest["device"].get("devices", [])
    return (
        ("processor", machine.processor),
        ("processors available to featx", str(machine.cpus)),
        ("memory", NOTHING if machine.memory is None else f"{machine.memory / 2**30:.1f} GiB"),
        ("GPUs", ", ".join(machine.gpus) or "none"),
        ("devices that TensorFlow lists", ", ".join(map(str, devices)) or NOTHING),
        ("system", machine.system),
        ("the report's CPU", "a node of its cluster; TensorFlow printed limits of 256 MiB and 16 GiB (XLA)"),
        ("the report's GPU", "Tesla V100-SXM2-16GB, of which 15.7 GB (15,675,496,858 bytes) were usable"),
    )


def _times_of_the_report(state: ReproductionState, reported: Reported) -> str:
    cpu, gpu = (float(reported.figure(f"time.{name}").number or 0) for name in ("cpu", "gpu"))
    text = (
        f"The report's 100 epochs took {cpu:,.0f} s on its CPU and {gpu:,.0f} s on its GPU. Times of another machine "
        "cannot be compared with ours."
    )
    opened = state.runs.get(VGG16)
    if opened is not None:
        seconds = opened.run.metrics["seconds"]
        text += (
            f" Here, {opened.name} took {duration(seconds['extract'])} for features that were not in the cache and "
            f"{duration(seconds['fit'])} for {len(opened.run.history)} epochs."
        )
    return text
