"""`FeatureExtractor`, a scikit-learn transformer on the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featx.data import Item
from featx.errors import DataError, UntrustedError
from featx.features.choice import base_recipe, with_card, with_size
from featx.features.compute import compute
from featx.features.decoding import with_statistics
from featx.features.extraction import work_of
from featx.features.hashing import Image, digest_of_array, hash_images
from featx.features.spaces import FeatureSpace
from featx.limits import permitting
from featx.networks import Engine, Weights, chosen_engine, find_weights
from featx.recipes import FeatureSpec, Pooling, Precision, PreprocessMode, Recipe, override
from featx.store import StatCache, Store

EXPECTED = (
    "Expected images as paths (a sequence, or one column) or as uint8 arrays of shape (n, height, width) or "
    "(n, height, width, 3)"
)


def images_of(X: Any, split: str, stat_cache: StatCache) -> list[Image]:
    """Return an image for each element of X (see `FeatureExtractor`), in its order; they are used for `split`."""
    if isinstance(X, (str, Path)):
        raise DataError(f"{EXPECTED}, received the one path {str(X)!r}; put it into a list.")
    pictures = _pictures(X)
    if pictures is not None:
        items = [Item(name, Path(name), None, split) for name in (f"image {n}" for n in range(len(pictures)))]
        return [Image(item, digest_of_array(image), image) for item, image in zip(items, pictures, strict=True)]
    return _of_files(_paths(X), split, stat_cache)


def _pictures(X: Any) -> Sequence[NDArray[np.uint8]] | None:
    """Return X as arrays of pixels, or None if it may be paths."""
    if isinstance(X, (list, tuple)) and any(isinstance(element, np.ndarray) and element.ndim for element in X):
        return [_checked(np.asarray(element), one=True) for element in X]
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUST":
        return list(_checked(X, one=False))
    return None


def _checked(array: NDArray[Any], *, one: bool) -> NDArray[np.uint8]:
    """Return the pixels of one image, or of several in one array, after a check of shape and type."""
    rank = array.ndim + one
    # (height, width, 3) is one image where several were expected, and not images that are 3 pixels wide.
    right = (rank == 3 and (one or array.shape[-1] != 3)) or (rank == 4 and array.shape[-1] == 3)
    if array.dtype != np.uint8 or not right or not all(array.shape):
        hint = _other_type(array) if array.dtype != np.uint8 else _other_shape(array, one)
        raise DataError(f"{EXPECTED}, received {array.dtype} of shape {array.shape}; {hint}.")
    return array


def _other_type(array: NDArray[Any]) -> str:
    """Return what to do about pixels of another type than uint8."""
    wanted = "pass np.uint8, 0 to 255"
    if array.dtype == bool:
        return f"{wanted}: X.astype(np.uint8) * 255"
    if array.dtype.kind in "iuf" and array.size and array.min() >= 0 and array.max() <= 255:
        is_share = array.dtype.kind == "f" and array.max() <= 1
        return f"{wanted}: {'(X * 255)' if is_share else 'X'}.round().astype(np.uint8)"
    return wanted


def _other_shape(array: NDArray[Any], one: bool) -> str:
    """Return what to do about pixels in an array of another shape, whose axis of channels may be another."""
    if not all(array.shape):
        return "pass images that have pixels"
    if not one and array.ndim in (2, 3):
        return "pass X[np.newaxis] for one image"
    name = "image" if one else "X"
    channels_first, channels = array.shape[-3::2] if array.ndim + one == 4 else (0, 0)
    if channels == 1:
        return f"drop the last axis: {name}[..., 0]"
    if channels in (2, 4):
        return f"drop the alpha channel: {name}[..., {'0' if channels == 2 else ':3'}]"
    if channels_first == 1:
        return f"drop the axis of channels: {name}[..., 0, :, :]"
    if channels_first == 3:
        return f"move the channels to the end: np.moveaxis({name}, -3, -1)"
    return "pass grey images or RGB"


def _paths(X: Any) -> list[str]:
    column = np.asarray(X, dtype=object)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1 or not len(column):
        raise DataError(f"{EXPECTED}, received the shape {column.shape}; pass one path an image, at least one.")
    for number, value in enumerate(column):
        if not isinstance(value, (str, Path)):
            raise DataError(f"{EXPECTED}, received {value!r} as element {number}; pass paths alone.")
    return [str(value) for value in column]


def _of_files(paths: list[str], split: str, stat_cache: StatCache) -> list[Image]:
    unique = list(dict.fromkeys(paths))
    items = [Item(path, Path(path).absolute(), None, split) for path in unique]
    images, _ = hash_images(items, "fail", stat_cache)
    by_path = dict(zip(unique, images, strict=True))
    return [by_path[path] for path in paths]


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer from images to the features of a frozen network, through the cache.

    X is one of: paths (str or Path) in a list, an array, a Series or one column of shape (n, 1); images in a uint8
    array of shape (n, height, width) or (n, height, width, 3), RGB; a list of such images, whose sizes may differ.
    Rows are in the order of X. A file has the row that `featx.extract` computes for it; the row of an image in memory
    depends on its pixels. A row that the cache has is never computed again, in any fold or process.

    `fit` computes the rows of X that the cache lacks. With the preprocessing `featurewise` it also computes the
    channel statistics, from X alone, so that held-out images do not influence them; each training set then has its
    own features. Augmented views are not used: an image has one row.

    Args:
        recipe: A recipe, its name or the path of its file; only what decides the features is used.
        backbone: Instead of a recipe, a backbone with its default settings: a name, a network's card or a folder
            with one, or a `.keras` file; EfficientNet-Lite0, which comes with featx, without either.
        weights: `imagenet`, `random`, `random:SEED` or a file. What is not given here and below is the recipe's.
        pooling: `none`, `avg` or `max`.
        preprocess: `rescale`, `imagenet`, `featurewise`, `raw` or `card`.
        size: Height and width in pixels, or one number for both.
        cut: Layer whose output is taken.
        precision: `float32`, or `mixed` for GPUs with units for half precision.
        cache: Folder of the store.
        engine: What runs the network, see `featx.extract`.
        batch_size: Images in a batch; the engine's default if not given.
        yes: Do work that is estimated to need more disk or memory than there is.

    Attributes:
        spec_: The spec of the features, statistics included.
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
        self._fitted_images(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Fit and return the rows of X, (n, d); for arguments and errors see `fit`."""
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
        return self._rows(images_of(X, "test", StatCache(Path(self.cache))))

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
        images = images_of(X, "train", StatCache(store.root))
        spec = with_statistics(with_card(wanted, weights), images, store, "fail")
        space = self._complete(images, spec, weights).plain
        self.spec_, self.weights_ = spec, weights
        self.feature_set_, self.n_features_out_ = space.id, space.dim or 0
        return images

    def _wanted(self) -> FeatureSpec:
        fields = {
            "backbone.weights": self.weights,
            "backbone.pooling": self.pooling,
            "backbone.cut": self.cut,
            "backbone.precision": self.precision,
            "preprocess.mode": self.preprocess,
            "views.count": 1,
        }
        return override(with_size(base_recipe(self.recipe, self.backbone), self.size), fields)

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
