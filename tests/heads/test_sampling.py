from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featx.data import held_out_mask
from featx.errors import DataError
from featx.features import SpacePair
from featx.heads.sampling import TrainingBatches
from featx.store import Store

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


def sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


# --- the batches of an epoch ---


def batches(n: int = 23, views: int = 4, batch_size: int = 5, seed: int = 0) -> TrainingBatches:
    """Rows that tell their image and view: (image, view)."""
    rows = np.array([(image, view) for image in range(n) for view in range(views)], np.float32)
    return TrainingBatches(rows, np.arange(n) % 3, views, batch_size, seed)


def drawn(epoch: Sequence[Batch]) -> list[tuple[int, int]]:
    """(image, view) in the order of the epoch."""
    return [(int(image), int(view)) for rows, _ in epoch for image, view in rows]


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(1, [1] * 23), (5, [5, 5, 5, 5, 3]), (23, [23]), (100, [23]), (22, [22, 1])]
)
def test_every_image_once_an_epoch(batch_size: int, sizes: list[int]) -> None:
    one = batches(batch_size=batch_size)
    epoch = list(one.epoch(0))
    assert [len(rows) for rows, _ in epoch] == [len(labels) for _, labels in epoch] == sizes
    assert one.steps == len(sizes)
    assert sorted(image for image, _ in drawn(epoch)) == list(range(23))
    # A label belongs to its own image.
    assert all(np.array_equal(labels, rows[:, 0].astype(int) % 3) for rows, labels in epoch)


def test_each_epoch_has_another_order_and_other_views() -> None:
    one = batches()
    epochs = [drawn(list(one.epoch(number))) for number in range(10)]
    assert len({tuple(image for image, _ in epoch) for epoch in epochs}) == 10
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 10


def test_an_epoch_depends_on_the_seed_and_its_number_alone() -> None:
    one = batches()
    backwards = [drawn(list(one.epoch(number))) for number in (3, 1)]
    assert backwards == [drawn(list(batches().epoch(number))) for number in (3, 1)]
    assert drawn(list(batches(seed=1).epoch(3))) != backwards[0]
    # Batch size cuts the same order elsewhere.
    assert drawn(list(batches(batch_size=7).epoch(3))) == backwards[0]


def test_all_views_are_drawn_equally_often() -> None:
    one = batches(n=50)
    counts = Counter(view for number in range(100) for _, view in drawn(list(one.epoch(number))))
    assert sorted(counts) == [0, 1, 2, 3]
    # 5000 draws of probability 1/4: five standard deviations are 153.
    assert all(abs(count - 1250) < 153 for count in counts.values())


def test_one_view_is_the_image_itself() -> None:
    assert {view for _, view in drawn(list(batches(views=1).epoch(0)))} == {0}


def test_batches_come_from_the_store_as_from_an_array(tmp_path: Path) -> None:
    """View 0 and the further views lie in two spaces; their rows come out as if they lay together."""
    digests = [sha(image) for image in range(11)]
    store = Store(tmp_path)
    spaces = SpacePair(store.space({"views": None}), store.space({"views": "turned"}))
    views = 3
    matrix = np.random.default_rng(0).normal(size=(len(digests) * views, 4)).astype(np.float32)
    for view in range(views):
        with spaces.of_view(view).writer() as writer:
            writer.add([(digest, view) for digest in digests], matrix[view::views])
    labels = np.arange(11) % 2
    stored = TrainingBatches(spaces.rows(digests, views), labels, views, 4, 0)
    array = TrainingBatches(matrix, labels, views, 4, 0)
    for (a, b), (c, d) in zip(stored.epoch(2), array.epoch(2), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    chunks = list(spaces.rows(digests, views).chunks(7))
    assert [len(chunk) for chunk in chunks] == [7, 7, 7, 7, 5]
    np.testing.assert_array_equal(np.concatenate(chunks), matrix)


# --- the split ---


def mask_of(
    labels: Sequence[str],
    digests: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
    share: float = 0.2,
    seed: int = 0,
) -> NDArray[np.bool_]:
    n = len(labels)
    return held_out_mask(
        labels,
        digests or [sha(i) for i in range(n)],
        groups or [None] * n,
        share,
        seed,
        purpose="validation",
        advice="choose another --validation",
    )


def held_by_class(labels: Sequence[str], mask: NDArray[np.bool_]) -> dict[str, int]:
    return dict(Counter(label for label, held in zip(labels, mask, strict=True) if held))


REPORT = ["covid"] * 60 + ["normal"] * 70 + ["bacterial"] * 70 + ["viral"] * 70


@pytest.mark.parametrize(
    ("labels", "share", "held"),
    [
        (REPORT, 0.2, {"covid": 12, "normal": 14, "bacterial": 14, "viral": 14}),
        (["a"] * 13 + ["b"] * 12, 0.2, {"a": 3, "b": 2}),
        (["a"] * 9 + ["b"] * 4, 0.5, {"a": 4, "b": 2}),
        (["a"] * 10 + ["b"] * 100, 0.9, {"a": 9, "b": 90}),
    ],
)
def test_each_class_gives_its_share(labels: list[str], share: float, held: dict[str, int]) -> None:
    assert held_by_class(labels, mask_of(labels, share=share)) == held
    assert held == {name: round(share * count) for name, count in Counter(labels).items()}


def test_a_share_of_nothing_holds_out_nothing() -> None:
    assert not mask_of(REPORT, share=0).any()
    # Then a class with one image, and groups that cannot be divided, are no problem.
    assert not mask_of(["a", "b"], groups=["p", "p"], share=0).any()


def test_the_seed_decides() -> None:
    assert np.array_equal(mask_of(REPORT, seed=3), mask_of(REPORT, seed=3))
    assert len({mask_of(REPORT, seed=seed).tobytes() for seed in range(8)}) == 8


def test_any_image_may_be_held_out() -> None:
    chosen = sum(mask_of(REPORT, seed=seed).astype(int) for seed in range(100))
    assert np.all((chosen > 0) & (chosen < 50))


@pytest.mark.parametrize("grouped", [False, True])
def test_the_files_order_does_not_decide(grouped: bool) -> None:
    digests = [sha(i) for i in range(len(REPORT))]
    groups = [f"patient {i % 90}" if grouped and i % 7 else None for i in range(len(REPORT))]
    mask = mask_of(REPORT, digests, groups)
    held = {digest for digest, chosen in zip(digests, mask, strict=True) if chosen}
    assert len(held) > 20
    order = np.random.default_rng(0).permutation(len(REPORT))
    shuffled = mask_of([REPORT[i] for i in order], [digests[i] for i in order], [groups[i] for i in order])
    np.testing.assert_array_equal(shuffled, mask[order])


def test_whole_groups_are_held_out_and_the_share_is_near() -> None:
    """Two images a patient, each patient of one class: the share can be met exactly, and is."""
    labels = ["a"] * 40 + ["b"] * 60
    groups = [f"p{i // 2}" for i in range(100)]
    mask = mask_of(labels, groups=groups)
    assert np.array_equal(mask[::2], mask[1::2])
    assert held_by_class(labels, mask) == {"a": 8, "b": 12}


def test_a_group_that_is_too_large_stays_with_the_training_images() -> None:
    groups = ["large"] * 30 + [f"p{i}" for i in range(20)] + [None] * 50
    mask = mask_of(["a"] * 50 + ["b"] * 50, groups=groups)
    assert not mask[:30].any()
    assert mask[:50].sum() == mask[50:].sum() == 10


def test_copies_stay_together_whatever_their_groups_say() -> None:
    digests = [sha(i // 2) for i in range(100)]
    groups = [f"p{i}" for i in range(100)]
    mask = mask_of(["a"] * 50 + ["b"] * 50, digests, groups)
    assert np.array_equal(mask[::2], mask[1::2])
    assert mask.any()


def test_images_that_are_linked_through_others_stay_together() -> None:
    """Patient p's first image is a copy of one of q's, whose other image is a copy of one of r's."""
    linked = [("p", "1"), ("p", "2"), ("q", "2"), ("q", "3"), ("r", "3"), ("r", "4"), (None, "4"), ("s", "1")]
    rest = [(None, f"alone {i}") for i in range(60)]
    groups, names = zip(*(linked + rest), strict=True)
    labels = ["a", "b"] * 34
    sides = {
        tuple(mask_of(labels, [sha(name) for name in names], groups, 0.5, seed)[: len(linked)]) for seed in range(20)
    }
    assert sides == {(True,) * 8, (False,) * 8}


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        (
            ["a"] * 10 + ["b"] * 10,
            ["p"] * 10 + [None] * 10,
            "images of a both .* its 10 images cannot be divided without dividing a group; choose another --validat",
        ),
        (["a", "b"] * 10, ["p"] * 20, "images of a both .* dividing a group; choose another --validation"),
        (["a"] * 10 + ["b"], None, "images of b both .* there is only one; add images of it, or leave this class"),
        (["a"] * 10 + ["b"] * 2, None, "images of b both .* a share of 0.2 of its 2 images is none of them; choose"),
    ],
)
def test_a_class_that_cannot_be_divided(labels: list[str], groups: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        mask_of(labels, groups=groups)


images = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.sampled_from([None, *"pqrstuvw"])),
    min_size=1,
    max_size=80,
)


@settings(deadline=None)
@given(images, st.floats(0, 0.95), st.integers(0, 5))
def test_the_split_of_any_images(some: list[tuple[str, int, str | None]], share: float, seed: int) -> None:
    """Divided or refused; when divided, no copy and no group on both sides, and no class without either."""
    labels, content, groups = zip(*some, strict=True)
    digests = [sha(name) for name in content]
    try:
        mask = held_out_mask(labels, digests, groups, share, seed, purpose="validation", advice="choose another")
    except DataError:
        return
    if share == 0:
        assert not mask.any()
        return
    for column in (digests, list(groups)):
        for name in set(column) - {None}:
            sides = {bool(held) for held, other in zip(mask, column, strict=True) if other == name}
            assert len(sides) == 1
    wanted = 0.0
    missed = 0.0
    for label, count in Counter(labels).items():
        held = held_by_class(labels, mask).get(label, 0)
        assert 0 < held < count
        wanted += round(share * count)
        missed += abs(held - round(share * count))
    # Every group that was held out brought the counts nearer.
    assert missed < wanted


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=80), st.floats(0.01, 0.95), st.integers(0, 5))
def test_without_groups_the_shares_are_exact(labels: list[str], share: float, seed: int) -> None:
    counts = Counter(labels)
    possible = all(1 <= round(share * count) < count for count in counts.values())
    if possible:
        expected = {name: round(share * count) for name, count in counts.items()}
        assert held_by_class(labels, mask_of(labels, share=share, seed=seed)) == expected
    else:
        with pytest.raises(DataError):
            mask_of(labels, share=share, seed=seed)
