from __future__ import annotations

from pathlib import Path

import pytest

from featx.cli.predict import show
from featx.prediction import Prediction, Predictions


@pytest.fixture
def predictions() -> Predictions:
    rows = [Prediction(f"{number}.png", "ab"[number % 3 > 0], {"a": 0.4, "b": 0.6}) for number in range(30)]
    return Predictions(("a", "b"), tuple(rows), ())


def test_all_predictions_are_printed_if_no_file_has_them(
    predictions: Predictions, capsys: pytest.CaptureFixture[str]
) -> None:
    show(predictions)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:3]] == [["0.png", "a", "0.600"], ["1.png", "b", "0.600"]]
    assert len(lines) == 31


def test_with_a_file_the_first_are_printed_and_their_number_by_class(
    predictions: Predictions, capsys: pytest.CaptureFixture[str]
) -> None:
    show(predictions, Path("new.csv"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[20].split()[0] == "19.png"
    assert lines[21:] == ["… and 10 more", "", "30 images: b 20, a 10.", "  new.csv"]
