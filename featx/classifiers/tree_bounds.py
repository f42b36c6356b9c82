"""Check that the nodes of fitted decision trees point only into their own tree; scikit-learn does not check this.

A forged tree could make it read other memory, or loop for ever. This is why skops does not trust
`sklearn.tree._tree.Tree`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UntrustedError


def check_trees(estimator: Any, name: str) -> None:
    """Check each tree, at any depth, in a fitted estimator that was read from the file `name`."""
    # The estimators set the number of features that a row has.
    if not _sound(estimator, sys.maxsize, set()):
        raise UntrustedError(
            f"Expected decision trees in {name} whose nodes point to later nodes of their own, found others; the "
            "file is damaged or forged: take one that featx compare --save-best wrote."
        )


def _sound(value: Any, width: int, seen: set[tuple[int, int]]) -> bool:
    """Check everything that a value holds; `width` is the smallest number of features of the estimators around it."""
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    if isinstance(value, (str, bytes, int, float, bool, type(None))) or (id(value), width) in seen:
        return True
    seen.add((id(value), width))
    if isinstance(value, Tree):
        return _tree_is_sound(value, width)
    if isinstance(value, TreePredictor):
        return _predictor_is_sound(value, width)
    inner = _inner(value)
    if isinstance(value, dict) or not hasattr(value, "__dict__"):
        return all(_sound(part, width, seen) for part in inner)
    own = vars(value).get("n_features_in_", width)
    return all(_sound(part, min(width, int(own)), seen) for part in inner)


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple, set)):
        return list(value)
    if isinstance(value, np.ndarray):
        return list(value.ravel()) if value.dtype == object else []
    return list(vars(value).values()) if hasattr(value, "__dict__") else []


def _tree_is_sound(tree: Any, width: int) -> bool:
    if not 0 < tree.node_count <= tree.capacity:
        return False
    left, right = tree.children_left, tree.children_right
    # -1 in the left child marks a leaf, whose other fields are not used.
    return _nodes_are_sound(left, right, tree.feature, left == -1, min(width, int(tree.n_features)))


def _predictor_is_sound(predictor: Any, width: int) -> bool:
    nodes = predictor.nodes
    # Categories are looked up in a table by numbers of their own; features of a network have none.
    if not len(nodes) or nodes["is_categorical"].any():
        return False
    return _nodes_are_sound(nodes["left"], nodes["right"], nodes["feature_idx"], nodes["is_leaf"] != 0, width)


def _nodes_are_sound(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], leaf: NDArray[np.bool_], width: int
) -> bool:
    places = np.arange(len(leaf))
    inner = ~leaf
    later = all(
        ((child[inner].astype(np.int64) > places[inner]) & (child[inner].astype(np.int64) < len(leaf))).all()
        for child in (left, right)
    )
    return bool(later and ((feature[inner] >= 0) & (feature[inner] < width)).all())
