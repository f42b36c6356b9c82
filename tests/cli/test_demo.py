"""What `featx demo` hands on; the demo itself is tested beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import Featx

from featx import phantoms
from featx.errors import FeatxError


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Each call of the demo, which stops before it starts."""
    calls: list[dict[str, Any]] = []

    def stopped(out: Path, **arguments: Any) -> None:
        calls.append({"out": out, **arguments})
        raise FeatxError("stopped here")

    monkeypatch.setattr(phantoms, "demo", stopped)
    return calls


def test_without_options_it_is_the_network_that_comes_with_featx(featx: Featx, called: list[dict[str, Any]]) -> None:
    assert featx("demo").code == 1
    (call,) = called
    assert call["recipe"].name == phantoms.RECIPE == "covid4-efficientnetlite0"
    assert call["recipe"].backbone.name == "efficientnetlite0"
    assert (call["out"], call["weights"], call["epochs"], call["seed"]) == (Path("featx-demo"), None, 12, 0)


def test_another_recipe_brings_its_own_network(featx: Featx, called: list[dict[str, Any]]) -> None:
    featx("demo", "--recipe", "covid4-vgg16", "--weights", "vgg16=own.h5", "--epochs", 3, "--seed", 5)
    (call,) = called
    assert call["recipe"].backbone.name == "vgg16"
    assert (call["weights"], call["epochs"], call["seed"]) == ("own.h5", 3, 5)


def test_an_unknown_recipe_is_refused_before_any_image_is_drawn(featx: Featx, called: list[dict[str, Any]]) -> None:
    outcome = featx("demo", "--recipe", "covid9")
    assert outcome.code in (1, 2)
    assert "covid9" in outcome.err
    assert called == []
