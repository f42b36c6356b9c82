"""VGG16 as the report describes it, and as its logs show that it ran: which choice changes which number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featx.recipes import Recipe
from featx.reports import paired, score_of
from featx.reproduction.plan import ASRUN, BARE, BARE_ASRUN, VGG16
from featx.reproduction.state import ReproductionState
from featx.stats import SIGNIFICANT, Score
from featx.text import decimal, percent

# The fit as described comes first; the others differ from it in one or two choices.
VARIANTS = {
    VGG16: "as described",
    ASRUN: "pixels only rescaled",
    BARE: "no views",
    BARE_ASRUN: "pixels only rescaled, no views",
}


@dataclass(frozen=True)
class Variant:
    """A fit of VGG16 to Task 2, with McNemar's exact test on the test images against the fit as described."""

    name: str
    title: str
    recipe: Recipe
    test: Score
    validation: Score
    # On augmented views of the validation images, which the assignment's published solutions report.
    augmented: Score | None
    p_value: float | None


def variants_of(state: ReproductionState) -> list[Variant]:
    """Return the variants that did not fail, the fit as described first."""
    described = state.runs.get(VGG16)
    variants = []
    for name, title in VARIANTS.items():
        opened = state.runs.get(name)
        if opened is None:
            continue
        counts = None if described is None or name == VGG16 else paired(described, opened)
        variants.append(
            Variant(
                name=name,
                title=title,
                recipe=opened.run.recipe,
                test=score_of(opened, "test"),
                validation=score_of(opened, "validation"),
                augmented=state.augmented.get(name),
                p_value=None if counts is None else counts[3],
            )
        )
    return variants


def variant_sentences(state: ReproductionState, variants: Sequence[Variant]) -> list[str]:
    """Say which choice changes which number, and how much seeds alone change it."""
    lines = []
    if any(variant.p_value is not None for variant in variants):
        lines.append(_test_sentence([variant for variant in variants if variant.test.n]))
    spread = state.sizes().get(state.plan.fit(VGG16).recipe.fit.batch_size)
    if spread is not None and len(spread.accuracies) > 1:
        lines.append(
            f"Seeds alone change the test accuracy of the fit as described from {percent(spread.low)} to "
            f"{percent(spread.high)} ({len(spread.accuracies)} seeds, {state.plan.sweep.fit.epochs} epochs)."
        )
    pairs = [(variant.validation.accuracy, variant.augmented.accuracy) for variant in variants if variant.augmented]
    losses = [100 * (plain - augmented) for plain, augmented in pairs if plain is not None and augmented is not None]
    if losses:
        lines.append(
            f"On augmented views of the validation images, accuracy is {_compared(losses)} on the images "
            "themselves. Published solutions of this assignment report it on augmented views."
        )
    return lines


def _test_sentence(variants: Sequence[Variant]) -> str:
    accuracies = [variant.test.accuracy or 0.0 for variant in variants]
    different = [
        variant.title for variant in variants if variant.p_value is not None and variant.p_value < SIGNIFICANT
    ]
    finding = (
        f"these choices change it by more than chance: {'; '.join(different)}"
        if different
        else "no choice changes it by more than chance"
    )
    return (
        f"Test accuracy ranges from {percent(min(accuracies))} to {percent(max(accuracies))}. Compared with the fit "
        f"as described, {finding} (McNemar's exact test on the same images, p < {SIGNIFICANT:g}, not corrected for "
        "the number of tests)."
    )


def _compared(losses: Sequence[float]) -> str:
    """Return the range of losses, in points, in words."""
    least, most = min(losses), max(losses)
    if least == most == 0:
        return "the same as"
    if most <= 0:
        return f"{decimal(-most, 1)} to {decimal(-least, 1)} points higher than"
    if least >= 0:
        return f"{least:.1f} to {most:.1f} points lower than"
    return f"between {-least:.1f} points higher and {most:.1f} points lower than"
