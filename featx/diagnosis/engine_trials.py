"""Which engines run here: each computes a small network or fits a small head, compared with plain NumPy or Keras."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.errors import EngineError, FeatxError
from featx.heads import Fitter, FusedFitter, KerasFitter, TrainingBatches
from featx.networks import build_network, find_weights, has_openvino, load_keras
from featx.progress import report_progress
from featx.recipes import BackbonePart, DenseLayer, FitPart, HeadPart, ImagesPart, PreprocessPart, Recipe
from featx.store import Store

SIZE = 16
# Of the rows' norm. NVIDIA's TensorFloat-32, in which TensorFlow convolves on GPUs that have it, keeps 10 bits of a
# factor: 3e-4 here. A row that is another's, or a kernel that is turned, is as far off as the rows are long.
TOLERANCE = 1e-3
BACKEND = "KERAS_BACKEND"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}

Does = Literal["network", "fit"]
State = Literal["runs", "wrong", "fails", "no space", "not installed", "needs keras"]
"""`wrong`: it runs and computes something else. `no space`: there is nowhere to write a temporary file."""


class WrongError(Exception):
    """An engine ran, and what it computed is not what it should be."""


@dataclass(frozen=True)
class Trial:
    """What came of trying one engine.

    Attributes:
        engine: Its name.
        does: `network` or `fit`.
        state: What came of it. `needs keras` was not tried, because Keras does not work.
        seconds: Loading and compiling included; 0 where it was not tried.
        reason: What it said where it was tried and does not run; None otherwise.
    """

    engine: str
    does: Does
    state: State
    seconds: float = 0.0
    reason: str | None = None

    @property
    def runs(self) -> bool:
        """It ran and computed what it should."""
        return self.state == "runs"

    @property
    def amiss(self) -> bool:
        """It was tried and does not run."""
        return self.state in ("wrong", "fails", "no space")

    def to_json(self) -> dict[str, Any]:
        """Return the attributes."""
        return {**asdict(self), "runs": self.runs, "seconds": round(self.seconds, 2)}


def other_backend() -> str | None:
    """Return what KERAS_BACKEND asks for in place of TensorFlow, with which alone featx computes; None if nothing."""
    asked = os.environ.get(BACKEND, "")
    return None if asked in ("", "tensorflow") else asked


def try_engines() -> list[Trial]:
    """Try every engine; the first trial loads TensorFlow, and that of `fused` may compile it.

    Networks for OpenVINO are made by Keras, and so are the weights with which `fused` begins: where Keras fails, they
    are not tried.
    """
    work: list[tuple[str, Does, Callable[[], None]]] = [
        ("keras", "network", lambda: _run_network("keras")),
        ("openvino", "network", lambda: _run_network("openvino")),
        ("keras", "fit", lambda: _fit("keras")),
        ("fused", "fit", lambda: _fit("fused")),
    ]
    trials: list[Trial] = []
    for number, (engine, does, run) in enumerate(work):
        report_progress("trying engines", number, len(work))
        if engine == "openvino" and not has_openvino():
            trials.append(Trial(engine, does, "not installed"))
        elif trials and trials[0].state == "fails":
            trials.append(Trial(engine, does, "needs keras"))
        else:
            trials.append(_tried(engine, does, run))
    report_progress("trying engines", len(work), len(work))
    return trials


def _tried(engine: str, does: Does, run: Callable[[], None]) -> Trial:
    start = time.perf_counter()
    state: State = "runs"
    reason = None
    try:
        run()
    except WrongError as error:
        state, reason = "wrong", str(error)
    except Exception as error:  # noqa: BLE001 - to tell of whatever a library fails with is what this is for
        state = "no space" if getattr(error, "errno", None) in _FULL else "fails"
        reason = said(error)
    return Trial(engine, does, state, time.perf_counter() - start, reason)


def said(error: Exception) -> str:
    """Return an error's message on one line, cut where it is long, after its kind where it is not featx's own.

    TensorFlow that does not load has a whole traceback for a message, in which the reason would be cut off.
    """
    if str(error).startswith("Traceback") and isinstance(error.__context__, Exception):
        return said(error.__context__)
    kind = "" if isinstance(error, FeatxError) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())[:200]


def _load_keras_on_tensorflow() -> Any:
    if other_backend() is None:
        keras = load_keras()
        if keras.backend.backend() == "tensorflow":
            return keras
    raise EngineError(f"Expected Keras on TensorFlow, received the backend {other_backend() or 'of keras.json'}.")


def _run_network(engine: Literal["keras", "openvino"]) -> None:
    """Run a convolution of known weights and compare its rows with NumPy's."""
    keras = _load_keras_on_tensorflow()
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(SIZE, SIZE, 3, 4)).astype(np.float32)
    images = generator.normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps what is mapped
        path = Path(folder) / "trial.keras"
        inputs = keras.Input((SIZE, SIZE, 3))
        layer = keras.layers.Conv2D(4, SIZE, use_bias=False)
        model = keras.Model(inputs, layer(inputs))
        model.set_weights([kernel])
        model.save(path)
        spec = Recipe(
            images=ImagesPart(size=SIZE),
            preprocess=PreprocessPart(mode="rescale"),
            backbone=BackbonePart(name=str(path)),
        )
        network = build_network(spec, find_weights(str(path)), Store(Path(folder) / "cache"), engine, 2)
        rows = network.rows(images)
    if not same_rows(rows, np.tensordot(images, kernel, 3)):
        raise WrongError("its rows of a small network are wrong")


def same_rows(rows: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    """Tell whether rows differ by no more than single precision or TensorFloat-32 explains.

    Args:
        rows: As an engine computed them, shape (n, d).
        expected: As they should be, shape (n, d).
    """
    if rows.shape != expected.shape:
        return False
    return bool(np.linalg.norm(rows - expected) <= TOLERANCE * np.linalg.norm(expected))


def _fit(engine: Literal["keras", "fused"]) -> None:
    """Fit a small head to two classes that a line tells apart."""
    recipe = Recipe(
        backbone=BackbonePart(name="vgg16"),
        head=HeadPart(layers=(DenseLayer(type="dense", units=8, activation="relu"),)),
        fit=FitPart(learning_rate=0.05, batch_size=8),
    )
    labels = np.arange(32) % 2
    rows = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32) + 3 * labels[:, None].astype(np.float32)
    fitter: Fitter = KerasFitter(recipe, 4, 2) if engine == "keras" else FusedFitter(recipe, 4, 2)
    batches = TrainingBatches(rows, labels, 1, 8, 0)
    losses = [fitter.run_epoch(batches, epoch, 0.05, epoch == 7)[0] for epoch in range(8)]
    if not losses[-1] < 0.5 * losses[0]:
        raise WrongError(f"its loss on a small head went from {losses[0]:.3g} to {losses[-1]:.3g} only")
