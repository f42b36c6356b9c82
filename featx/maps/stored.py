"""Maps stored in `.npz` files and used again if nothing has changed."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from featx.arguments import SEEDS
from featx.errors import DataError, StoreError, reason_of
from featx.files import open_file, write_file
from featx.maps.embedding import Embedding, Reduction, check_rows, embed
from featx.maps.parameters import Parameters
from featx.maps.quality import sample, stability, trustworthiness
from featx.progress import report_progress
from featx.runs import Source

log = logging.getLogger("featx")

# Raised by hand when the file's contents change their meaning.
SCHEMA = 1
ARRAYS = ("about", "points", "digests", "mean", "components", "shares")
QUALITY = ("trustworthiness", "stability")
# Errors from reading damaged or forged files.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
# Stability needs a second map, which takes long for many images and changes little.
STABILITY_LIMIT = 10_000


@dataclass(frozen=True)
class StoredMap:
    """A map, the features and images that it was made of, and its `trustworthiness` and `stability`."""

    embedding: Embedding
    feature_set: str
    digests: tuple[str, ...]
    quality: Mapping[str, float | None]

    def matches(self, parameters: Parameters, feature_set: str, digests: tuple[str, ...]) -> bool:
        """Return whether this is the map of these images and features, made with these parameters."""
        return (self.embedding.parameters, self.feature_set, self.digests) == (parameters, feature_set, digests)


def stored_map(
    source: Source, parameters: Parameters, folder: Path | None, split: str, *, keep: bool = True
) -> tuple[StoredMap, Path | None]:
    """Return the map of a source's rows and its file; a new map is made if the folder does not have this one.

    If the folder is None, nothing is read or written; without `keep`, a new map is not written. `split` is part of
    the file's name.
    """
    check_rows(source.table.X)
    parameters = parameters.for_images(len(source.table))
    if folder is None:
        return _new_map(source, parameters), None
    path = folder / f"{stem_of(parameters, source.layer, split)}.npz"
    try:
        stored = load_map(path) if path.exists() else None
    except DataError as error:
        log.warning("%s", error)
        stored = None
    if stored is not None and stored.matches(parameters, source.feature_set, source.table.digests):
        return stored, path
    stored = _new_map(source, parameters)
    if not keep:
        return stored, None
    try:
        write_file(path, partial(save_map, stored))
    except StoreError as error:
        log.warning("The map is not kept for the next time, because %s", error)
        return stored, None
    return stored, path


def stem_of(parameters: Parameters, layer: str, split: str) -> str:
    """Return the name of a map's files without their ending."""
    return f"{parameters.method}{parameters.setting or ''}-{layer}-{split}"


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
    """Read a map that `save_map` wrote; raise DataError if it is damaged or something else."""
    try:
        with open_file(path) as file:
            _check_members(file)
            with np.load(file, allow_pickle=False) as arrays:
                return _from_arrays({name: arrays[name] for name in ARRAYS if name in arrays.files})
    except DAMAGE as error:
        raise DataError(
            f"Expected a map stored by featx visualize in {path}, but it cannot be read ({reason_of(error)}); "
            "remove it, and the map is made again."
        ) from None


def _check_members(file: io.BufferedReader) -> None:
    """Check that the arrays of a file are not larger than the file, since `save_map` compresses nothing."""
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ValueError("it unpacks to more than a map has")
        for member in archive.infolist():
            with archive.open(member) as start:
                # Memory is taken for as much as the header says, before anything is read.
                major, _ = np.lib.format.read_magic(start)
                read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(start)
            if math.prod(shape) * dtype.itemsize > size:
                raise ValueError("it says that it has more than it has")
    file.seek(0)


def _from_arrays(arrays: Mapping[str, Any]) -> StoredMap:
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
        Embedding(points, Parameters(**_renamed(about["parameters"])), _reduction(arrays)),
        str(about["feature_set"]),
        tuple(row.tobytes().hex() for row in digests),
        {name: None if (value := about["quality"][name]) is None else float(value) for name in QUALITY},
    )


def _renamed(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return stored parameters by their present names; earlier maps have the American spelling."""
    return {"neighbours" if name == "neighbors" else name: value for name, value in parameters.items()}


def _reduction(arrays: Mapping[str, Any]) -> Reduction | None:
    if "components" not in arrays:
        return None
    mean, components = np.asarray(arrays["mean"], np.float64), np.asarray(arrays["components"], np.float32)
    shares = tuple(map(float, arrays["shares"]))
    if components.shape != (len(shares), len(mean)):
        raise ValueError("the components do not match")
    if not all(np.isfinite(values).all() for values in (mean, components, shares)):
        raise ValueError("the components are not finite")
    return Reduction(mean, components, shares)


def _new_map(source: Source, parameters: Parameters) -> StoredMap:
    X = source.table.X
    report_progress("map", 0, 2)
    embedding = embed(X, parameters)
    report_progress("map", 1, 2)
    chosen = sample(len(X), parameters.seed)
    quality = {
        "trustworthiness": trustworthiness(X[chosen], embedding.points[chosen]),
        "stability": _stability(source, embedding),
    }
    report_progress("map", 2, 2)
    return StoredMap(embedding, source.feature_set, source.table.digests, quality)


def _stability(source: Source, embedding: Embedding) -> float | None:
    parameters = embedding.parameters
    if parameters.method == "pca":
        return None
    if len(source.table) > STABILITY_LIMIT:
        log.info("Stability is left out for more than %d images, because it needs a second map.", STABILITY_LIMIT)
        return None
    other = embed(source.table.X, replace(parameters, seed=(parameters.seed + 1) % SEEDS))
    return stability(embedding.points, other.points)
