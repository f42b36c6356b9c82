from __future__ import annotations

import logging

import numpy as np
import pytest
from altered_copies import ALTERATIONS, picture
from numpy.typing import NDArray
from PIL import Image

from featx.duplicates import SAME_BYTES, Copies, copies, find_copies, projected
from featx.previews import SIDE, Previews

N = 24


def previews_of_images(images: list[Image.Image]) -> Previews:
    small = [np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)) for image in images]
    return Previews(np.stack(small), {}, ("",) * len(images), np.ones(len(images), bool))


def search(
    images: list[Image.Image],
    *,
    digests: list[str] | None = None,
    near: dict[int, int] | None = None,
    between: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Copies:
    """Rows are far from one another, but for those of copies, which are near the rows of their originals."""
    X = np.random.default_rng(0).normal(size=(len(images), 40)).astype(np.float32) + 1
    for copy, original in (near or {}).items():
        X[copy] = X[original] + 0.02 * X[copy]
    previews = previews_of_images(images)
    names = digests or [f"{number:064x}" for number in range(len(images))]
    return find_copies(projected([X], X.shape[1]), names, previews.take, between=between)


def found(result: Copies) -> set[tuple[int, int]]:
    return {(pair.a, pair.b) for pair in result.pairs}


@pytest.mark.parametrize("name", list(ALTERATIONS))
def test_an_altered_copy_is_found_and_nothing_else(name: str) -> None:
    images = [picture(seed) for seed in range(N)]
    altered = ALTERATIONS[name](images[7])
    result = search([*images, altered], near={N: 7})
    assert found(result) == {(7, N)}
    (pair,) = result.pairs
    assert pair.cosine > 0.99
    assert abs(pair.correlation) > 0.95
    assert (pair.correlation < 0) == (name == "a negative")
    assert pair.how == {"all at once": "mirrored"}.get(name, name if name in HOWS else "")
    assert result.groups.nonzero()[0].tolist() == [7, N]


HOWS = ("mirrored", "upside down", "turned by 90°")


@pytest.mark.parametrize("name", ["saved again", "mirrored", "turned by 90°"])
def test_copies_whose_features_are_far_away_are_found_among_the_previews(name: str) -> None:
    images = [picture(seed) for seed in range(N)]
    assert found(search([*images, ALTERATIONS[name](images[7])])) == {(7, N)}


def test_images_of_one_grey_level_are_no_copies() -> None:
    blank = [Image.new("RGB", (64, 64), (level,) * 3) for level in (0, 100, 255)]
    assert search([*blank, *(picture(seed) for seed in range(5))], near={1: 0, 2: 0}).pairs == ()


def test_images_that_only_share_a_layout_are_no_copies() -> None:
    frame = np.zeros((160, 160, 3), np.uint8)
    frame[40:120, 30:130] = 160
    own = [np.asarray(picture(seed)).astype(int) - 128 for seed in range(12)]
    images = [Image.fromarray((frame + 0.3 * noise).clip(0, 255).astype(np.uint8)) for noise in own]
    assert search(images, near=dict.fromkeys(range(1, 12), 0)).pairs == ()


def test_the_same_bytes_are_copies_and_chains_are_one_group() -> None:
    images = [picture(seed) for seed in range(N)]
    copy = ALTERATIONS["mirrored"](images[3])
    digests = [f"{number:064x}" for number in range(N + 2)]
    digests[N + 1] = digests[3]
    result = search([*images, copy, images[3]], digests=digests, near={N: 3, N + 1: 3})
    assert found(result) == {(3, N), (3, N + 1)}
    assert next(pair.how for pair in result.pairs if pair.b == N + 1) == SAME_BYTES
    assert result.members() == [[3, N, N + 1]]


def test_between_two_sets_only_pairs_of_both_are_found() -> None:
    images = [picture(seed) for seed in range(N)]
    everything = [*images, ALTERATIONS["brighter"](images[3]), ALTERATIONS["brighter"](images[4])]
    between = (np.array([4, N]), np.array([k for k in range(N) if k != 4]))
    assert found(search(everything, near={N: 3, N + 1: 4}, between=between)) == {(3, N)}


def test_between_two_sets_the_same_bytes_are_one_pair() -> None:
    images = [picture(seed) for seed in range(N)]
    digests = [f"{number:064x}" for number in range(N + 2)]
    digests[N] = digests[N + 1] = digests[3]
    one, other = np.array([N, N + 1]), np.arange(N)
    everything = [*images, images[3], images[3]]
    result = search(everything, digests=digests, near={N: 3, N + 1: 3}, between=(one, other))
    assert [(pair.a, pair.b, pair.how) for pair in result.pairs] == [(3, N, SAME_BYTES), (3, N + 1, SAME_BYTES)]
    again = search(everything, digests=digests, near={N: 3, N + 1: 3}, between=(other, one))
    assert [(pair.a, pair.b, pair.how) for pair in again.pairs] == [(3, N, SAME_BYTES)]


def test_new_copies_that_are_most_like_each_other_are_found_among_the_old() -> None:
    images = [picture(seed) for seed in range(N)]
    again = ALTERATIONS["saved again"](images[3])
    everything = [*images, again, again.copy()]
    between = (np.array([N, N + 1]), np.arange(N))
    # Their features are far from the original's, so that only previews show it.
    assert found(search(everything, near={N + 1: N}, between=between)) == {(3, N), (3, N + 1)}


def test_the_order_of_images_changes_nothing() -> None:
    images = [picture(seed) for seed in range(N)]
    everything = [*images, *(ALTERATIONS["cropped"](images[k]) for k in (2, 5))]
    near = {N: 2, N + 1: 5}
    X = np.random.default_rng(0).normal(size=(len(everything), 40)).astype(np.float32) + 1
    for copy, original in near.items():
        X[copy] = X[original] + 0.02 * X[copy]
    order = np.random.default_rng(1).permutation(len(everything))
    plain = find_copies(projected([X], 40), [f"{k:064x}" for k in range(len(X))], previews_of_images(everything).take)
    mixed = find_copies(
        projected([X[order]], 40),
        [f"{k:064x}" for k in order],
        previews_of_images([everything[k] for k in order]).take,
    )
    assert found(plain) == {(2, N), (5, N + 1)}
    assert {tuple(sorted(order[[pair.a, pair.b]].tolist())) for pair in mixed.pairs} == found(plain)


def test_images_without_previews_are_counted() -> None:
    images = [picture(seed) for seed in range(6)]
    previews = previews_of_images(images)
    previews.there[2] = False
    X = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    result = find_copies(projected([X], 40), [f"{k:064x}" for k in range(6)], previews.take)
    assert result.unseen == 1


def test_too_many_images_are_not_searched(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(copies, "MOST_ROWS", 5)
    with caplog.at_level(logging.INFO, "featx"):
        result = search([picture(seed) for seed in range(6)])
    assert not result.searched
    assert "more than the limit of 5" in caplog.text


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_images(n: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, 40)).astype(np.float32)
    previews = (
        previews_of_images([picture(seed) for seed in range(n)])
        if n
        else Previews(np.zeros((0, SIDE, SIDE, 3), np.uint8), {}, (), np.zeros(0, bool))
    )
    assert find_copies(projected([X], 40), [f"{k:064x}" for k in range(n)], previews.take).pairs == ()


def test_a_projection_keeps_small_distances() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6000)).astype(np.float32) + 1
    near = X + 0.05 * rng.normal(size=X.shape).astype(np.float32)
    rows = projected([X, near], 6000)
    assert rows.shape == (80, 256)
    true = 1 - (X * near).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(near, axis=1)
    kept = 1 - (rows[:40] * rows[40:]).sum(1)
    assert np.abs(kept / true - 1).max() < 0.4
