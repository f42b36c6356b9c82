"""Sentences of errors, in the words of the command line and in those of Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import featx
from featx.errors import DataError, FeatxError, UsageError, in_python, naming_arguments, naming_options


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a.png is empty; use --on-error skip to go on.", 'a.png is empty; use on_error="skip" to go on.'),
        ("lower --batch-size or --size.", "lower batch_size or size."),
        ("or do it all the same with --yes.", "or do it all the same with yes=True."),
        ("pool its map (--pooling avg).", 'pool its map (pooling="avg").'),
        ("give it with --weights FILE, or --weights random.", 'give it with weights=FILE, or weights="random".'),
        ("try fewer values or --seeds", "try fewer values or seeds"),
        (
            "--test 0.2 sets a fifth aside; --patience 10, or --tests.",
            "test=0.2 sets a fifth aside; patience=10, or tests.",
        ),
        ("a file own--weights.h5 and -q are no options", "a file own--weights.h5 and -q are no options"),
        ("use --head linear; lower --repeats or name fewer", 'use head="linear"; lower repeats or name fewer'),
    ],
)
def test_options_become_arguments(sentence: str, expected: str) -> None:
    assert in_python(sentence) == expected


def test_errors_name_options_on_the_command_line_alone() -> None:
    def fail() -> None:
        with naming_arguments():
            raise DataError("use --on-error skip.")

    with pytest.raises(DataError, match=r'^use on_error="skip"\.$'):
        fail()
    with naming_options(), pytest.raises(DataError, match=r"^use --on-error skip\.$"):
        fail()


def test_verbs_and_the_transformer_advise_arguments(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "empty.png").touch()
    with pytest.raises(FeatxError, match=r'is empty.*; use on_error="skip"'):
        featx.extract(tmp_path / "data", cache=tmp_path / "cache")
    extractor = featx.FeatureExtractor(cache=tmp_path / "cache")
    with pytest.raises(FeatxError, match=r'is empty.*; use on_error="skip"'):
        extractor.fit([tmp_path / "data" / "a" / "empty.png"])
    with pytest.raises(UsageError, match="True or a function for progress"):
        featx.extract(np.zeros((1, 8, 8), np.uint8), cache=tmp_path / "cache", progress="yes")  # type: ignore[arg-type]
