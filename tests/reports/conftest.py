"""Two small runs of the same data, and a page about one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from html_page import Node, read_page
from pipeline_data import small_data, small_recipe

from featx.reports.reporting import report
from featx.runs import FitResult, fit_head


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="session")
def cache(root: Path) -> Path:
    return root / "cache"


@pytest.fixture(scope="session")
def fitted(root: Path, cache: Path, tiny_model: Path) -> FitResult:
    small_data(root / "data", train=6, test=3)
    return fit_head(root / "data", small_recipe(tiny_model), out=root / "run", cache=cache)


@pytest.fixture(scope="session")
def brief(root: Path, cache: Path, fitted: FitResult, tiny_model: Path) -> FitResult:
    """The same data, trained on for one epoch only."""
    recipe = small_recipe(tiny_model, {"fit.epochs": 1, "name": "brief"})
    return fit_head(root / "data", recipe, out=root / "brief", cache=cache)


@pytest.fixture(scope="session")
def page(root: Path, cache: Path, fitted: FitResult) -> Node:
    written = report(fitted.run, out=root / "page.html", without=["comparison"], cache=cache)
    assert written.left_out == {}
    return read_page(written.file)
