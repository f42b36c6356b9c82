from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comparison_data import TEST, TRAIN, drawn, split_names, write_run
from pipeline_data import small_data, small_recipe

from featx.classifiers import Comparison, compare
from featx.runs import FitResult, fit_head


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 300 columns, whose head is right on the first 24 of 30 test images."""
    root = tmp_path_factory.mktemp("comparing")
    X, y = drawn(TRAIN + TEST, 300, classes=3, distance=6.0)
    head = np.eye(3)[y]
    head[TRAIN + 24 :] = np.roll(head[TRAIN + 24 :], 1, axis=1)
    return write_run(root, X, y.tolist(), split_names(), head=head)


@pytest.fixture(scope="package")
def compared(place: Path) -> Comparison:
    """All classifiers but the pixels on that run."""
    return compare(place, cache=place.parent / "cache", folds=2, jobs=2)


@pytest.fixture(scope="package")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    """A run of real images through a small network."""
    root = tmp_path_factory.mktemp("comparison")
    small_data(root / "data", train=8, test=3)
    recipe = small_recipe(tiny_model, {"preprocess.mode": "featurewise", "fit.epochs": 2})
    return fit_head(root / "data", recipe, out=root / "run", cache=root / "cache")


@pytest.fixture(scope="package")
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


@pytest.fixture(scope="package")
def comparison(fitted: FitResult) -> Comparison:
    """Some classifiers, the grey pixels among them, on the run of real images."""
    names = ["logreg", "svm-linear", "pixels"]
    return compare(fitted.run, classifiers=names, folds=2, repeats=1, jobs=1, cache=fitted.extraction.store.root)
