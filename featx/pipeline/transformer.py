"""featx as a step of a scikit-learn pipeline: images in, cached features out.

This module loads scikit-learn; `import featx` alone does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featx.errors import UntrustedError
from featx.known_files import KnownFiles
from featx.pipeline.computing import compute
from featx.pipeline.decoding import with_statistics
from featx.pipeline.extraction import work_of
from featx.pipeline.feature_choice import base_recipe, chosen_recipe
from featx.pipeline.hashing import Image
from featx.pipeline.image_input import images_of
from featx.pipeline.networks import Engine, build_network, chosen_engine
from featx.pipeline.progress import silent
from featx.pipeline.spaces import SpacePair
from featx.recipe import FeatureSpec, Pooling, Precision, PreprocessMode, Recipe
from featx.store import Store
from featx.turns import turn
from featx.weights import Weights, find_weights


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer from images to the features of a frozen network, by way of the cache.

    X is one of: paths (str or Path) in a list, an array, a Series or one column of shape (n, 1); images in a uint8
    array of shape (n, height, width) or (n, height, width, 3), RGB; a list of such images, whose sizes may differ.
    Rows come in the order of X. A file has the row that `featx.extract` computes for it; an image in memory has one
    by its pixels. No row that the cache has is computed again, in no fold and no process.

    `fit` makes sure of X's rows. With the preprocessing `featurewise` it also takes the channel statistics, from X
    alone, so that nothing of the images that are held out gets into them; each training set then has features of
    its own. Views are not used: an image has one row.

    Args:
        recipe: A recipe, its name or the path of its file; only what decides the features is used.
        backbone: A backbone as it comes, instead of a recipe: a name, or a `.keras` file; VGG16 without either.
        weights: `imagenet`, `random`, `random:SEED` or a file; as the recipe says if not given, and so are the next.
        pooling: `none`, `avg` or `max`.
        preprocess: `rescale`, `imagenet` or `featurewise`.
        size: Width and height in pixels.
        cut: Layer whose output is taken.
        precision: `float32`, or `mixed` for GPUs with units for half precision.
        cache: The store's folder.
        engine: What runs the network, see `featx.extract`.
        batch_size: Images a call of the network; the engine's own if not given.

    Attributes:
        spec_: What decides the features, statistics included.
        weights_: The weights that were found.
        feature_set_: The id of the features in the cache.
        n_features_out_: Columns of a row.
    """

    def __init__(
        self,
        recipe: Recipe | str | None = None,
        *,
        backbone: str | None = None,
        weights: str | None = None,
        pooling: Pooling | None = None,
        preprocess: PreprocessMode | None = None,
        size: int | None = None,
        cut: str | None = None,
        precision: Precision | None = None,
        cache: str | Path = "cache",
        engine: Engine = "auto",
        batch_size: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.backbone = backbone
        self.weights = weights
        self.pooling = pooling
        self.preprocess = preprocess
        self.size = size
        self.cut = cut
        self.precision = precision
        self.cache = cache
        self.engine = engine
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Find the weights, take what statistics the preprocessing needs, and make sure of X's rows.

        Args:
            X: Images, see above.
            y: Not used.

        Raises:
            DataError: X is not images, or empty.
            FeatxError: What `featx.extract` raises.
        """
        self._fitted_images(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Fit and return X's rows, (n, d).

        Args:
            X: Images, see above.
            y: Not used.

        Raises:
            DataError: X is not images, or empty.
            FeatxError: What `featx.extract` raises.
        """
        return self._rows(self._fitted_images(X))

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return X's rows, (n, d), in its order; those that the cache lacks are computed.

        Args:
            X: Images, see above.

        Raises:
            sklearn.exceptions.NotFittedError: Nothing was fitted.
            UntrustedError: The weights are no longer those that were found at `fit`, and rows are missing.
            DataError: X is not images, or empty.
            FeatxError: What `featx.extract` raises.
        """
        check_is_fitted(self)
        return self._rows(images_of(X, "test", KnownFiles(Path(self.cache))))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return `<backbone>_<number>` for each column, (d,).

        Args:
            input_features: Not used.

        Raises:
            sklearn.exceptions.NotFittedError: Nothing was fitted.
        """
        check_is_fitted(self)
        name = Path(self.spec_.backbone.name).stem
        return np.array([f"{name}_{number}" for number in range(self.n_features_out_)], dtype=np.object_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _fitted_images(self, X: Any) -> list[Image]:
        chosen_engine(self.engine)
        wanted = self._wanted()
        chosen_engine(self.engine, wanted.backbone.precision)
        weights = find_weights(wanted.backbone.name, wanted.backbone.weights)
        store = Store(Path(self.cache))
        images = images_of(X, "train", KnownFiles(store.root))
        spec = with_statistics(wanted, images, store, "fail", silent)
        space = self._complete(images, spec, weights).plain
        self.spec_, self.weights_ = spec, weights
        self.feature_set_, self.n_features_out_ = space.id, space.dim or 0
        return images

    def _wanted(self) -> FeatureSpec:
        base = base_recipe(self.recipe, self.backbone)
        fields = {
            "backbone.weights": self.weights,
            "backbone.pooling": self.pooling,
            "backbone.cut": self.cut,
            "backbone.precision": self.precision,
            "preprocess.mode": self.preprocess,
            "images.size": self.size,
            "views.count": 1,
        }
        return chosen_recipe(base, None, fields)

    def _rows(self, images: list[Image]) -> NDArray[np.float32]:
        spaces = self._complete(images, self.spec_, self.weights_)
        return spaces.plain.rows([(image.digest, 0) for image in images]).to_array()

    def _complete(self, images: list[Image], spec: FeatureSpec, weights: Weights) -> SpacePair:
        """Compute the rows that the cache lacks, and return where all of them are."""
        store = Store(Path(self.cache))
        keys = [(image.digest, 0) for image in images]
        spaces = SpacePair.of(store, spec, weights)
        if not spaces.missing(keys):
            return spaces
        with turn(store.root):
            # Another process may have computed some while this one waited.
            spaces = SpacePair.of(store, spec, weights)
            missing = spaces.missing(keys)
            if missing:
                found = _trusted(weights, spec)
                network = build_network(spec, found, store, self.engine, self.batch_size)
                compute(work_of(images, missing), spec, network, store, spaces, "fail", silent)
        return spaces


def _trusted(weights: Weights, spec: FeatureSpec) -> Weights:
    """Return the weights as they are found now, which must be those of `fit`; random ones are drawn alike again."""
    if weights.path is None:
        return weights
    found = find_weights(spec.backbone.name, spec.backbone.weights)
    if found.digest != weights.digest:
        raise UntrustedError(
            f"Expected the weights of {spec.backbone.name} that were there at fit (SHA-256 {weights.digest[:12]}…), "
            f"found others in {found.path or found.source} ({found.digest[:12]}…); fit again, or put the first back."
        )
    return found
