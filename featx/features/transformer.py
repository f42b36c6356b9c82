"""`FeatureExtractor`, a scikit-learn transformer on the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featx.data import items_in_memory, with_hidden_names
from featx.errors import UntrustedError, naming_arguments
from featx.features.choice import FeatureChoice, chosen_spec, with_card
from featx.features.compute import compute
from featx.features.decoding import with_statistics
from featx.features.depth import SampleRanges, with_depth
from featx.features.extraction import work_of
from featx.features.hashing import Image, hash_images
from featx.features.spaces import FeatureSpace
from featx.limits import permitting
from featx.networks import Engine, Weights, chosen_engine, find_weights
from featx.recipes import FeatureSpec, Pooling, Precision, PreprocessMode, Recipe
from featx.store import StatCache, Store


def images_of(X: Any, split: str, cache: Path) -> list[Image]:
    """Return an image for each element of X (see `FeatureExtractor`), in its order; they are used for `split`."""
    items = with_hidden_names(items_in_memory(X, split), cache)
    images, _ = hash_images(list({item.id: item for item in items}.values()), "fail", StatCache(cache))
    by_id = {image.item.id: image for image in images}
    return [by_id[item.id] for item in items]


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer from images to the features of a frozen network, through the cache.

    X is one of: paths (str or Path) in a list, an array, a Series or one column of shape (n, 1); images in a uint8
    array of shape (n, height, width) or (n, height, width, 3), RGB; a list of such images, whose sizes may differ.
    Rows are in the order of X. A file has the row that `featx.extract` computes for it; the row of an image in memory
    depends on its pixels. A row that the cache has is never computed again, in any fold or process.

    `fit` computes the rows of X that the cache lacks. With the preprocessing `featurewise` it also computes the
    channel statistics, from X alone, so that held-out images do not influence them; each training set then has its
    own features. In the same way, X alone decides the bit depth of images of more than 8 bits. Augmented views are
    not used: an image has one row.

    Args:
        recipe: A recipe, its name or the path of its file; only what decides the features is used.
        backbone: Instead of a recipe, a backbone with its default settings: a name, a network's card or a folder
            with one, or a `.keras` file; EfficientNet-Lite0, which comes with featx, without either.
        weights: `imagenet`, `random`, `random:SEED` or a file. What is not given here and below is the recipe's.
        pooling: `none`, `avg` or `max`.
        preprocess: `rescale`, `imagenet`, `featurewise`, `raw` or `card`.
        size: Height and width in pixels, or one number for both.
        window: Grey levels of DICOM files: `file`, `none` or `CENTER/WIDTH`.
        cut: Layer whose output is taken.
        precision: `float32`, or `mixed` for GPUs with units for half precision.
        cache: Folder of the store.
        engine: What runs the network, see `featx.extract`.
        batch_size: Images in a batch; the engine's default if not given.
        yes: Do work that is estimated to need more disk or memory than there is.

    Attributes:
        spec_: The spec of the features, statistics and bit depth included.
        weights_: The weights that were found.
        feature_set_: The id of the feature space in the cache.
        n_features_out_: Number of columns.
    """

    def __init__(
        self,
        recipe: Recipe | str | None = None,
        *,
        backbone: str | None = None,
        weights: str | None = None,
        pooling: Pooling | None = None,
        preprocess: PreprocessMode | None = None,
        size: int | tuple[int, int] | None = None,
        window: str | None = None,
        cut: str | None = None,
        precision: Precision | None = None,
        cache: str | Path = "cache",
        engine: Engine = "auto",
        batch_size: int | None = None,
        yes: bool = False,
    ) -> None:
        self.recipe = recipe
        self.backbone = backbone
        self.weights = weights
        self.pooling = pooling
        self.preprocess = preprocess
        self.size = size
        self.window = window
        self.cut = cut
        self.precision = precision
        self.cache = cache
        self.engine = engine
        self.batch_size = batch_size
        self.yes = yes

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Find the weights, compute the statistics that the preprocessing needs, and the rows of X that are missing.

        Args:
            X: Images, see `FeatureExtractor`.
            y: Not used.

        Raises:
            DataError: X is not images, or empty.
            FeatxError: What `featx.extract` raises.
        """
        with naming_arguments():
            self._fitted_images(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Fit and return the rows of X, (n, d); for arguments and errors see `fit`."""
        with naming_arguments():
            return self._rows(self._fitted_images(X))

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the rows of X, (n, d), in its order; those that the cache lacks are computed.

        Raises:
            sklearn.exceptions.NotFittedError: Nothing was fitted.
            UntrustedError: The weights are no longer those that were found at `fit`, and rows are missing.
            DataError: X is not images, or empty.
            FeatxError: What `featx.extract` raises.
        """
        check_is_fitted(self)
        with naming_arguments():
            store = Store(Path(self.cache))
            images = images_of(X, "test", store.root)
            # Images with values beyond white are warned of.
            _, ranges = with_depth(self.spec_, images, store)
            rows = self._rows(images)
            _save(ranges, store)
            return rows

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return `<backbone>_<number>` for each column, (d,); `input_features` is not used.

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
        store = Store(Path(self.cache))
        weights = find_weights(wanted.backbone.name, wanted.backbone.weights, store.root)
        images = images_of(X, "train", store.root)
        spec, ranges = with_depth(with_card(wanted, weights), images, store)
        spec = with_statistics(spec, images, store, "fail")
        space = self._complete(images, spec, weights).plain
        _save(ranges, store)
        self.spec_, self.weights_ = spec, weights
        self.feature_set_, self.n_features_out_ = space.id, space.dim or 0
        return images

    def _wanted(self) -> FeatureSpec:
        choice: FeatureChoice = {
            "backbone": self.backbone,
            "weights": self.weights,
            "pooling": self.pooling,
            "preprocess": self.preprocess,
            "size": self.size,
            "window": self.window,
        }
        further = {"backbone.cut": self.cut, "backbone.precision": self.precision, "views.count": 1}
        return chosen_spec(self.recipe, choice, further)

    def _rows(self, images: list[Image]) -> NDArray[np.float32]:
        space = self._complete(images, self.spec_, self.weights_)
        return space.plain.rows([(image.digest, 0) for image in images]).to_array()

    def _complete(self, images: list[Image], spec: FeatureSpec, weights: Weights) -> FeatureSpace:
        """Compute the rows that the cache lacks, and return where all of them are."""
        store = Store(Path(self.cache))
        keys = [(image.digest, 0) for image in images]
        space = FeatureSpace(spec, weights, store, self.engine)
        if not space.missing(keys):
            return space
        with store.lock(), permitting(self.yes):
            # Another process may have computed some while this one waited.
            space = FeatureSpace(spec, _trusted(weights, spec), store, self.engine)
            missing = space.missing(keys)
            if missing:
                compute(work_of(images, missing), space, space.network.build(self.engine, self.batch_size), "fail")
        return space


def _save(ranges: SampleRanges | None, store: Store) -> None:
    if ranges is not None:
        with store.lock():
            ranges.save()


def _trusted(weights: Weights, spec: FeatureSpec) -> Weights:
    """Return the weights as they are found now, which must be those of `fit`; random ones come from their seed."""
    if weights.path is None:
        return weights
    now = find_weights(spec.backbone.name, spec.backbone.weights)
    if now.digest != weights.digest:
        raise UntrustedError(
            f"Expected the weights of {spec.backbone.name} that were there at fit (SHA-256 {weights.digest[:12]}…), "
            f"found others in {now.path or now.source} ({now.digest[:12]}…); fit again, or put the first back."
        )
    return now
