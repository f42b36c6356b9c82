"""Feature spaces: everything that decides a cached row, and the rows themselves.

A row is reused exactly when its key is the same: the image's bytes, the view's number, and the description below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from featx.errors import RecipeError
from featx.features.choice import no_card, with_card
from featx.images import DECODE_RULE, VIEW_RULE, Preprocessing, ViewSpec
from featx.networks import Card, Engine, NetworkSource, Weights, own_preprocessing
from featx.recipes import FeatureSpec
from featx.store import RowKey, Rows, Space, Store, chunk_size


class SpacePair:
    """View 0 of every image is in `plain`, further views are in `augmented`.

    So another rotation or another number of views leaves the rows of the images themselves as they are.
    """

    def __init__(self, plain: Space, augmented: Space) -> None:
        self.plain = plain
        self.augmented = augmented

    def of_view(self, view: int) -> Space:
        """Return the space that holds a view."""
        return self.augmented if view else self.plain

    def missing(self, keys: Sequence[RowKey]) -> list[RowKey]:
        """Return the keys that are not stored, each once."""
        plain = self.plain.missing([key for key in keys if key[1] == 0])
        further = [key for key in keys if key[1] > 0]
        return plain + (self.augmented.missing(further) if further else [])

    def rows(self, digests: Sequence[str], views: int) -> ViewRows:
        """Return rows of the first `views` views of images."""
        return ViewRows(self, digests, views)


class FeatureSpace(SpacePair):
    """The backbone's features of a spec, and all that it takes to compute them.

    Attributes:
        spec: The spec with all statistics filled in.
        weights: The backbone's weights.
        store: The cache.
        network: What the network is built from.
        preprocessing: The preprocessing of pixels.
        views: How augmented views are made.

    `engine` is what will run the network, as the user chose it.
    """

    def __init__(self, spec: FeatureSpec, weights: Weights, store: Store, engine: Engine = "auto") -> None:
        self.spec = spec = with_card(spec, weights)
        self.weights = weights
        self.store = store
        self.preprocessing = _preprocessing(spec, weights)
        self.network = NetworkSource(spec.backbone, spec.images.shape, weights, store, self.preprocessing)
        self.views = ViewSpec(**spec.views.model_dump(exclude={"count"}))
        # Everything that decides a row's values, except the image's bytes and the view's number.
        description = {
            "kind": "backbone",
            "images": {"decode": DECODE_RULE, **spec.images.key()},
            "views": None,
            "preprocess": dict(self.preprocessing.key()),
            "backbone": self.network.identity(),
            "dtype": spec.features.dtype,
            "numerics": self.network.numerics(engine),
        }
        views = {"rule": VIEW_RULE, **asdict(self.views)}
        super().__init__(store.space(description), store.space(description | {"views": views}))

    def penultimate(self, head: str, layer: str) -> SpacePair:
        """Return the spaces of the outputs of a head's layer on these rows; `head` is the head's digest."""
        plain, augmented = (
            self.store.space({"kind": "penultimate", "head": head, "layer": layer, "features": features.id})
            for features in (self.plain, self.augmented)
        )
        return SpacePair(plain, augmented)


def _preprocessing(spec: FeatureSpec, weights: Weights) -> Preprocessing:
    part = spec.preprocess
    if part.mode == "card":
        if weights.card is None:
            raise no_card(spec.backbone.name)
        return weights.card.preprocessing()
    if part.mode == "imagenet":
        return own_preprocessing(spec.backbone.name)
    if weights.card is not None:
        return _instead_of_card(weights.card, spec)
    return Preprocessing(part.mode, part.mean, part.std)


def _instead_of_card(card: Card, spec: FeatureSpec) -> Preprocessing:
    """Return a rule that the recipe names instead of the card's, in the card's order of channels."""
    part, colour = spec.preprocess, card.input.colour
    channels = card.input.channels
    if part.mode != "featurewise":
        scale = 1.0 if part.mode == "raw" else 1 / 255
        return Preprocessing("affine", (0.0,) * channels, (1.0,) * channels, scale, colour)
    if colour == "grey":
        raise RecipeError(
            f"Preprocessing 'featurewise' is for images of three channels, but {card.name} takes grey images; choose "
            "preprocess.mode 'card', 'rescale' or 'raw' (--preprocess)."
        )
    if part.mean is None or part.std is None:
        return Preprocessing("featurewise")  # which says what it needs
    mean, std = (numbers[::-1] if colour == "bgr" else numbers for numbers in (part.mean, part.std))
    return Preprocessing("affine", mean, std, 1 / 255, colour)


class ViewRows:
    """Rows in the store's memory map: view k of image i is row `i * views + k`.

    Args:
        spaces: Where the rows are.
        digests: The images.
        views: Views of each image, all of them stored.

    Raises:
        StoreError: A row is not stored.
    """

    def __init__(self, spaces: SpacePair, digests: Sequence[str], views: int) -> None:
        self.views = views
        self._plain = spaces.plain.rows([(digest, 0) for digest in digests])
        further = [(digest, view) for digest in digests for view in range(1, views)]
        self._further: Rows | None = spaces.augmented.rows(further) if further else None
        self.shape = (len(digests) * views, self._plain.shape[1])

    def __getitem__(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._further is None:
            return self._plain[index]
        images, views = np.divmod(index, self.views)
        rows = np.empty((len(index), self.shape[1]), np.float32)
        rows[views == 0] = self._plain[images[views == 0]]
        further = images * (self.views - 1) + views - 1
        rows[views > 0] = self._further[further[views > 0]]
        return rows

    def chunks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in order, at most `size` at a time; fewer where they are very wide."""
        size = chunk_size(size, self.shape[1])
        for start in range(0, self.shape[0], size):
            yield self[np.arange(start, min(start + size, self.shape[0]))]
