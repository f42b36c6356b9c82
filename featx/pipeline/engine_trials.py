"""Which engines run here: each computes a small network or fits a small head, compared with plain NumPy or Keras."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from featx.errors import FeatxError
from featx.framework import has_openvino, load_keras
from featx.pipeline.fit_engines import Fitter, FusedFitter, KerasFitter
from featx.pipeline.networks import build_network
from featx.pipeline.progress import Progress
from featx.recipe import BackbonePart, DenseLayer, FitPart, HeadPart, ImagesPart, PreprocessPart, Recipe
from featx.sampling import TrainingBatches
from featx.store import Store
from featx.weights import find_weights

SIZE = 16
# Engines' rows of a small network differ by rounding alone; a wrong one differs by far more.
TOLERANCE = 1e-3

# What libraries raise that are not as they should be: not there, of the wrong version, without a file of theirs.
BROKEN = (ImportError, AttributeError, OSError, RuntimeError, ValueError, TypeError, FeatxError)


@dataclass(frozen=True)
class Trial:
    """What came of trying one engine.

    Attributes:
        engine: Its name.
        does: `network` or `fit`.
        runs: It ran and computed what it should.
        seconds: Loading and compiling included.
        reason: Why not; None where it runs.
    """

    engine: str
    does: Literal["network", "fit"]
    runs: bool
    seconds: float
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes."""
        return {**asdict(self), "seconds": round(self.seconds, 2)}


def try_engines(progress: Progress) -> list[Trial]:
    """Try every engine; the first trial loads TensorFlow, and that of `fused` may compile it."""
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        work: list[tuple[str, Literal["network", "fit"], Callable[[], None]]] = [
            ("keras", "network", lambda: _run_network("keras", place)),
            ("openvino", "network", lambda: _run_network("openvino", place)),
            ("keras", "fit", lambda: _fit("keras")),
            ("fused", "fit", lambda: _fit("fused")),
        ]
        for number, (engine, does, run) in enumerate(work):
            progress("trying engines", number, len(work))
            if engine == "openvino" and not has_openvino():
                reason = "it is not installed"
                trials.append(Trial(engine, does, False, 0.0, reason))
            else:
                trials.append(_tried(Trial(engine, does, True, 0.0), run))
        progress("trying engines", len(work), len(work))
    return trials


def _tried(trial: Trial, run: Callable[[], None]) -> Trial:
    start = time.perf_counter()
    try:
        run()
    except BROKEN as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        trial = replace(trial, runs=False, reason=reason)
    return replace(trial, seconds=time.perf_counter() - start)


def _run_network(engine: Literal["keras", "openvino"], folder: Path) -> None:
    """Run a convolution of known weights and compare its rows with NumPy's."""
    path = folder / "trial.keras"
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(SIZE, SIZE, 3, 4)).astype(np.float32)
    if not path.exists():
        keras = load_keras()
        inputs = keras.Input((SIZE, SIZE, 3))
        layer = keras.layers.Conv2D(4, SIZE, use_bias=False)
        model = keras.Model(inputs, layer(inputs))
        model.set_weights([kernel])
        model.save(path)
    spec = Recipe(
        images=ImagesPart(size=SIZE), preprocess=PreprocessPart(mode="rescale"), backbone=BackbonePart(name=str(path))
    )
    network = build_network(spec, find_weights(str(path)), Store(folder / "cache"), engine, 2)
    images = generator.normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    rows = network.rows(images)
    expected = np.tensordot(images, kernel, 3)
    if not np.allclose(rows, expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise RuntimeError("its rows of a small network are wrong")


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
        raise RuntimeError(f"its loss on a small head went from {losses[0]:.3g} to {losses[-1]:.3g} only")
