"""Where a backbone's weights come from, and the digest that stands for them in the cache's keys.

Only `download` loads Keras; all else works on files.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from featx.digests import digest_of
from featx.errors import UsageError, WeightsError
from featx.networks.backbones import Backbone, find_backbone, is_model_file
from featx.networks.framework import load_keras

log = logging.getLogger("featx")

WEIGHTS_DIR = "FEATX_WEIGHTS_DIR"
# Raised by hand when the way in which random weights are drawn changes.
RANDOM_RULE = 1


@dataclass(frozen=True)
class Weights:
    """Weights that were found.

    Attributes:
        source: As it was asked for: `imagenet`, `random`, `random:SEED` or a path.
        path: The file; None for random weights.
        digest: SHA-256 of the file's bytes, or of the seed and the rule of drawing.
        seed: Of random weights; None otherwise.
    """

    source: str
    path: Path | None
    digest: str
    seed: int | None = None


def find_weights(backbone: str, source: str = "imagenet") -> Weights:
    """Find a backbone's weights without loading Keras, unless they must be downloaded.

    `imagenet` looks in the folder named by FEATX_WEIGHTS_DIR, for `<backbone>_notop.weights.h5` or the file
    under Keras's own name, then in Keras's cache, then lets Keras download them.

    Args:
        backbone: A name of the table, or the path of a `.keras` model, which holds its own weights.
        source: `imagenet`, `random`, `random:SEED` or a weights file.

    Raises:
        UsageError: The backbone is unknown, or the seed is not a number.
        WeightsError: The file is missing or cannot be read, or the download failed.
    """
    if is_model_file(backbone):
        path = Path(backbone)
        return Weights(str(path), path, file_digest(path, "the backbone's model file"))
    row = find_backbone(backbone)
    if source == "imagenet":
        path = find_imagenet(row) or download(row)
        return Weights(source, path, file_digest(path, "the weights file"))
    if is_random(source):
        return _random(row, source)
    return Weights(source, Path(source), file_digest(Path(source), "the weights file"))


def find_imagenet(row: Backbone) -> Path | None:
    """Return the file of a backbone's ImageNet weights on this machine, or None."""
    return next((path for path in places(row) if path.is_file()), None)


def places(row: Backbone) -> list[Path]:
    """Return the files as which a backbone's ImageNet weights are looked for, in this order."""
    candidates = [keras_cache() / row.weights_file]
    folder = os.environ.get(WEIGHTS_DIR)
    if folder:
        # Keras tells its old format from the new one by the file's name, so each keeps its own.
        candidates = [Path(folder) / f"{row.name}_notop.weights.h5", Path(folder) / row.weights_file, *candidates]
    return candidates


def keras_cache() -> Path:
    """Return the folder in which Keras keeps downloaded weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def download(row: Backbone) -> Path:
    """Let Keras download a backbone's ImageNet weights into its cache, checksum checked.

    Raises:
        WeightsError: The download failed; the sentence names the file and the ways to provide it.
    """
    log.info("Downloading the ImageNet weights of %s (%s).", row.name, row.weights_file)
    build = getattr(load_keras().applications, row.builder)
    shape = (row.size, row.size, 3)
    try:
        # Keras tells of the download on standard output, which belongs to results.
        with redirect_stdout(sys.stderr):
            build(include_top=False, weights="imagenet", input_shape=shape, **row.options)
    except Exception as error:
        # Keras raises a bare Exception, made while it handled the network's error, and a ValueError
        # where the checksum is wrong.
        if not isinstance(error, (OSError, ValueError)) and not isinstance(error.__context__, OSError):
            raise
        # Keras leaves a file whose checksum is wrong, and the next search would find it.
        (keras_cache() / row.weights_file).unlink(missing_ok=True)
        raise WeightsError(_no_download(row)) from error
    path = find_imagenet(row)
    if path is None:
        raise WeightsError(_no_download(row))
    return path


def _no_download(row: Backbone) -> str:
    return (
        f"Expected the ImageNet weights of {row.name}, but they are not on this machine and could not be downloaded; "
        f"put {row.weights_file} into {keras_cache()} or into the folder named by {WEIGHTS_DIR}, or pass "
        "--weights FILE, or --weights random to try things out."
    )


def is_random(source: str) -> bool:
    """Tell whether a choice of weights is `random` or `random:SEED`, and no file of such a name."""
    return source.split(":")[0] == "random"


def _random(row: Backbone, source: str) -> Weights:
    _, _, text = source.partition(":")
    try:
        seed = int(text or "0")
    except ValueError:
        seed = -1
    if seed < 0:
        raise UsageError(f"Expected --weights random or random:SEED with a whole number, received {source!r}.")
    log.warning("The weights of %s are random (seed %d): features will be poor.", row.name, seed)
    digest = digest_of({"random": RANDOM_RULE, "backbone": row.name, "seed": seed})
    return Weights(source, None, digest, seed)


def file_digest(path: Path, what: str = "the weights file") -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        WeightsError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WeightsError(
            f"Expected {what} at {path}, but it cannot be read: {reason}; check --weights and the recipe's backbone."
        ) from None
