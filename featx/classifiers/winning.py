"""The classifier of a comparison that is kept: fitted on the whole training part, as one pipeline or as a folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.comparison import Comparison
from featx.classifiers.models import CLASSIFIERS, Classifier
from featx.classifiers.nested_cv import inner_folds
from featx.classifiers.pipelines import fit_pipeline
from featx.classifiers.saved import save_classifier
from featx.errors import UsageError

log = logging.getLogger("featx")


def fit_winner(comparison: Comparison, name: str | None = None) -> Any:
    """Return a compared classifier as a scikit-learn Pipeline, fitted on the whole training part.

    It takes (n, d) features as they are and predicts class names. Its probabilities for the test images are those of
    the comparison, up to rounding.

    Args:
        comparison: The comparison, with the training images and the parameters that were chosen on them.
        name: The name of a row; the best one if not given.

    Raises:
        UsageError: There is no such row, or it is the head or the grey pixels, which do not take these features. Or
            the images have several labels.
    """
    _refuse_several_labels(comparison.multilabel)
    wanted = comparison.best if name is None else name
    possible = [row.name for row in comparison.rows if row.name in CLASSIFIERS and not CLASSIFIERS[row.name].pixels]
    if wanted not in possible:
        raise UsageError(f"Expected a classifier of features out of {', '.join(possible)}, received {wanted!r}.")
    from threadpoolctl import threadpool_limits

    train, seed = comparison.train, comparison.seed
    # In the comparison, too, the whole training part follows the folds of all repeats.
    inner = inner_folds(comparison.y_train, train.group_ids(), [seed, comparison.folds * comparison.repeats])
    labels = np.array(comparison.classes)[comparison.y_train]
    parameters = comparison.row(wanted).parameters
    with threadpool_limits(1):
        return fit_pipeline(CLASSIFIERS[wanted], train.table.X, labels, parameters, inner, seed)


def save_best(comparison: Comparison, out: str | Path) -> Path:
    """Fit the best classifier on the whole training part and save it in a folder that `predict` takes.

    A baseline does not take the features, and the head is in its run: where one of them is best, the best of the
    other classifiers is saved, with a notice.

    Args:
        comparison: A comparison of a run or of data.
        out: A folder: absent, empty, or an earlier saved classifier, which is replaced. It is returned.

    Raises:
        RunError: The folder holds other files.
        UsageError: Only baselines were compared, or the images have several labels.
        StoreError: The folder cannot be written.
    """
    classifiers = [row for row in comparison.rows if row.kind == "classifier"]
    check_savable(comparison.multilabel, [CLASSIFIERS[row.name] for row in classifiers])
    row = max(classifiers, key=lambda each: each.cv_accuracy)
    if row.name != comparison.best:
        log.warning("The best row, %s, is not a classifier of features; %s is saved.", comparison.best, row.name)
    scores = next(line for line in comparison.to_json()["rows"] if line["classifier"] == row.name)
    return save_classifier(
        out,
        fit_winner(comparison, row.name),
        comparison.train,
        name=row.name,
        parameters=row.parameters,
        seed=comparison.seed,
        scores={part: scores[part] for part in ("cv", "test")},
    )


def check_savable(multilabel: bool, classifiers: Sequence[Classifier]) -> None:
    """Check that the best of these classifiers can be saved, which is known before they are compared.

    Raises:
        UsageError: All are baselines, or images have several labels.
    """
    _refuse_several_labels(multilabel)
    if all(each.baseline for each in classifiers):
        raise UsageError(
            "Expected a classifier of features to save, but only baselines are compared; name one with --classifiers."
        )


def _refuse_several_labels(multilabel: bool) -> None:
    if multilabel:
        raise UsageError(
            "Expected images with one label each to save a classifier, received images with several, for which there "
            "is a classifier for each label; compare without --save-best, or train a head with featx fit-head."
        )
