"""What the report describes against what its logs show to have run: which choice moves which number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from featx.reports import paired, score_of
from featx.reproduction.found import Found
from featx.reproduction.judging import sizes_of
from featx.reproduction.plan import ASRUN, BARE, BARE_ASRUN, VGG16
from featx.stats import SIGNIFICANT, Score
from featx.text import percent

TITLES = {
    VGG16: "as described",
    ASRUN: "pixels only rescaled",
    BARE: "no views",
    BARE_ASRUN: "pixels only rescaled, no views",
}


@dataclass(frozen=True)
class Setting:
    """One way of reading the report.

    Attributes:
        name: Of the fit.
        title: What differs from the fit as described.
        preprocessing: `featurewise` as described, `rescale` as run.
        views: Of each training image.
        test: On the test images.
        validation: On the validation images as they are.
        augmented: On their augmented views, as published solutions of the assignment validate; None where there are
            none.
        p_value: McNemar's exact test on the test images against the fit as described; None for that itself.
    """

    name: str
    title: str
    preprocessing: str
    views: int
    test: Score
    validation: Score
    augmented: Score | None
    p_value: float | None


def settings_of(found: Found) -> list[Setting]:
    """Return the fits that differ in one choice or two, the one as described first."""
    return list(_rows(found))


def _rows(found: Found) -> Iterator[Setting]:
    described = found.runs.get(VGG16)
    for name in TITLES:
        if name not in found.runs:
            continue
        told = found.runs[name]
        counts = None if described is None or name == VGG16 else paired(described, told)
        yield Setting(
            name=name,
            title=TITLES[name],
            preprocessing=told.run.recipe.preprocess.mode,
            views=told.run.recipe.views.count,
            test=score_of(told, "test"),
            validation=score_of(told, "validation"),
            augmented=found.validation[name][1] if name in found.validation else None,
            p_value=None if counts is None else counts[3],
        )


def sentences(found: Found, rows: Sequence[Setting]) -> list[str]:
    """Return in words which choice moves which number, beside what seeds alone do."""
    lines = []
    compared = [row for row in rows if row.test.n]
    if any(row.p_value is not None for row in compared):
        lines.append(_test_sentence(compared))
    seeds = _seed_sentence(found)
    if seeds:
        lines.append(seeds)
    pairs = [(row.validation.accuracy, row.augmented.accuracy) for row in rows if row.augmented is not None]
    drops = [100 * (plain - augmented) for plain, augmented in pairs if plain is not None and augmented is not None]
    if drops:
        lines.append(
            "Validated on augmented views instead of the images themselves, which the published solutions of this "
            f"assignment do, the same heads come out {_points(drops)}."
        )
    return lines


def _test_sentence(rows: Sequence[Setting]) -> str:
    accuracies = [row.test.accuracy or 0.0 for row in rows]
    moved = [row.title for row in rows if row.p_value is not None and row.p_value < SIGNIFICANT]
    what = (
        f"what moves it beyond chance is: {'; '.join(moved)}"
        if moved
        else "none of the choices moves it beyond chance"
    )
    return (
        f"Test accuracy goes from {percent(min(accuracies))} to {percent(max(accuracies))}; against the fit as "
        f"described {what} (McNemar's exact test on the same images, p < {SIGNIFICANT:g}, not corrected for their "
        "number)."
    )


def _seed_sentence(found: Found) -> str:
    if found.sweep is None:
        return ""
    own = sizes_of(found.sweep).get(found.plan.fit(VGG16).recipe.fit.batch_size)
    if own is None or own.low is None or len(own.accuracies) < 2:
        return ""
    return (
        f"Seeds alone take the fit as described from {percent(own.low)} to {percent(own.high)} "
        f"({len(own.accuracies)} seeds, {found.plan.sweep.fit.epochs} epochs)."
    )


def _points(drops: Sequence[float]) -> str:
    least, most = min(drops), max(drops)
    if least == most == 0:
        return "the same"
    if most <= 0:
        return f"{-most:.1f} to {-least:.1f} points higher"
    if least >= 0:
        return f"{least:.1f} to {most:.1f} points lower"
    return f"from {-least:.1f} points higher to {most:.1f} points lower"
