from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from featx.reported import Figure, Kind, read_reported
from featx.stats import Score, mean_interval, wilson
from featx.verdicts import RULES, Ours, batch_interval, groups_of, judge


def figure(kind: Kind, **fields: object) -> Figure:
    return Figure("x.y", "4.4", "test accuracy", kind, "share", **fields)  # type: ignore[arg-type]


def accuracy(correct: int, n: int = 36) -> Ours:
    return Ours(f"{correct}/{n}", correct / n, wilson(correct, n))


def test_a_count_is_reproduced_if_it_is_the_same() -> None:
    theirs = figure("count", value=14_714_688, note="A misprint.")
    assert judge(theirs, Ours("14,714,688", 14_714_688)).verdict == "reproduced"
    wrong = judge(theirs, Ours("23,564,800", 23_564_800))
    assert wrong.verdict == "not reproduced"
    assert wrong.why == "Not equal. A misprint."


@pytest.mark.parametrize(
    ("correct", "verdict"),
    # Wilson's interval of 20/36 ends at 70.4 %, of 22/36 at 75.1 %, of 33/36 it begins at 78.2 %.
    [(20, "not reproduced"), (22, "reproduced"), (27, "reproduced"), (33, "not reproduced")],
)
def test_an_accuracy_is_reproduced_if_it_lies_inside_our_interval(correct: int, verdict: str) -> None:
    low, high = stats.binomtest(correct, 36).proportion_ci(method="wilson")
    assert (low <= 27 / 36 <= high) == (verdict == "reproduced")
    assert judge(figure("accuracy", correct=27, n=36), accuracy(correct)).verdict == verdict


def test_the_reason_says_on_which_side_it_lies() -> None:
    assert "below our interval" in judge(figure("accuracy", correct=27, n=36), accuracy(33)).why
    assert "above our interval" in judge(figure("accuracy", correct=27, n=36), accuracy(10)).why


def test_a_percentage_stands_for_a_fraction() -> None:
    assert figure("batch", correct=20, n=36).number == pytest.approx(0.5556, abs=1e-4)
    assert figure("accuracy", value=0.95, n=26).number == 0.95


def test_a_batch_size_is_held_against_the_range_over_seeds_widened() -> None:
    scores = [Score(36, 28, 0.6), Score(36, 31, 0.5), Score(0, 0, None), Score(36, 30, 0.5)]
    interval = batch_interval(scores)
    assert interval is not None
    assert interval[0] == pytest.approx(stats.binomtest(28, 36).proportion_ci(method="wilson").low)
    assert interval[1] == pytest.approx(stats.binomtest(31, 36).proportion_ci(method="wilson").high)
    ours = Ours("", 0.82, interval)
    assert judge(figure("batch", correct=23, n=36), ours).verdict == "reproduced"
    assert judge(figure("batch", correct=17, n=36), ours).verdict == "not reproduced"
    assert batch_interval([Score(0, 0, None)]) is None


def test_a_loss_is_held_against_the_interval_of_the_mean() -> None:
    losses = np.random.default_rng(0).exponential(0.8, 36)
    expected = stats.t.interval(0.95, 35, losses.mean(), stats.sem(losses))
    interval = mean_interval(list(losses))
    assert interval == pytest.approx(expected)
    assert judge(figure("loss", value=losses.mean()), Ours("", 1.0, interval)).verdict == "reproduced"
    assert judge(figure("loss", value=9.0), Ours("", 1.0, interval)).verdict == "not reproduced"
    assert mean_interval([1.0]) is None
    assert judge(figure("loss", value=9.0), Ours("", 1.0)).verdict == "not comparable"


def test_a_claim_is_what_its_measurement_says() -> None:
    claim = figure("claim", claim="Two clusters.")
    for value, verdict in ((1.0, "reproduced"), (0.0, "not reproduced")):
        judged = judge(claim, Ours("ratio", value, rule="Ratio of 1 or more."))
        assert (judged.verdict, judged.why) == (verdict, "Ratio of 1 or more.")


def test_what_cannot_be_compared_says_why() -> None:
    random = judge(figure("accuracy", correct=27, n=36), Ours("", 0.75, (0.6, 0.9), apart="Random weights."))
    assert (random.verdict, random.why) == ("not comparable", "Random weights.")
    assert judge(figure("time", value=2786), Ours("60 s", 60.0)).verdict == "not comparable"
    nothing = judge(figure("accuracy", correct=27, n=36), None)
    assert (nothing.verdict, nothing.ours.shown) == ("not comparable", "–")
    failed = judge(figure("accuracy", correct=27, n=36), Ours("–", None, apart="It could not be fitted."))
    assert failed.why == "It could not be fitted."


def test_classes_hang_together_where_their_ratio_is_below_one() -> None:
    names = ["covid", "normal", "bac", "vir"]
    ratios = np.full((4, 4), 1.5)
    assert groups_of(ratios.tolist(), names) == [[name] for name in names]
    ratios[2, 3] = ratios[3, 2] = 0.75
    assert groups_of(ratios.tolist(), names) == [["covid"], ["normal"], ["bac", "vir"]]
    # A chain: normal with bac, and bac with vir.
    ratios[1, 2] = ratios[2, 1] = 0.9
    assert groups_of(ratios.tolist(), names) == [["covid"], ["normal", "bac", "vir"]]
    ratios[0, 3] = ratios[3, 0] = 0.9
    assert groups_of(ratios.tolist(), names) == [names]


def test_the_report_adds_up() -> None:
    """What the file says is consistent with itself, but for the misprint that it notes."""
    reported = read_reported()
    value = {one.id: one.number for one in reported.figures}
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
