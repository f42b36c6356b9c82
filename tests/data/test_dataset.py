from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.checks import check_for_fit
from featx.data.dataset import Dataset, Item, group_ids
from featx.errors import DataError, UsageError


def dataset(**counts: dict[str, int]) -> Dataset:
    """A data set with so many images by split and class."""
    items = tuple(
        Item(f"{split}/{label}/{i}.png", Path(f"/{split}/{label}/{i}.png"), label, split)
        for split, classes in counts.items()
        for label, n in classes.items()
        for i in range(n)
    )
    labels = sorted({item.label for item in items if item.label})
    return Dataset(Path("/data"), items, tuple(labels))


@pytest.mark.parametrize(
    ("data", "validation"),
    [
        (dataset(train={"x": 3, "y": 50}), 0.2),
        (dataset(train={"x": 2, "y": 2}), 0.5),
        (dataset(train={"x": 1, "y": 1}), 0.0),
        (dataset(train={"x": 1, "y": 1}, val={"x": 1}), 0.2),
        (dataset(train={"x": 3, "y": 3}, test={"y": 1}), 0.2),
    ],
)
def test_data_that_can_be_fitted(data: Dataset, validation: float) -> None:
    check_for_fit(data, validation)


@pytest.mark.parametrize(
    ("data", "validation", "message"),
    [
        (dataset(train={"x": 9}), 0.2, r"at least two classes in /data, found x; add"),
        (dataset(test={"x": 9, "y": 9}), 0.2, r"at least two classes in /data, found none; add"),
        (dataset(train={"x": 2, "y": 9}), 0.2, r"a validation share of 0\.2 leaves too few of x \(2\); add images"),
        (dataset(train={"x": 2, "y": 9}), 0.8, r"a validation share of 0\.8 leaves too few of x \(2\); add images"),
        (dataset(train={"x": 9, "y": 9}, test={"z": 1}), 0.2, r"Expected in split test .*, found z; add"),
        (dataset(train={"x": 9, "y": 9}, val={"z": 1}), 0.2, r"Expected in split val .*, found z; add"),
    ],
)
def test_data_that_cannot_be_fitted(data: Dataset, validation: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_for_fit(data, validation)


@pytest.mark.parametrize("validation", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none(validation: float) -> None:
    with pytest.raises(UsageError, match="validation share of at least 0 and below 1"):
        check_for_fit(dataset(train={"x": 9, "y": 9}), validation)


def test_images_of_a_group_or_with_equal_bytes_have_one_id() -> None:
    digests = ["d", "b", "c", "b", "a", "e"]
    groups = ["p1", "p1", "p2", None, "p2", None]
    assert group_ids(digests, groups) == ["b", "b", "a", "b", "a", "e"]
    # Equal bytes join two groups.
    assert group_ids(["a", "b", "b", "c"], ["p1", "p1", "p2", "p2"]) == ["a"] * 4
    assert group_ids(["b", "a"], [None, None]) == ["b", "a"]
