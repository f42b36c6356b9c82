"""Verdicts on a reproduction of the report's own data with made-up results of the fits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from pipeline_data import small_data
from reproduction_data import clusters_of, data_of_the_report, run_of, state_in

from featx.errors import DataError
from featx.reports import loss_interval
from featx.reproduction.claims import measured_claims
from featx.reproduction.data import TaskData, read_root
from featx.reproduction.page import limits_of
from featx.reproduction.state import ReproductionState, Stages
from featx.reproduction.variants import variant_sentences, variants_of
from featx.reproduction.verdicts import FigureVerdict, judge, read_reported
from featx.runs import RunImage
from featx.stats import Score, difference_interval, mcnemar, spread_of
from featx.store import save_document
from featx.sweeps import Sweep


@pytest.fixture
def state(tmp_path: Path) -> ReproductionState:
    """A reproduction of the report's own data in which nothing has been done."""
    return state_in(tmp_path)


def judged(state: ReproductionState, name: str) -> FigureVerdict:
    return judge(read_reported().figure(name), dict(measured_claims(state))[name])


# --- overfitting: training less validation accuracy, 216 against 54 images ---


@pytest.mark.parametrize(
    ("train", "validation", "not_overfitting", "overfitting"),
    [
        # The gap's interval is above 0, holds 0 and ten points, ends below ten points.
        (0.95, 0.60, "inconsistent", "consistent"),
        (0.93, 0.88, "cannot tell", "cannot tell"),
        (0.60, 0.90, "consistent", "inconsistent"),
    ],
)
def test_overfitting_is_a_gap_that_the_images_can_show(
    train: float, validation: float, not_overfitting: str, overfitting: str, state: ReproductionState
) -> None:
    # The first half of the epochs does not count.
    opened = run_of(train=(0.1, 0.1, train, train), validation=(0.9, 0.9, validation, validation))
    state.runs = dict.fromkeys(("task1", "vgg16", "resnet50v2"), opened)
    low, high = difference_interval(train, 216, validation, 54)
    assert (low > 0) == (overfitting == "consistent") == (not_overfitting == "inconsistent")
    assert (low <= 0 and high < 0.1) == (not_overfitting == "consistent") == (overfitting == "inconsistent")
    for name in ("task1", "vgg16"):
        assert judged(state, f"{name}.overfitting").verdict == not_overfitting
    assert judged(state, "resnet50v2.overfitting").verdict == overfitting


def test_what_cannot_be_decided_says_so(state: ReproductionState) -> None:
    state.runs = {"vgg16": run_of(train=(0.93,), validation=(0.88,))}
    assert "too few to decide" in judged(state, "vgg16.overfitting").why
    assert judged(state, "resnet50v2.overfitting").why == "It was not measured."


# --- groups and boundaries ---


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ({("bac", "vir"): 0.7}, "consistent"),
        ({}, "inconsistent"),
        ({("bac", "vir"): 0.7, ("normal", "vir"): 0.9}, "inconsistent"),
        ({("covid", "vir"): 0.7}, "inconsistent"),
    ],
)
def test_three_groups_are_the_pneumonias_and_the_others(
    ratios: dict[tuple[str, str], float], verdict: str, state: ReproductionState
) -> None:
    state.runs["vgg16"] = run_of()
    state.clusters["vgg16"] = clusters_of(ratios)
    assert judged(state, "vgg16.groups").verdict == verdict


def test_groups_of_classes_that_are_not_recognised_are_not_judged(tmp_path: Path) -> None:
    names = ("covid", "normal", "PB", "PV")
    other = TaskData({("train", name): 60 for name in names}, {})
    state = state_in(tmp_path, data={**data_of_the_report(), "all": other})
    state.runs["vgg16"] = run_of()
    state.clusters["vgg16"] = clusters_of({}, names)
    verdict = judged(state, "vgg16.groups")
    assert (verdict.verdict, "not recognised" in verdict.why) == ("not comparable", True)


@pytest.mark.parametrize(("ratio", "verdict"), [(0.9, "inconsistent"), (1.0, "consistent")])
def test_two_classes_are_distinct_from_a_ratio_of_one_on(
    ratio: float, verdict: str, state: ReproductionState
) -> None:
    state.runs["task1"] = run_of()
    state.clusters["task1"] = clusters_of({("covid", "normal"): ratio}, ("covid", "normal"))
    assert judged(state, "task1.clusters").verdict == verdict


@pytest.mark.parametrize(("vgg16", "verdict"), [(3.0, "consistent"), (1.5, "inconsistent")])
def test_the_wider_boundary_is_the_larger_mean_ratio(vgg16: float, verdict: str, state: ReproductionState) -> None:
    state.runs = {"vgg16": run_of(), "resnet50v2": run_of()}
    state.clusters = {"vgg16": clusters_of({("covid", "normal"): vgg16}), "resnet50v2": clusters_of({})}
    assert judged(state, "models.boundary").verdict == verdict


# --- two models ---


@pytest.mark.parametrize(
    ("vgg16", "resnet", "verdict"),
    [(36, 30, "consistent"), (33, 30, "cannot tell"), (30, 33, "cannot tell"), (28, 36, "inconsistent")],
)
def test_more_accurate_is_more_than_chance(vgg16: int, resnet: int, verdict: str, state: ReproductionState) -> None:
    right = {name: [n < correct for n in range(36)] for name, correct in (("vgg16", vgg16), ("resnet50v2", resnet))}
    state.runs = {name: run_of(right=answers) for name, answers in right.items()}
    p_value = mcnemar(np.array(right["vgg16"]), np.array(right["resnet50v2"]))
    assert (p_value >= 0.05) == (verdict == "cannot tell")
    assert judged(state, "models.accuracy").verdict == verdict


@pytest.mark.parametrize(
    ("vgg16", "resnet", "frozen", "complexity"),
    [
        ((100, 10), (150, 10), "consistent", "consistent"),
        # The report's own counts.
        ((14_714_688, 51_907_844), (23_564_800, 525_572), "inconsistent", "inconsistent"),
    ],
)
def test_parameters_are_compared(
    vgg16: tuple[int, int], resnet: tuple[int, int], frozen: str, complexity: str, state: ReproductionState
) -> None:
    state.runs = {"vgg16": run_of(parameters=vgg16), "resnet50v2": run_of(parameters=resnet)}
    assert judged(state, "models.frozen").verdict == frozen
    assert judged(state, "models.complexity").verdict == complexity


# --- data ---


def test_classes_are_recognised_by_their_names(tmp_path: Path) -> None:
    for name, classes in (("two", 2), ("all", 4)):
        small_data(tmp_path / name, train=2, test=1, classes=classes)
    data = read_root(tmp_path)
    assert data["all"].classes["bac"] == "pneumonia_bac"
    assert (data["two"].count("train", "covid"), data["all"].count("test", "vir")) == (2, 1)
    assert "8 train images, 4 test images in all" in data["all"].deviation("all")
    for split in ("train", "test"):
        (tmp_path / "all" / split / "pneumonia_bac").rename(tmp_path / "all" / split / "PB")
    assert read_root(tmp_path)["all"].count("train", "bac") is None
    assert "not recognised" in read_root(tmp_path)["all"].deviation("all")
    # "vir" is in both names: which is which is not clear.
    for split in ("train", "test"):
        (tmp_path / "all" / split / "PB").rename(tmp_path / "all" / split / "bac-or-virus")
    assert read_root(tmp_path)["all"].classes == {}
    with pytest.raises(DataError, match="no two/train"):
        read_root(tmp_path / "all")


def test_the_reports_data_is_recognised_by_class_and_split() -> None:
    own = data_of_the_report()["all"]
    assert own.deviation("all") == ""
    swapped = {**own.counts, ("train", "covid"): 70, ("train", "normal"): 60}
    assert "Other data" in TaskData(swapped, own.classes).deviation("all")
    held_out = {**own.counts, ("val", "covid"): 5}
    assert "5 val images" in TaskData(held_out, own.classes).deviation("all")


def test_limits_of_the_reports_data_are_not_those_of_other_data(tmp_path: Path) -> None:
    assert any("adults" in text for _, text in limits_of(state_in(tmp_path)))
    other = state_in(tmp_path, data={**data_of_the_report(), "two": TaskData({}, {})})
    assert [head for head, _ in limits_of(other)] == ["One split.", "Clinical use."]


# --- as described and as run ---


def sentences_on(state: ReproductionState, right: dict[str, int], augmented: dict[str, int]) -> list[str]:
    state.runs = {name: run_of(right=[n < correct for n in range(36)]) for name, correct in right.items()}
    state.augmented = {name: Score(54, correct, 0.5) for name, correct in augmented.items()}
    return variant_sentences(state, variants_of(state))


def test_sentences_say_which_choice_changes_the_accuracy(state: ReproductionState) -> None:
    lines = sentences_on(state, {"vgg16": 36, "vgg16-rescaled": 35, "vgg16-no-views": 20}, {"vgg16": 21})
    assert "from 55.6 % to 100.0 %" in lines[0]
    assert "by more than chance: no views (McNemar" in lines[0]
    assert "accuracy is 11.1 to 11.1 points lower than on the images" in lines[1]
    alike = sentences_on(state, {"vgg16": 36, "vgg16-rescaled": 35}, {"vgg16": 27})
    assert "no choice changes it by more than chance" in alike[0]
    assert "accuracy is the same as on the images" in alike[1]
    higher = sentences_on(state, {"vgg16": 36}, {"vgg16": 54})
    assert len(higher) == 1
    assert "50.0 to 50.0 points higher" in higher[0]


def test_nothing_is_said_of_what_is_missing(state: ReproductionState) -> None:
    assert sentences_on(state, {"vgg16-rescaled": 35, "vgg16-no-views": 20}, {}) == []


def test_the_effect_of_seeds_alone_is_reported(state: ReproductionState) -> None:
    state.runs = {"vgg16": run_of()}
    spread = spread_of([Score(36, 27, 0.5), Score(36, 33, 0.5)])
    state.sweep = cast("Sweep", SimpleNamespace(spreads=lambda: [({"fit.batch_size": 10}, spread)]))
    assert variant_sentences(state, variants_of(state)) == [
        "Seeds alone change the test accuracy of the fit as described from 75.0 % to 91.7 % (2 seeds, 100 epochs)."
    ]


# --- stages ---


def test_a_part_that_fails_leaves_the_others(tmp_path: Path) -> None:
    stages = Stages(tmp_path, 1)
    done: list[str] = []

    def work() -> None:
        for name in ("task1", "vgg16"):
            with stages.part(f"maps/{name}", f"Maps of {name}"):
                if name == "task1":
                    raise DataError("No two rows differ.")
                done.append(name)

    stages.run("maps", "Maps", work)
    assert done == ["vgg16"]
    assert stages.failed == {"maps/task1": "No two rows differ."}
    assert stages.error("maps") == stages.error("maps/task1") == "No two rows differ."
    assert stages.error("maps/vgg16") == stages.error("map") == ""
    assert "maps/task1: No two rows differ." in stages.sentence()


def test_time_of_repeated_stages_is_not_added_up(tmp_path: Path) -> None:
    for name in ("fit", "page"):
        save_document(tmp_path, "stages", name, {"seconds": 1000.0})
    stages = Stages(tmp_path, 2)
    stages.run("fit", "A fit", lambda: None)
    stages.run("page", "The page", lambda: None, repeated=True)
    assert stages.seconds["fit"] > 999 > stages.seconds["page"]


# --- losses ---


def image(probability: float, name: str = "", patient: str | None = None) -> RunImage:
    shares = (probability, 1 - probability)
    return cast(
        "RunImage",
        SimpleNamespace(label="covid", probabilities=shares, digest=name or str(probability), group=patient),
    )


def test_the_interval_of_a_loss_allows_for_patients() -> None:
    """Five patients, each with four images that are alike, tell about as much as five images."""
    shares = (0.5, 0.4, 0.45, 0.3, 0.55)
    together, alone = (
        loss_interval(
            [
                image(share, f"{share} {number}", str(share) if known else None)
                for share in shares
                for number in range(4)
            ],
            ("covid", "normal"),
        )
        for known in (True, False)
    )
    one_each = loss_interval([image(share) for share in shares], ("covid", "normal"))
    assert together is not None
    assert alone is not None
    assert one_each is not None
    # The standard deviation is by n - 1, of 20 and of 5 images.
    ratio = (19 / 16) ** 0.5
    middle = (together[0] + together[1]) / 2
    assert together[1] - middle == pytest.approx((one_each[1] - sum(one_each) / 2) / ratio)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_a_loss_whose_probability_was_lost_has_no_interval() -> None:
    known = loss_interval([image(0.5), image(0.25)], ("covid", "normal"))
    assert known is not None
    assert known[0] == 0.0
    assert loss_interval([image(0.5), image(0.0)], ("covid", "normal")) is None
    assert loss_interval([image(0.5)], ("covid", "normal")) is None
