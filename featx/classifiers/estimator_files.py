"""Fitted scikit-learn classifiers in files that are read without running any code from them."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.tree_bounds import check_trees
from featx.errors import RunError, UntrustedError, reason_of

# Types of scikit-learn's classifiers that skops does not trust. It leaves trees out because their node numbers are
# not checked when they are used; `check_trees` checks them.
TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

# Errors from reading damaged or forged files.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def save_estimator(estimator: Any, path: Path) -> None:
    """Write a classifier in the format of skops; refuse one with types that `load_estimator` would not read."""
    import skops.io

    skops.io.dump(estimator, path)
    _refuse_unknown(path, skops.io.get_untrusted_types(file=path))


def load_estimator(path: Path, width: int, classes: int) -> Any:
    """Read a classifier of rows of `width` features that `save_estimator` wrote.

    Only types of scikit-learn, NumPy and SciPy that are known to be data are created; nothing else is imported.
    """
    import skops.io
    from sklearn.exceptions import InconsistentVersionWarning

    try:
        unknown = skops.io.get_untrusted_types(file=path)
        _refuse_unknown(path, unknown)
        with warnings.catch_warnings():
            # Each part would give one; `SavedClassifier` warns once.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            estimator = skops.io.load(path, trusted=unknown)
        if not _is_classifier(estimator, width, classes):
            raise RunError(
                f"Expected a fitted classifier of {width} features in a row and {classes} classes in {path}, found "
                "something else; save it again."
            )
        check_trees(estimator, str(path))
        _try(estimator, width, classes)
    except _DAMAGE as error:
        raise RunError(
            f"Expected a classifier in {path}, but it does not load ({reason_of(error)}); save it again."
        ) from error
    return estimator


def class_probabilities(estimator: Any, X: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a classifier's probabilities for (n, d) rows: (n, classes), in the order of `classes_`."""
    return np.asarray(estimator.predict_proba(X), np.float64)


def _try(estimator: Any, width: int, classes: int) -> None:
    """Predict one row, so that a classifier that fails does so before there is work to lose."""
    row = class_probabilities(estimator, np.zeros((1, width), np.float32))
    if row.shape != (1, classes) or not abs(row.sum() - 1) < 1e-6:
        raise ValueError(f"it gives {row.shape[1:]} probabilities that add up to {row.sum():.6g}")


def _refuse_unknown(path: Path, types: list[str]) -> None:
    foreign = [name for name in types if name not in TRUSTED]
    if foreign:
        raise UntrustedError(
            f"Expected only scikit-learn's own types in {path}, found {', '.join(foreign)[:200]}; other types "
            "could run code, so it is refused: take one that featx compare --save-best wrote."
        )


def _is_classifier(estimator: Any, width: int, classes: int) -> bool:
    from sklearn.base import BaseEstimator, is_classifier

    known = isinstance(estimator, BaseEstimator) and is_classifier(estimator) and hasattr(estimator, "predict_proba")
    return known and int(estimator.n_features_in_) == width and len(estimator.classes_) == classes
