from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest

from featx.data import Item
from featx.errors import UntrustedError
from featx.features import Image
from featx.heads.fit import refuse_leaks


def image(name: str, split: str, digest: str, group: str | None = None) -> Image:
    return Image(Item(f"{split}/{name}.png", Path(f"/data/{split}/{name}.png"), "x", split, group), digest)


def sentence(images: Sequence[Image]) -> str:
    with pytest.raises(UntrustedError) as caught:
        refuse_leaks(images)
    assert caught.value.exit_code == 4
    return str(caught.value)


CLEAN = [
    image("a", "train", "1"),
    image("b", "train", "2", "p"),
    image("c", "train", "3", "p"),
    image("d", "test", "4", "q"),
    image("e", "val", "5"),
]


def test_images_and_groups_in_one_split_each() -> None:
    refuse_leaks(CLEAN)
    refuse_leaks([])


def test_copies_within_a_split_are_no_leak() -> None:
    refuse_leaks([*CLEAN, image("copy", "train", "1"), image("copy", "test", "4", "q")])


def test_images_without_a_group_have_none_in_common() -> None:
    refuse_leaks([image("a", "train", "1", None), image("b", "test", "2", None)])


@pytest.mark.parametrize(("one", "two"), list(permutations(["train", "val", "test"], 2)))
def test_a_copy_in_another_split(one: str, two: str) -> None:
    message = sentence([*CLEAN, image("x", one, "9"), image("y", two, "9")])
    assert message.startswith("Expected every image in one split only, but 1 is in two: the same image is ")
    assert f"{one}/x.png in {one} and {two}/y.png in {two};" in message
    assert "cannot be trusted, so keep each image in one split, or have the images" in message


def test_a_group_in_another_split() -> None:
    message = sentence([*CLEAN, image("f", "test", "6", "p")])
    assert message.startswith("Expected every group in one split only, but 1 of 2 groups (3 of 6 images) is ")
    assert "is in train and in test: group 'p' is " in message
    assert "(--keep-group-in train)" in message
    assert "train/b.png in train and test/f.png in test;" in message


def test_leaks_are_counted_each_once_and_the_first_is_named() -> None:
    copies = [image(name, split, name) for name in "vwxyz" for split in ("train", "train", "test", "val")]
    message = sentence([*CLEAN, *copies])
    assert "but 5 are in two: the same image is train/v.png in train and test/v.png in test" in message


def test_a_copy_behind_others_of_its_split_is_found() -> None:
    message = sentence([image("a", "train", "1"), image("b", "train", "1"), image("c", "test", "1")])
    assert "but 1 is in two" in message
