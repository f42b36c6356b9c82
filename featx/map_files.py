"""A map in a file, so that new images can be placed on it later: plain arrays in NumPy's .npz, no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featx.embed import Embedding
from featx.errors import DataError
from featx.map_parameters import Parameters
from featx.map_reduction import Reduction

# Raised by hand when the file's contents change their meaning.
SCHEMA = 1


@dataclass(frozen=True)
class StoredMap:
    """A map with what it is of and how far to trust it.

    Attributes:
        embedding: The map.
        feature_set: The id of the features in the store.
        digests: SHA-256 of each point's image.
        quality: Trustworthiness and stability, see `featx.map_quality`; None where there is no figure.
    """

    embedding: Embedding
    feature_set: str
    digests: tuple[str, ...]
    quality: Mapping[str, float | None]

    def is_of(self, parameters: Parameters, feature_set: str, digests: tuple[str, ...]) -> bool:
        """Tell whether it is the map of these images, features and parameters."""
        return (self.embedding.parameters, self.feature_set, self.digests) == (parameters, feature_set, digests)


def save_map(stored: StoredMap, path: Path) -> None:
    """Write a map to an .npz file."""
    embedding = stored.embedding
    about = {
        "schema": SCHEMA,
        "feature_set": stored.feature_set,
        "parameters": asdict(embedding.parameters),
        "quality": dict(stored.quality),
    }
    arrays: dict[str, Any] = {
        "about": np.array(json.dumps(about)),
        "points": embedding.points,
        "digests": np.frombuffer(bytes.fromhex("".join(stored.digests)), np.uint8).reshape(-1, 32),
    }
    reduction = embedding.reduction
    if reduction is not None:
        arrays |= {"mean": reduction.mean, "components": reduction.components, "shares": np.array(reduction.shares)}
    np.savez(path, **arrays)


def load_map(path: Path) -> StoredMap:
    """Read a map that `save_map` wrote.

    Raises:
        DataError: The file is not one, or is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _stored({name: arrays[name] for name in arrays.files})
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"Expected a map stored by featx visualize in {path}, but it cannot be read ({reason}); remove it, and "
            "the map is made anew."
        ) from None


def _stored(arrays: Mapping[str, Any]) -> StoredMap:
    about = json.loads(str(arrays["about"]))
    if about["schema"] != SCHEMA:
        raise ValueError(f"its schema is {about['schema']}, not {SCHEMA}")
    points = np.asarray(arrays["points"], np.float64)
    digests = np.asarray(arrays["digests"])
    n = len(points)
    if points.shape != (n, 2) or digests.shape != (n, 32) or digests.dtype != np.uint8:
        raise ValueError("points and images do not match")
    if not np.isfinite(points).all():
        raise ValueError("points are not finite")
    return StoredMap(
        Embedding(points, Parameters(**about["parameters"]), _reduction(arrays)),
        str(about["feature_set"]),
        tuple(row.tobytes().hex() for row in digests),
        {str(name): None if value is None else float(value) for name, value in about["quality"].items()},
    )


def _reduction(arrays: Mapping[str, Any]) -> Reduction | None:
    if "components" not in arrays:
        return None
    mean, components = np.asarray(arrays["mean"], np.float64), np.asarray(arrays["components"], np.float32)
    shares = tuple(map(float, arrays["shares"]))
    if components.shape != (len(shares), len(mean)):
        raise ValueError("the components do not match")
    return Reduction(mean, components, shares)
