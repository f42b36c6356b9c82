"""Images for audits: features, labels and small copies that are made up, without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits import AuditData, AuditOptions
from featx.features import FeatureTable, default_recipe
from featx.previews import FACTS, Previews
from featx.runs import Predicted, Source
from featx.store import Store


def audit_data_of(
    tmp_path: Path,
    labels: Sequence[str | None],
    *,
    X: NDArray[Any] | None = None,
    groups: Sequence[str | None] | None = None,
    extra: Mapping[str, Sequence[Any]] | None = None,
    previews: Previews | None = None,
    splits: Sequence[str] | None = None,
    predicted: Predicted | None = None,
    targets: NDArray[np.float32] | None = None,
    label_names: tuple[str, ...] = (),
    options: AuditOptions | None = None,
) -> AuditData:
    n = len(labels)
    noise = np.random.default_rng(0).normal(size=(n, 8))
    digests = tuple(f"{number:064x}" for number in range(n))
    table = FeatureTable(
        (noise if X is None else X).astype(np.float32),
        ids=tuple(f"{number:04d}.png" for number in range(n)),
        labels=tuple(labels),
        splits=("train",) * n if splits is None else tuple(splits),
        groups=(None,) * n if groups is None else tuple(groups),
        digests=digests,
        views=(0,) * n,
        extra={name: tuple(cells) for name, cells in (extra or {}).items()},
        targets=targets,
        label_names=label_names,
    )
    source = Source("images", "backbone", "0" * 32, table, (), predicted=predicted)
    data = AuditData(source, default_recipe("efficientnetlite0"), Store(tmp_path), options=options or AuditOptions())
    if previews is not None:
        data.__dict__["previews"] = previews
    return data


def previews_from(pixels: NDArray[Any], **facts: Any) -> Previews:
    """Small copies of grey images, (n, 32, 32) from 0 to 255, of JPEG files of one kind, with facts that differ."""
    n = len(pixels)
    same = {name: np.full(n, 224.0 if name in ("width", "height") else np.nan, np.float32) for name in FACTS}
    own = {name: np.asarray(values, np.float32) for name, values in facts.items()}
    rgb = np.repeat(pixels[..., None], 3, axis=3).clip(0, 255).astype(np.uint8)
    return Previews(rgb, same | own, ("JPEG",) * n, np.ones(n, bool))
