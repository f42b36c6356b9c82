"""Files for TensorBoard's Embedding Projector, which makes maps of its own from the features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TENSORS = "tensors.tsv"
METADATA = "metadata.tsv"
CONFIG = "projector_config.pbtxt"


def tensors(X: NDArray[np.floating[Any]]) -> Iterable[str]:
    """Yield a line an image: its features, separated by tabs."""
    for row in X:
        yield "\t".join(f"{value:.6g}" for value in row) + "\n"


def metadata(columns: Mapping[str, Sequence[Any]]) -> Iterable[str]:
    """Yield a header and a line an image; several columns, as one alone would have no header."""
    yield "\t".join(map(_cell, columns)) + "\n"
    for values in zip(*columns.values(), strict=True):
        yield "\t".join(map(_cell, values)) + "\n"


def config(name: str) -> str:
    """Return what makes a folder one that `tensorboard --logdir` opens."""
    escaped = _cell(name).replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'embeddings {{\n  tensor_name: "{escaped}"\n  tensor_path: "{TENSORS}"\n  metadata_path: "{METADATA}"\n}}\n'
    )


def _cell(value: Any) -> str:
    """A name may hold what separates cells and lines."""
    return " ".join(str(value).splitlines()).replace("\t", " ")
