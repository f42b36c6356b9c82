from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from featx.reproduction.claims import groups_of
from featx.reproduction.comparisons import own_spread
from featx.reproduction.verdicts import (
    RULES,
    FigureVerdict,
    Kind,
    Measured,
    ReportedFigure,
    judge,
    not_measured,
    read_reported,
    tally,
)
from featx.stats import difference_interval, homogeneity_p, mean_interval, wilson


def figure(kind: Kind, **fields: object) -> ReportedFigure:
    return ReportedFigure("x.y", "4.4", "test accuracy", kind, "share", **fields)  # type: ignore[arg-type]


ACCURACY = figure("accuracy", correct=27, n=36)


def accuracy(*correct: int, n: int = 36) -> Measured:
    shares = tuple(number / n for number in correct)
    return Measured("", shares[0], wilson(correct[0], n), shares, n)


def test_a_count_is_equal_or_different() -> None:
    theirs = figure("count", value=14_714_688, note="A misprint.")
    assert judge(theirs, Measured("14,714,688", 14_714_688)).verdict == "equal"
    wrong = judge(theirs, Measured("23,564,800", 23_564_800))
    assert wrong.verdict == "different"
    assert wrong.why == "Not equal. A misprint."


def newcombe(correct: int, theirs: int, n: int = 36) -> tuple[float, float]:
    """Method 10 of Newcombe (1998), of Wilson's intervals by SciPy."""
    ours, other = (stats.binomtest(number, n).proportion_ci(method="wilson") for number in (correct, theirs))
    p, q = correct / n, theirs / n
    low = p - q - np.hypot(p - ours.low, other.high - q)
    return low, p - q + np.hypot(ours.high - p, q - other.low)


def test_a_difference_has_newcombe_s_interval() -> None:
    """The first example of his table II, 56/70 against 48/80, has 0.0524 to 0.3339."""
    assert difference_interval(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference_interval(33 / 36, 36, 27 / 36, 36) == pytest.approx(newcombe(33, 27))


@pytest.mark.parametrize(
    ("correct", "n", "verdict"),
    [
        (17, 36, "inconsistent"),
        (20, 36, "cannot tell"),
        (27, 36, "cannot tell"),
        (33, 36, "cannot tell"),
        (35, 36, "inconsistent"),
        (270, 360, "consistent"),
        (260, 360, "consistent"),
        (230, 360, "inconsistent"),
        (250, 360, "cannot tell"),
    ],
)
def test_accuracies_agree_where_their_difference_is_certainly_small(correct: int, n: int, verdict: str) -> None:
    """Report and reproduction have n images each; the report has 75 % correct."""
    low, high = newcombe(correct, 27 * n // 36, n)
    assert (not low <= 0 <= high) == (verdict == "inconsistent")
    assert (low >= -0.1 and high <= 0.1) == (verdict == "consistent")
    judged = judge(figure("accuracy", correct=27 * n // 36, n=n), accuracy(correct, n=n))
    assert judged.verdict == verdict
    ends = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}".replace("-", "\N{MINUS SIGN}")
    assert ends in judged.why


def test_an_accuracy_of_no_images_cannot_be_compared() -> None:
    assert judge(ACCURACY, Measured("", 0.75)).verdict == "not comparable"
    assert judge(figure("accuracy", value=0.75), accuracy(27)).verdict == "not comparable"


def test_a_percentage_stands_for_a_fraction() -> None:
    assert figure("batch", correct=20, n=36).number == pytest.approx(0.5556, abs=1e-4)
    assert figure("accuracy", value=0.95, n=26).number == 0.95


def batch(correct: int, *fits: int, n: int = 36) -> FigureVerdict:
    return judge(figure("batch", correct=correct, n=n), accuracy(*fits, n=n))


def test_the_interval_of_a_batch_size_allows_for_the_seed_of_one_more_fit() -> None:
    judged = batch(20, 30, 26, 34)
    assert judged.difference is not None
    middle, low, high = judged.difference
    assert middle == pytest.approx((30 - 20) / 36)
    another = stats.t.ppf(0.975, 2) * np.std([30 / 36, 26 / 36, 34 / 36], ddof=1) * np.sqrt(1 + 1 / 3)
    ends = newcombe(30, 20)
    assert low == pytest.approx(middle - np.hypot(middle - ends[0], another))
    assert high == pytest.approx(middle + np.hypot(ends[1] - middle, another))
    assert "the mean of our fits" in judged.why


def test_one_fit_of_a_batch_size_cannot_tell() -> None:
    assert batch(270, 270, n=360).verdict == "cannot tell"
    assert "use more --seeds" in batch(270, 270, n=360).why
    assert batch(270, 270, 271, 269, n=360).verdict == "consistent"


def test_more_seeds_do_not_make_a_batch_size_easier_to_pass() -> None:
    """With seeds of the same spread, a value that was refuted stays refuted, and the interval becomes narrower."""
    fits = (300, 330, 315)
    few, many = batch(180, *fits, n=360), batch(180, *fits, *fits, *fits, n=360)
    assert few.difference is not None
    assert many.difference is not None
    assert many.difference[2] - many.difference[1] < few.difference[2] - few.difference[1]
    assert (few.verdict, many.verdict) == ("inconsistent", "inconsistent")


def test_a_loss_is_compared_with_the_interval_of_the_mean() -> None:
    losses = np.random.default_rng(0).exponential(0.8, 36)
    expected = stats.t.interval(0.95, 35, losses.mean(), stats.sem(losses))
    interval = mean_interval(list(losses))
    assert interval == pytest.approx(expected)
    wide = judge(figure("loss", value=losses.mean()), Measured("", 1.0, interval))
    assert wide.verdict == "cannot tell"
    assert "too wide" in wide.why
    narrow = judge(figure("loss", value=0.77), Measured("", 0.8, (0.62, 0.9)))
    assert (narrow.verdict, narrow.why) == ("consistent", "Agrees within 0.2 nats.")
    high = judge(figure("loss", value=9.0), Measured("", 1.0, interval))
    assert (high.verdict, high.why) == ("inconsistent", "The report's value is above our interval.")
    assert "below" in judge(figure("loss", value=0.01), Measured("", 1.0, interval)).why
    assert mean_interval([1.0]) is None
    assert judge(figure("loss", value=9.0), Measured("", 1.0)).verdict == "not comparable"


def test_counts_and_measurements_are_tallied_apart() -> None:
    table = [
        judge(figure("count", value=3), Measured("3", 3)),
        judge(figure("count", value=4), Measured("3", 3)),
        judge(figure("claim", claim="So."), Measured("", 1.0)),
        judge(figure("claim", claim="So."), Measured("", 0.0, undecided="Too few.")),
        judge(ACCURACY, not_measured("")),
    ]
    assert tally(table) == (
        "2 counts (1 equal, 1 different), 2 measurements (1 consistent, 0 inconsistent, 1 cannot tell), "
        "1 not comparable"
    )


def test_a_claim_is_what_its_measurement_says() -> None:
    claim = figure("claim", claim="Two clusters.")
    for value, verdict in ((1.0, "consistent"), (0.0, "inconsistent")):
        judged = judge(claim, Measured("ratio", value, rule="Ratio of 1 or more."))
        assert (judged.verdict, judged.why) == (verdict, "Ratio of 1 or more.")


def test_what_cannot_be_compared_says_why() -> None:
    random = judge(ACCURACY, Measured("", 0.75, (0.6, 0.9), not_comparable="Random weights."))
    assert (random.verdict, random.why) == ("not comparable", "Random weights.")
    nothing = judge(ACCURACY, not_measured(""))
    assert (nothing.verdict, nothing.ours.shown, nothing.why) == ("not comparable", "–", "Nothing was measured.")
    assert judge(ACCURACY, not_measured("It could not be fitted.")).why == "It could not be fitted."


def test_classes_hang_together_where_their_ratio_is_below_one() -> None:
    names = ["covid", "normal", "bac", "vir"]
    ratios = np.full((4, 4), 1.5)
    assert groups_of(ratios, names) == [[name] for name in names]
    ratios[2, 3] = ratios[3, 2] = 0.75
    assert groups_of(ratios, names) == [["covid"], ["normal"], ["bac", "vir"]]
    # A chain: normal with bac, and bac with vir.
    ratios[1, 2] = ratios[2, 1] = 0.9
    assert groups_of(ratios, names) == [["covid"], ["normal", "bac", "vir"]]
    ratios[0, 3] = ratios[3, 0] = 0.9
    assert groups_of(ratios, names) == [names]


def test_the_logs_of_section_5_count_outputs_and_not_images() -> None:
    """As the notes say: of 50 images no share is 0.8850, of their 200 outputs every one that is printed is."""
    printed = (0.8500, 0.8600, 0.7900, 0.8200, 0.8300, 0.8850, 0.8750, 0.7050, 0.8550, 0.8450, 0.8150)
    assert all(abs(200 * share - round(200 * share)) < 1e-9 for share in printed)
    assert not all(abs(50 * share - round(50 * share)) < 1e-9 for share in printed)
    for name in ("vgg16.training.late", "vgg16.validation.late"):
        assert "multiples of 1/200" in read_reported().figure(name).note


def test_the_report_adds_up() -> None:
    """What the file says is consistent with itself, but for the misprint that it notes."""
    reported = read_reported()
    value = reported.numbers()
    sections = [tuple(map(int, one.section.split("."))) for one in reported.figures]
    assert sections == sorted(sections)
    assert len(value) == len(reported.figures)
    for name in ("task1", "vgg16", "resnet50v2"):
        own = {key.rpartition(".")[2]: n or 0 for key, n in value.items() if key.startswith(f"{name}.parameters.")}
        assert own["trainable"] + own["non_trainable"] == own["total"]
        assert sum(n for key, n in own.items() if key.startswith("dense")) == own["trainable"]
        assert (own["backbone"] == own["non_trainable"]) == (name != "resnet50v2")
    assert "VGG16's number" in reported.figure("resnet50v2.parameters.backbone").note
    printed = {5: 61, 6: 69, 7: 55, 8: 47, 9: 50, 10: 75, 11: 64, 12: 77, 13: 61, 14: 61, 15: 69}
    for size, percent in printed.items():
        # The report cuts off or rounds.
        assert abs(100 * float(value[f"batch.{size}"] or 0) - percent) < 1
    assert {one.kind for one in reported.figures} == set(RULES)
    for one in reported.figures:
        assert (one.number is None) == bool(one.claim), one.id
        if one.kind in ("accuracy", "loss", "batch"):
            assert one.n, one.id


def test_the_reports_batch_sizes_differ_no_more_than_chance() -> None:
    """By hand: squares of what differs from the mean of all, over the variance of 36 draws of it."""
    correct = [22, 25, 20, 17, 18, 27, 23, 28, 22, 22, 25]
    p = sum(correct) / (36 * 11)
    chi2 = sum((number - 36 * p) ** 2 for number in correct) / (36 * p * (1 - p))
    assert homogeneity_p(correct, 36) == pytest.approx(stats.chi2.sf(chi2, 10))
    assert "17 to 28 of 36, differ by no more than chance alone" in own_spread(read_reported())
    assert homogeneity_p([5, 35, 20], 36) < 0.001
    assert homogeneity_p([36, 36], 36) == homogeneity_p([0, 0], 36) == 1.0
