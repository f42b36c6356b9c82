from __future__ import annotations

import hashlib
from typing import Any

import pytest

from featx.digests import canonical_json, digest_of

VALUE: dict[str, Any] = {
    "size": 224,
    "mean": [0.1, 1e-7, 1.0, 1 / 3],
    "cut": None,
    "flip": True,
    "name": "Lunge – été",
    "inner": {"b": [], "a": {}},
}
# Cached rows are found by this text: a change of it loses everybody's cache.
GOLDEN = (
    '{"cut":null,"flip":true,"inner":{"a":{},"b":[]},"mean":[0.1,1e-07,1.0,0.3333333333333333],'
    '"name":"Lunge – été","size":224}'
)
GOLDEN_DIGEST = "a41f91c6cc931b3a0d5570bdbe447313795749cf2c0c416c28f093057c92b1a3"


def test_the_text_and_its_digest_do_not_move() -> None:
    assert canonical_json(VALUE) == GOLDEN
    assert digest_of(VALUE) == GOLDEN_DIGEST
    assert digest_of(VALUE) == hashlib.sha256(GOLDEN.encode("utf-8")).hexdigest()


def test_the_order_in_which_a_value_was_built_does_not_matter() -> None:
    turned = {key: VALUE[key] for key in reversed(VALUE)}
    assert list(turned) != list(VALUE)
    assert digest_of(turned) == digest_of(VALUE)


def test_tuples_and_lists_are_one_array() -> None:
    assert canonical_json((1, (2.5,))) == canonical_json([1, [2.5]]) == "[1,[2.5]]"


@pytest.mark.parametrize(
    "change",
    [{"size": 225}, {"size": 224.0}, {"flip": 1}, {"cut": ""}, {"mean": [1e-7, 0.1, 1.0, 1 / 3]}, {"more": None}],
)
def test_every_change_of_a_value_changes_the_digest(change: dict[str, Any]) -> None:
    assert digest_of({**VALUE, **change}) != digest_of(VALUE)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"mean": [number]})


@pytest.mark.parametrize("value", [{"path": object()}, {"set": {1}}, b"bytes"])
def test_values_that_json_does_not_know_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="JSON"):
        canonical_json(value)
