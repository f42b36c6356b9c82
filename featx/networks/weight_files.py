"""Whether a weights file is whole: HDF5 that opens, and where Keras gives its digest, the file that Keras means."""

from __future__ import annotations

import hashlib
from pathlib import Path

SIGNATURE = b"\x89HDF\r\n\x1a\n"

# By the names under which Keras keeps its files: MD5, or SHA-256 where it is longer. Source: the argument `file_hash`
# and the tables WEIGHTS_HASHES of keras/src/applications. Of MobileNetV2 Keras gives none.
KERAS_DIGESTS = {
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5": "6d6bbae143d832006294945121d1f1fc",
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5": "253f8cb515780f3b799900260a226db6",
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5": "4d473c1dd8becc155b73f8504c6f6626",
    "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5": "fac2f116257151a9d068a22e544a4917",
    "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5": "30ee3e1110167f948a6b9946edeeb738",
    "efficientnetv2-b0_notop.h5": "893217f2bb855e2983157299931e43ff",
    "convnext_tiny_notop.h5": "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
}


def fault_in(path: Path) -> str | None:
    """Say what is wrong with a weights file, to follow its name in a sentence; None if nothing was found.

    A file that opens may still have been changed: only the digest tells, which Keras publishes of most of its own.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(SIGNATURE)) != SIGNATURE:
                return "is no HDF5 file"
        if not _opens(path):
            return "is a damaged HDF5 file, such as a download that was broken off"
        known = KERAS_DIGESTS.get(path.name)
        if known is not None and _digest(path, known) != known:
            return "does not match the digest that Keras publishes for it"
    except OSError as error:
        return f"cannot be read: {(error.strerror or str(error)).lower()}"
    return None


def _opens(path: Path) -> bool:
    try:
        import h5py
    except (ImportError, AttributeError, ValueError):  # what is wrong with it, Keras's own trial tells
        return True
    try:
        with h5py.File(path, "r") as file:
            return len(file) > 0
    except (OSError, RuntimeError):
        return False


def _digest(path: Path, like: str) -> str:
    kind = "md5" if len(like) == 32 else "sha256"
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
