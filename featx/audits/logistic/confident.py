"""Confident learning: which labels disagree with out-of-fold probabilities, and how many of them are doubtful.

Source: C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident learning: estimating uncertainty in dataset labels",
Journal of Artificial Intelligence Research 70 (2021), 1373-1411, sections 3 and 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def thresholds(probabilities: Matrix, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (classes,) the mean probability of each class over the images that have it as their label.

    Args:
        probabilities: (n, classes) out-of-fold probabilities.
        y: (n,) class numbers. A class without images gets 1, so that no image counts as one of it.
    """
    classes = probabilities.shape[1]
    there = np.bincount(y, minlength=classes)
    own = probabilities[np.arange(len(y)), y]
    sums = np.bincount(y, own, minlength=classes)
    return np.where(there > 0, sums / np.maximum(there, 1), 1.0)


def confident_classes(probabilities: Matrix, y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) the class that each image confidently belongs to; -1 where it is none.

    These are the classes whose probability reaches the class's threshold; of several, the most probable.
    """
    reached = probabilities >= thresholds(probabilities, y)
    best = np.where(reached, probabilities, -1.0).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1)


def joint_counts(probabilities: Matrix, y: NDArray[np.int64]) -> Matrix:
    """Return (classes, classes) how many images with a label (row) are thought to be of a class (column).

    Counts of confident images, scaled so that each row adds up to the number of images with the label: the
    calibrated confident joint. A label without confident images keeps all its images.
    """
    classes = probabilities.shape[1]
    confident = confident_classes(probabilities, y)
    counted = np.zeros((classes, classes))
    np.add.at(counted, (y[confident >= 0], confident[confident >= 0]), 1.0)
    rows = counted.sum(axis=1, keepdims=True)
    counted = np.where(rows > 0, counted, np.eye(classes))
    there = np.bincount(y, minlength=classes)[:, None]
    return np.asarray(counted / counted.sum(axis=1, keepdims=True) * there)


def second_labels(probabilities: Matrix, y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) the most probable class of each image apart from its label."""
    others = probabilities.copy()
    others[np.arange(len(y)), y] = -1.0
    return np.asarray(others.argmax(axis=1))


def by_class(probabilities: Matrix, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (n,) the images that pruning by class takes: of each label those with its lowest probabilities."""
    joint = joint_counts(probabilities, y)
    own = probabilities[np.arange(len(y)), y]
    taken = np.zeros(len(y), bool)
    for label in range(joint.shape[0]):
        images = np.flatnonzero(y == label)
        number = round(float(joint[label].sum() - joint[label, label]))
        taken[images[np.argsort(own[images], kind="stable")[:number]]] = True
    return taken


def by_noise_rate(probabilities: Matrix, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (n,) the images that pruning by noise rate takes.

    For each pair of a label and another class, those whose probability of the other exceeds that of the label most.
    """
    joint = joint_counts(probabilities, y)
    taken = np.zeros(len(y), bool)
    for label in range(joint.shape[0]):
        images = np.flatnonzero(y == label)
        for other in range(joint.shape[1]):
            number = round(float(joint[label, other]))
            if other == label or not number:
                continue
            ahead = probabilities[images, other] - probabilities[images, label]
            taken[images[np.argsort(-ahead, kind="stable")[:number]]] = True
    return taken


def doubtful(probabilities: Matrix, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (n,) the images whose label is in doubt.

    Both rules take them, and another class is more probable than the label. With both there are fewer false finds
    than with either, see `benchmarks/label_doubts.py`.
    """
    rows = np.arange(len(y))
    other_is_ahead = probabilities[rows, second_labels(probabilities, y)] > probabilities[rows, y]
    return np.asarray(by_class(probabilities, y) & by_noise_rate(probabilities, y) & other_is_ahead)


def told_apart(probabilities: Matrix, y: NDArray[np.int64], one: int, other: int) -> float:
    """Return how well two classes are told apart, 0 to 1.

    The mean over both of the share of their images to which the class itself is the more probable of the two.
    """
    ahead = probabilities[:, one] > probabilities[:, other]
    return float((ahead[y == one].mean() + 1 - ahead[y == other].mean()) / 2)
