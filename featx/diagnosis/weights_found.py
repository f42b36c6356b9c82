"""Where the ImageNet weights of each backbone were found, and whether the files are whole."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from featx.diagnosis.mending import Amiss
from featx.errors import WeightsError
from featx.networks import BACKBONES, WEIGHTS_DIR, Backbone, fault_in, file_digest, find_imagenet, places
from featx.progress import report_progress


@dataclass(frozen=True)
class WeightsFound:
    """ImageNet weights of one backbone.

    Attributes:
        backbone: Its name.
        path: The file that would be taken; None where it would be downloaded.
        sha256: Of its bytes; None where it cannot be read.
        fault: What is wrong with it, or why it cannot be looked for; None if nothing is.
        looked: Where weights are looked for, in this order.
    """

    backbone: str
    path: str | None
    sha256: str | None
    fault: str | None
    looked: tuple[str, ...]


def look_for_weights() -> tuple[WeightsFound, ...]:
    """Look for the weights of every backbone as `find_weights` does; nothing is downloaded."""
    found = []
    for number, row in enumerate(BACKBONES.values()):
        report_progress("looking for weights", number, len(BACKBONES))
        found.append(_look(row))
    return tuple(found)


def _look(row: Backbone) -> WeightsFound:
    looked: tuple[str, ...] = ()
    try:
        looked = tuple(map(str, places(row)))
        path = find_imagenet(row)
    except (OSError, RuntimeError) as error:  # a folder that is somebody else's, or nobody's home
        return WeightsFound(row.name, None, None, f"cannot be looked for ({error})", looked)
    if path is None:
        return WeightsFound(row.name, None, None, None, looked)
    digest = None
    with suppress(WeightsError):  # then the fault says that it cannot be read
        digest = file_digest(path)
    return WeightsFound(row.name, str(path), digest, fault_in(path), looked)


def amiss_with_weights(found: tuple[WeightsFound, ...]) -> Iterator[Amiss]:
    """Tell of files that are not whole and of a folder that is none, with what mends it."""
    folder = os.environ.get(WEIGHTS_DIR)
    if folder and not (Path(folder).is_dir() and os.access(folder, os.R_OK | os.X_OK)):
        yield Amiss(
            f"{WEIGHTS_DIR} names {folder}, which is no folder that can be read",
            f"unset {WEIGHTS_DIR}, or correct it",
        )
    else:
        # The same folder is in the way for every backbone.
        for fault in sorted({one.fault for one in found if one.path is None and one.fault is not None}):
            yield Amiss(
                f"ImageNet's weights {fault}", f"name a folder that can be read in {WEIGHTS_DIR} or KERAS_HOME"
            )
    for one in found:
        if one.path is not None and one.fault is not None:
            what = f"the weights of {one.backbone}: the file {one.path} {one.fault}"
            yield Amiss(what, _mend(Path(one.path), one.sha256))


def _mend(path: Path, digest: str | None) -> str:
    if digest is None:
        return f"chmod u+r {shlex.quote(str(path))} if it is yours, or name another folder in {WEIGHTS_DIR}"
    return f"rm {shlex.quote(str(path))}, and copy it here again or let it be downloaded when it is needed"
