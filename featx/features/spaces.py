"""What decides a cached row, as two feature spaces: the images themselves, and their augmented views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.images import DECODE_RULE, VIEW_RULE, Preprocessing, ViewSpec
from featx.networks import Weights, describe_backbone, imagenet_rule
from featx.recipes import FeatureSpec
from featx.store import RowKey, Rows, Space, Store

# Rows of engines in one numerical class are taken for the same; mixed precision is a class of its own. On
# radiographs, OpenVINO's rows are 1e-7 (VGG16) and 2e-5 (MobileNetV2) of their length from those of Keras, whose
# own graphs, eager and compiled runs are 1e-6 and 6e-6 from one another.
NUMERICS = {"float32": "float32", "mixed": "mixed_float16"}


def preprocessing_of(spec: FeatureSpec) -> Preprocessing:
    """Return the rule of a spec, with its statistics where the spec has them."""
    mode = spec.preprocess.mode
    rule = imagenet_rule(spec.backbone.name) if mode == "imagenet" else mode
    return Preprocessing(rule, spec.preprocess.mean, spec.preprocess.std)


def view_spec_of(spec: FeatureSpec) -> ViewSpec:
    """Return the augmentation of a spec; how many views there are is not part of it."""
    return ViewSpec(**spec.views.model_dump(exclude={"count"}))


def describe(spec: FeatureSpec, weights: Weights, *, augmented: bool) -> dict[str, Any]:
    """Return all that moves a row's numbers besides the image's bytes and the view's number."""
    return {
        "kind": "backbone",
        "images": {"decode": DECODE_RULE, **spec.images.model_dump()},
        "views": {"rule": VIEW_RULE, **asdict(view_spec_of(spec))} if augmented else None,
        "preprocess": dict(preprocessing_of(spec).key()),
        "backbone": describe_backbone(spec.backbone, weights),
        "dtype": spec.features.dtype,
        "numerics": NUMERICS[spec.backbone.precision],
    }


def penultimate_description(features: Space, head: str, layer: str) -> dict[str, Any]:
    """Return what decides a head's penultimate features: the head, the layer and the rows it was given."""
    return {"kind": "penultimate", "head": head, "layer": layer, "features": features.id}


@dataclass(frozen=True)
class SpacePair:
    """View 0 of every image lives in `plain`, further views in `augmented`.

    So another rotation or another number of views leaves the rows of the images themselves as they are.
    """

    plain: Space
    augmented: Space

    @classmethod
    def of(cls, store: Store, spec: FeatureSpec, weights: Weights) -> SpacePair:
        """Return the spaces of a spec whose statistics are known."""
        return cls(
            store.space(describe(spec, weights, augmented=False)),
            store.space(describe(spec, weights, augmented=True)),
        )

    def penultimate(self, store: Store, head: str, layer: str) -> SpacePair:
        """Return the spaces of a head's penultimate features of these rows."""
        return SpacePair(
            store.space(penultimate_description(self.plain, head, layer)),
            store.space(penultimate_description(self.augmented, head, layer)),
        )

    def of_view(self, view: int) -> Space:
        """Return the space that holds a view."""
        return self.augmented if view else self.plain

    def missing(self, keys: Sequence[RowKey]) -> list[RowKey]:
        """Return the keys that are not stored, each once."""
        plain = self.plain.missing([key for key in keys if key[1] == 0])
        further = [key for key in keys if key[1] > 0]
        return plain + (self.augmented.missing(further) if further else [])

    def rows(self, digests: Sequence[str], views: int) -> ViewRows:
        """Return rows of the images' first `views` views."""
        return ViewRows(self, digests, views)


class ViewRows:
    """Rows in the store's memory map: view k of image i is row `i * views + k`.

    Args:
        spaces: Where the rows are.
        digests: The images.
        views: Views an image, all of them stored.

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
        """Yield all rows in order, at most `size` at a time."""
        for start in range(0, self.shape[0], size):
            yield self[np.arange(start, min(start + size, self.shape[0]))]
