"""Sentences of errors, in the words of the command line and in those of Python."""

from __future__ import annotations

import logging
import re
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
        (
            "run featx backbones import hf:a/b --out DIR once, and then use --backbone DIR.",
            "run featx backbones import hf:a/b --out DIR once, and then use backbone=DIR.",
        ),
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


@pytest.mark.parametrize(
    "fields",
    [
        {"preprocess.mean": (1.0, 2.0, 3.0)},
        {"head.penultimate": "nothing"},
        {"fit.weight_decay": 1e9},
        {"images.fit": "crop", "images.size": 4},
        {"head.layers.0.type": "conv"},
        {"fit.epochs": 0},
    ],
)
def test_what_pydantic_says_is_the_rest_of_a_sentence(fields: dict[str, object]) -> None:
    with pytest.raises(FeatxError) as caught:
        featx.load_recipe("covid4-vgg16", fields)
    assert "error" not in str(caught.value).lower()
    assert re.match(r"Recipe covid4-vgg16: [a-z]+[^ ]*: [a-z]", str(caught.value))


def test_one_place_takes_pydantic_s_kind_of_error_away() -> None:
    sources = Path(featx.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "Value error" in path.read_text("utf-8")] == ["errors.py"]


def test_notices_name_options_on_the_command_line_alone(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("featx")
    log.warning("use --group-column %s, 100 %% of them", "none")
    with naming_options():
        log.warning("use --group-column %s, 100 %% of them", "none")
    assert caplog.messages == ['use group_column="none", 100 % of them', "use --group-column none, 100 % of them"]
