import numpy as np
import pytest

from featx.stats import classification_metrics, positive_class, positive_of, score_by_group, wilson


def said(y: list[int], predicted: list[int], classes: int = 2, sure: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    P = np.full((len(y), classes), (1 - sure) / (classes - 1))
    P[np.arange(len(y)), predicted] = sure
    return np.array(y), P


def test_28_of_29_is_no_success_where_27_are_of_one_class() -> None:
    y, P = said([0] * 27 + [1] * 2, [0] * 28 + [1])
    metrics = classification_metrics(["normal", "covid"], y, P)
    assert (metrics.correct, metrics.majority, metrics.positive) == (28, ("normal", 27), "covid")
    assert metrics.p_value_vs_majority == 1
    assert "28 of 29 images are correct, more than the 27 of always answering normal, but not by more" in (
        metrics.no_better_than_majority() or ""
    )
    of_covid = metrics.of_positive
    assert of_covid is not None
    assert of_covid.sensitivity is not None
    assert (of_covid.sensitivity.value, of_covid.sensitivity.interval) == (0.5, wilson(1, 2))
    assert metrics.balanced_accuracy.value == 0.75
    assert metrics.to_json()["sensitivity"]["value"] == 0.5
    assert metrics.to_json()["majority"] == {"class": "normal", "correct": 27, "accuracy": 27 / 29}


def test_a_head_that_always_answers_the_same_is_no_better() -> None:
    y, P = said([0] * 20 + [1] * 10, [0] * 30)
    sentence = classification_metrics(["a", "b"], y, P).no_better_than_majority()
    assert (
        sentence
        == "20 of 30 images are correct, as many as the 20 of always answering a: the head is no better than that."
    )


def test_a_good_head_needs_no_sentence_and_has_intervals_at_1() -> None:
    y, P = said([0] * 18 + [1] * 18, [0] * 18 + [1] * 18)
    metrics = classification_metrics(["normal", "covid"], y, P)
    assert metrics.no_better_than_majority() is None
    assert metrics.roc_auc is not None
    for estimate in (metrics.balanced_accuracy, metrics.macro_f1, metrics.roc_auc):
        assert estimate.value == 1
        assert 0.8 < estimate.interval[0] < 0.96
    # Nine patients with four images each say less.
    grouped = classification_metrics(["normal", "covid"], y, P, np.arange(36) // 4)
    assert grouped.balanced_accuracy.interval[0] < metrics.balanced_accuracy.interval[0] - 0.05


def test_the_positive_class_is_chosen_once_for_several_parts() -> None:
    """These images have fewer cats, but the data has fewer dogs."""
    y, P = said([0, 1, 1, 1], [0, 1, 1, 0])
    classes = ["cat", "dog"]
    assert classification_metrics(classes, y, P).positive == "cat"
    positive = positive_of(classes, ["cat"] * 9 + ["dog"] * 4)
    metrics = classification_metrics(classes, y, P, positive=positive)
    assert metrics.positive == "dog"
    assert metrics.to_json()["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert positive_of(["normal", "covid"], ["covid"] * 9 + ["normal"]) == "covid"
    assert positive_of(["a", "b", "c"], ["a"]) is None


def test_images_of_one_class_have_no_area() -> None:
    y, P = said([1] * 5, [1, 1, 1, 1, 0])
    metrics = classification_metrics(["a", "b"], y, P)
    assert metrics.roc_auc is None
    assert metrics.to_json()["roc_auc"] is None
    assert metrics.per_class[0].sensitivity is None


@pytest.mark.parametrize(
    ("classes", "counts", "expected"),
    [
        (["covid", "normal"], [18, 18], 0),
        (["No_Finding", "mass"], [5, 9], 1),
        (["a", "b"], [3, 9], 0),
        (["a", "b"], [9, 9], 1),
    ],
)
def test_the_class_that_is_looked_for(classes: list[str], counts: list[int], expected: int) -> None:
    assert positive_class(classes, counts) == expected


def test_a_group_has_the_mean_of_its_probabilities() -> None:
    """One image of the first patient is wrong, but the other two are surer; the third patient has two classes."""
    y = np.array([0, 0, 0, 1, 0, 1, 1])
    P = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.5, 0.5], [0.5, 0.5], [0.2, 0.8]])
    by_group = score_by_group(y, P, ["p", "p", "p", "q", "r", "r", None])
    assert by_group is not None
    assert (by_group.score.n, by_group.score.correct, by_group.mixed) == (3, 2, 1)
    assert by_group.score.interval == wilson(2, 3)
    assert by_group.score.loss == pytest.approx(-np.mean(np.log([0.7, 0.3, 0.8])))
    assert by_group.to_json()["mixed"] == 1
    assert score_by_group(y, P, [None] * 7) is None
