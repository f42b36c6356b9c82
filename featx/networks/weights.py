"""Weights of a backbone: where they are, their digest for the cache's keys, and whether a file is whole.

Only `download` loads Keras.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.digests import digest_of, digest_of_file
from featx.errors import FeatxError, UsageError, WeightsError, reason_of
from featx.files import open_file
from featx.networks.backbones import BACKBONES, Backbone, find_backbone, is_model_file
from featx.networks.cards.card import Card
from featx.networks.cards.files import is_card, load_card
from featx.networks.efficientnetlite import damaged
from featx.networks.framework import load_keras

log = logging.getLogger("featx")

WEIGHTS_DIR = "FEATX_WEIGHTS_DIR"
RANDOM_RULE = 1  # raised by hand when random weights are drawn in another way
SIGNATURE = b"\x89HDF\r\n\x1a\n"

# For each file name in Keras's cache an MD5, or a SHA-256 if it is longer. Source: the argument `file_hash` and the
# tables WEIGHTS_HASHES in keras/src/applications, which have none for MobileNetV2.
KERAS_DIGESTS = {
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5": "6d6bbae143d832006294945121d1f1fc",
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5": "253f8cb515780f3b799900260a226db6",
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5": "4d473c1dd8becc155b73f8504c6f6626",
    "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5": "fac2f116257151a9d068a22e544a4917",
    "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5": "30ee3e1110167f948a6b9946edeeb738",
    "efficientnetv2-b0_notop.h5": "893217f2bb855e2983157299931e43ff",
    "convnext_tiny_notop.h5": "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
}


@dataclass(frozen=True)
class Weights:
    """The weights of a backbone.

    Attributes:
        source: What the user chose: `imagenet`, `random`, `random:SEED` or a path.
        path: The file; None for random weights.
        digest: SHA-256 of the file's bytes; for random weights, of the seed and the rule by which they are drawn;
            for a network with a card, of what decides a number in the card.
        seed: The seed of random weights; None otherwise.
        card: The network's card; None for networks without one.
    """

    source: str
    path: Path | None
    digest: str
    seed: int | None = None
    card: Card | None = None

    def to_json(self, backbone: str) -> dict[str, Any]:
        """Return a manifest's entry on the weights of the backbone with this name."""
        card = {} if self.card is None else {"card": self.card.model_dump(mode="json")}
        return {"backbone": backbone, "source": self.source, "sha256": self.digest, **card}


def find_weights(backbone: str, source: str = "imagenet", root: Path | None = None) -> Weights:
    """Find a backbone's weights without loading Keras, unless they must be downloaded.

    For `imagenet`, the weights of `efficientnetlite0` come with featx. For the others, featx looks in the folder
    FEATX_WEIGHTS_DIR, for `<backbone>_notop.weights.h5` or the file with Keras's own name, and then in Keras's cache.
    If there is none, Keras downloads it.

    Args:
        backbone: The name of a backbone, or the path of a `.keras` model or of a card, which have their own weights.
        source: `imagenet`, `random`, `random:SEED` or a weights file. For a `.keras` model or a card, a path is where
            it is now, and anything else means its own weights.
        root: Folder of a cache that remembers the digests of a card's files.

    Raises:
        UsageError: The backbone is unknown, the seed is not a number, the source is not for a `.keras` model or a
            card, or the card does not say how pixels are prepared.
        CardError: The card cannot be read, or is not valid.
        WeightsError: The file is missing or cannot be read, is not the one that the card names, or the download
            failed.
    """
    if is_card(backbone):
        path = _own_path(backbone, source)
        card = load_card(path)
        card.verify(root)
        _tell_of_another(backbone, path, card)
        return Weights(str(path), card.main, card.digest(), card=card)
    if is_model_file(backbone):
        path = _own_path(backbone, source)
        return Weights(str(path), path, file_digest(path, "the backbone's model file"))
    row = find_backbone(backbone)
    if source == "imagenet" and row.packaged is not None:
        return Weights(source, row.packaged, _packaged_digest(row.packaged, row.sha256))
    if source == "imagenet":
        path = find_imagenet(row) or download(row)
        return Weights(source, path, file_digest(path))
    if is_random(source):
        return _random(row, source)
    return Weights(source, Path(source), file_digest(Path(source)))


def find_card(backbone: str, source: str = "imagenet") -> Card | None:
    """Return the card of a network without checking its files; None for a network without one.

    Args:
        backbone: A backbone's name or path.
        source: Where the card is now, see `find_weights`.

    Raises:
        FeatxError: What `load_card` raises.
    """
    return load_card(_own_path(backbone, source)) if is_card(backbone) else None


def _tell_of_another(backbone: str, path: Path, card: Card) -> None:
    """Warn if --weights names another network than the backbone, whose card is also there."""
    if path == Path(backbone) or not Path(backbone).exists():
        return
    with suppress(FeatxError):  # a card that cannot be read is perhaps why another one is named
        if load_card(backbone).digest() != card.digest():
            log.warning("The card %s is used, as --weights says, and it is not that of %s.", path, backbone)


def _packaged_digest(path: Path, expected: str | None) -> str:
    """Return the SHA-256 of a file that comes with featx, which must be the expected one."""
    try:
        digest = digest_of_file(path)
    except OSError:
        digest = None
    if digest is None or digest != expected:
        raise WeightsError(damaged(path))
    return digest


def _own_path(backbone: str, source: str) -> Path:
    """Return the path of a `.keras` model or a card: its name, or where it is now."""
    if is_random(source):
        log.warning("%s has its own weights; the choice %r does not change them.", Path(backbone).name, source)
    if source == "imagenet" or is_random(source):
        return Path(backbone)
    of_card = is_card(backbone)
    fits = is_card(source) or Path(source).is_dir() if of_card else is_model_file(source)
    if not fits or Path(source).suffix.lower() == ".h5":
        kind = "card or folder" if of_card else ".keras file"
        raise UsageError(
            f"Expected --weights to name the {kind} of {Path(backbone).name}, which has its own weights, received "
            f"{source!r}; leave --weights out, or give its path if it has moved."
        )
    return Path(source)


def find_imagenet(row: Backbone) -> Path | None:
    """Return the file of a backbone's ImageNet weights on this machine, or None."""
    return next((path for path in weights_places(row) if path.is_file()), None)


def weights_places(row: Backbone) -> list[Path]:
    """Return the files in which featx looks for a backbone's ImageNet weights, in this order.

    Weights that come with featx are in one place, so that a folder of other weights never replaces them.
    """
    if row.packaged is not None:
        return [row.packaged]
    candidates = [keras_cache() / row.weights_file]
    folder = os.environ.get(WEIGHTS_DIR)
    if folder:
        # Keras distinguishes its old file format from the new one by the file's name.
        candidates = [Path(folder) / f"{row.name}_notop.weights.h5", Path(folder) / row.weights_file, *candidates]
    return candidates


def keras_cache() -> Path:
    """Return the folder in which Keras keeps downloaded weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def download(row: Backbone) -> Path:
    """Let Keras download a backbone's ImageNet weights into its cache; Keras verifies the checksum."""
    log.info("Downloading the ImageNet weights of %s (%s).", row.name, row.weights_file)
    build = getattr(load_keras().applications, row.builder)
    shape = (row.size, row.size, 3)
    try:
        # Keras writes about the download to standard output, which is for results.
        with redirect_stdout(sys.stderr):
            build(include_top=False, weights="imagenet", input_shape=shape, **row.options)
    except Exception as error:
        # Keras raises a bare Exception while it handles the network's error, and a ValueError if the checksum is
        # wrong.
        if not isinstance(error, (OSError, ValueError)) and not isinstance(error.__context__, OSError):
            raise
        # Keras does not delete a file with a wrong checksum, and the next search would find it.
        (keras_cache() / row.weights_file).unlink(missing_ok=True)
        raise WeightsError(_no_download(row)) from error
    path = find_imagenet(row)
    if path is None:
        raise WeightsError(_no_download(row))
    return path


def is_random(source: str) -> bool:
    """Tell whether a choice of weights is `random` or `random:SEED`."""
    return source.split(":")[0] == "random"


def file_digest(path: Path, what: str = "the weights file") -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; `what` says in a message what the file is.

    Raises:
        WeightsError: The file cannot be read.
    """
    try:
        return digest_of_file(path)
    except OSError as error:
        reason = reason_of(error).lower()
        raise WeightsError(
            f"Expected {what} at {path}, but it cannot be read: {reason}; check the path, or name the file with "
            "--weights."
        ) from None


def weights_problem(path: Path) -> str | None:
    """Check that a weights file is whole: HDF5 that opens and, if Keras publishes its digest, has this digest.

    A file that comes with featx must have the digest of its backbone.

    Returns:
        What is wrong, to follow the file's name in a sentence; None if nothing is.
    """
    try:
        packaged = {row.packaged: row.sha256 for row in BACKBONES.values() if row.packaged is not None}
        if path in packaged:
            return None if digest_of_file(path) == packaged[path] else "is not as it came with featx"
        with open_file(path) as file:
            if file.read(len(SIGNATURE)) != SIGNATURE:
                return "is not an HDF5 file"
        if not _opens(path):
            return "is a damaged HDF5 file, such as an interrupted download"
        published = KERAS_DIGESTS.get(path.name)
        if published and digest_of_file(path, "md5" if len(published) == 32 else "sha256") != published:
            return "does not match the digest that Keras publishes for it"
    except OSError as error:
        return f"cannot be read: {reason_of(error).lower()}"
    return None


def _no_download(row: Backbone) -> str:
    return (
        f"Expected the ImageNet weights of {row.name}, but they are not on this machine and could not be downloaded; "
        f"put {row.weights_file} into {keras_cache()} or into the folder named by {WEIGHTS_DIR}, or pass "
        "--weights FILE, or --weights random for a trial."
    )


def _random(row: Backbone, source: str) -> Weights:
    _, _, text = source.partition(":")
    try:
        seed = int(text or "0")
    except ValueError:
        seed = -1
    if seed < 0:
        raise UsageError(
            f"Expected --weights random or random:SEED with a whole number from 0, received {source[:60]!r}."
        )
    log.warning("The weights of %s are random (seed %d): features will be poor.", row.name, seed)
    digest = digest_of({"random": RANDOM_RULE, "backbone": row.name, "seed": seed})
    return Weights(source, None, digest, seed)


def _opens(path: Path) -> bool:
    """Whether an HDF5 file opens and holds something."""
    try:
        import h5py
    except (ImportError, AttributeError, ValueError):  # without h5py, Keras will say what is wrong
        return True
    try:
        with h5py.File(path, "r") as file:
            return len(file) > 0
    except (OSError, RuntimeError):
        return False
