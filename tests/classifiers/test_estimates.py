"""How many folds are worked on at once, and comparisons that no memory holds."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from featx import limits
from featx.classifiers import estimates
from featx.classifiers.estimates import affordable_jobs, check_repeats, fold_bytes
from featx.errors import ResourcesError


def test_fewer_folds_at_once_where_memory_holds_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {False: np.zeros((2000, 10_000), np.float32)}
    one = fold_bytes(rows)
    assert 0.3e9 < one < 0.6e9
    for available, expected in ((100 * one, 8), (3.5 * one, 3), (1.1 * one, 1)):
        caplog.clear()
        for module in (limits, estimates):
            monkeypatch.setattr(module, "available_memory", lambda available=available: int(available))
        with caplog.at_level(logging.INFO, "featx"):
            assert affordable_jobs(rows, 8, 11) == expected
        less = f"{expected} folds at a time instead of 8, because free memory allows no more."
        assert caplog.messages == ([] if expected == 8 else [less])
    assert affordable_jobs(rows, 1, 11) == 1
    monkeypatch.setattr(limits, "available_memory", lambda: one - 1)
    with pytest.raises(ResourcesError, match="a fold of 2,000 images with 10,000 features takes about"):
        affordable_jobs(rows, 1, 11)


def test_repeats_that_no_memory_holds_are_refused() -> None:
    check_repeats(100, 5, 1000)
    with pytest.raises(ResourcesError, match="1,000,000,000 repeats of 5 folds of 100 images"):
        check_repeats(100, 5, 10**9)
