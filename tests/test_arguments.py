from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

import featx
from featx.arguments import checks_arguments
from featx.errors import FeatxError, UsageError
from featx.recipes import Recipe

Mode = Literal["fail", "skip"]


@checks_arguments
def work(
    data: str | Path,
    recipe: Recipe | str | Path = "small",
    *,
    out: str | Path | None = None,
    on_error: Mode = "fail",
    weights: Mapping[str, str | None] | None = None,
    names: Sequence[str] = (),
    share: float = 0.5,
    jobs: int | None = None,
    seed: int = 0,
    yes: bool = False,
) -> str:
    """Show what was passed."""
    return str(data)


@pytest.mark.parametrize(
    "given",
    [
        {"out": Path("x")},
        {"out": None, "jobs": np.int64(3), "share": np.float32(0.1), "seed": 2**32 - 1},
        {"on_error": "skip", "weights": {"vgg16": "random"}, "share": 1, "yes": True},
        {"names": "one"},  # sequences are the function's own matter
    ],
)
def test_arguments_of_the_right_types_are_passed_on(given: dict[str, Any]) -> None:
    assert work("data", Path("r.toml"), **given) == "data"
    assert work(Path("data"), featx.load_recipe("covid4-vgg16"), **given) == "data"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"data": None}, "Expected a text or a path for data, received None"),
        ({"data": b"x"}, "type bytes"),
        ({"data": ["a", "b"]}, "type list"),
        ({"data": pd.DataFrame({"path": ["x.png"]})}, "type DataFrame"),
        ({"data": np.zeros(3)}, "type ndarray"),
        ({"data": ""}, "received ''"),
        (
            {"recipe": {"name": "x"}},
            "Expected a Recipe or a text or a path for recipe, received a value of",
        ),
        ({"out": 3}, "Expected a text or a path or None for out"),
        ({"on_error": "ignore"}, "Expected fail, skip for on_error, received 'ignore'"),
        ({"weights": "random"}, "Expected a dictionary or None for weights"),
        ({"share": "0.5"}, "Expected a number for share"),
        ({"jobs": 1.5}, "Expected a whole number or None for jobs"),
        ({"seed": None}, "Expected a whole number for seed"),
        ({"seed": -1}, "Expected a seed from 0 to 4294967295, received -1"),
        ({"yes": "no"}, "Expected True or False for yes"),
    ],
)
def test_other_types_are_refused_in_one_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        work(**{"data": "data", **arguments})
    assert said in str(caught.value)
    assert str(caught.value).count("; ") == 1


def test_python_itself_refuses_unknown_names() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        work("data", colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize("verb", ["predict", "reproduce", "demo", "report", "export"])
def test_verbs_of_runs_check_the_path_that_they_are_given(verb: str) -> None:
    with pytest.raises(UsageError, match=r"^Expected .*paths? .*received .*DataFrame"):
        getattr(featx, verb)(pd.DataFrame())


VERBS_OF_DATA: dict[str, dict[str, Any]] = {
    "extract": {},
    "fit_head": {"out": "run"},
    "visualize": {"out": "maps"},
    "clusters": {},
    "compare": {},
    "sweep": {"out": "sweep", "grid": {"fit.epochs": [1, 2]}},
}


@pytest.mark.parametrize("verb", VERBS_OF_DATA)
@pytest.mark.parametrize("data", [None, "", 3.5, [], pd.DataFrame(), {"path": ["a.png"]}, [b"a"]])
def test_verbs_of_data_refuse_what_holds_no_images(
    verb: str, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FeatxError, match=r"^Expected .*(received|found)"):
        getattr(featx, verb)(data, **VERBS_OF_DATA[verb])
    assert list(tmp_path.iterdir()) == []


def test_the_fields_of_a_choice_are_parameters_of_the_verb() -> None:
    parameters = inspect.signature(featx.compare).parameters
    assert {"recipe", "backbone", "pooling", "preprocess", "size", "weights", "label_column", "test"} <= set(
        parameters
    )
    assert parameters["pooling"].kind is inspect.Parameter.KEYWORD_ONLY
    with pytest.raises(UsageError, match="Expected none, avg, max or None for pooling, received 'mean'"):
        featx.compare("data", pooling="mean")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Expected a number or None for test, received 'a fifth'"):
        featx.extract("data", test="a fifth")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'bakbone'; did you mean 'backbone'"):
        featx.extract("data", bakbone="vgg16")  # type: ignore[call-arg]
