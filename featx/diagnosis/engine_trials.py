"""Trials of every engine on a small network or head with a known result."""

from __future__ import annotations

import errno
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx import networks
from featx.diagnosis.problems import Problem
from featx.errors import FeatxError
from featx.heads import Fitter, FusedFitter, KerasFitter, TrainingBatches
from featx.progress import report_progress
from featx.recipes import BackbonePart, DenseLayer, FitPart, HeadPart, Recipe
from featx.store import Store

SIZE = 16
# As a share of the rows' norm. TensorFloat-32, in which TensorFlow convolves on recent NVIDIA GPUs, keeps 10 bits of
# a factor: 3e-4 here. Rows in a wrong order, or a transposed kernel, differ by about the norm itself.
TOLERANCE = 1e-3
ENGINES = (
    ("keras", "network"),
    ("openvino", "network"),
    ("onnxruntime", "network"),
    ("keras", "fit"),
    ("fused", "fit"),
)
REINSTALL = {
    engine: f"pip install --upgrade --force-reinstall {packages}"
    for engine, packages in (
        ("keras", "tensorflow keras"),
        ("openvino", "openvino"),
        ("onnxruntime", "onnxruntime onnx"),
        ("fused", "numba"),
    )
}

EngineState = Literal["runs", "wrong", "fails", "no space", "not installed", "needs keras"]


@dataclass(frozen=True)
class EngineTrial:
    """The outcome of trying an engine on a small network or head with a known result; loading counts as time."""

    engine: str
    does: str
    state: EngineState
    seconds: float = 0.0
    reason: str | None = None


def try_engines() -> tuple[EngineTrial, ...]:
    """Try every engine; OpenVINO and `fused` need Keras, which makes the networks and the first weights for them."""
    trials: list[EngineTrial] = []
    for engine, does in ENGINES:
        report_progress("trying engines", len(trials), len(ENGINES))
        if not _is_installed(engine):
            trials.append(EngineTrial(engine, does, "not installed"))
        elif trials and trials[0].state == "fails" and engine != "onnxruntime":
            trials.append(EngineTrial(engine, does, "needs keras"))
        else:
            trials.append(_try_engine(engine, does))
    report_progress("trying engines", len(ENGINES), len(ENGINES))
    return tuple(trials)


def _is_installed(engine: str) -> bool:
    if engine == "onnxruntime":  # the package onnx makes the network that it is tried with
        return networks.has_onnxruntime() and find_spec("onnx") is not None
    return engine != "openvino" or networks.has_openvino()


def _try_engine(engine: str, does: str) -> EngineTrial:
    start = time.perf_counter()
    try:
        reason = _run_network(engine) if does == "network" else _train_head(engine)
        state: EngineState = "runs" if reason is None else "wrong"
    except Exception as error:  # noqa: BLE001 - whatever a broken library raises is what the diagnosis reports
        state = "no space" if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) else "fails"
        reason = _message(error)
    return EngineTrial(engine, does, state, round(time.perf_counter() - start, 2), reason)


def _run_network(engine: Any) -> str | None:
    """Run a convolution with known weights; return what is wrong with its rows."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(SIZE, SIZE, 3, 4)).astype(np.float32)
    images = generator.normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps files that are mapped
        path = (_write_onnx if engine == "onnxruntime" else _write_keras)(Path(folder), kernel)
        source = networks.NetworkSource(
            BackbonePart(name=str(path)),
            (SIZE, SIZE),
            networks.find_weights(str(path)),
            Store(Path(folder) / "cache"),
        )
        rows = source.build(engine, 2).rows(images)
    expected = np.tensordot(images, kernel, 3)
    right = rows.shape == expected.shape and np.linalg.norm(rows - expected) <= TOLERANCE * np.linalg.norm(expected)
    return None if right else "its rows of a small network are wrong"


def _write_keras(folder: Path, kernel: NDArray[np.float32]) -> Path:
    """Write the convolution as a Keras model."""
    with networks.plain_keras() as keras:
        inputs = keras.Input((SIZE, SIZE, 3))
        model = keras.Model(inputs, keras.layers.Conv2D(4, SIZE, use_bias=False)(inputs))
        model.set_weights([kernel])
        model.save(folder / "trial.keras")
    return folder / "trial.keras"


def _write_onnx(folder: Path, kernel: NDArray[np.float32]) -> Path:
    """Write the convolution as an ONNX file with a card."""
    from onnx import TensorProto, helper, numpy_helper, save

    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 4, 1, 1])
    weights = numpy_helper.from_array(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), "kernel")
    node = helper.make_node("Conv", ["images", "kernel"], ["rows"])
    graph = helper.make_graph([node], "trial", [images], [rows], [weights])
    path = folder / "trial.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    card = networks.Card.model_validate(
        {
            "name": "trial",
            "kind": "onnx",
            "files": {path.name: networks.file_digest(path)},
            "input": {"layout": "nchw", "colour": "rgb", "size": (SIZE, SIZE)},
            "pixels": {"interpolation": "bilinear", "scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3},
        }
    )
    networks.write_card(card, path.with_suffix(".toml"))
    return path.with_suffix(".toml")


def _train_head(engine: str) -> str | None:
    """Train a small head on two classes that a line separates; return what is wrong with its loss."""
    layers = (DenseLayer(type="dense", units=8, activation="relu"),)
    fit = FitPart(learning_rate=0.05, batch_size=8)
    recipe = Recipe(backbone=BackbonePart(name="vgg16"), head=HeadPart(layers=layers), fit=fit)
    labels = np.arange(32) % 2
    rows = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32) + 3 * labels[:, None].astype(np.float32)
    fitter: Fitter = KerasFitter(recipe, 4, 2) if engine == "keras" else FusedFitter(recipe, 4, 2)
    batches = TrainingBatches(rows, labels, 1, 8, 0)
    losses = [fitter.run_epoch(batches, epoch, 0.05, epoch == 7)[0] for epoch in range(8)]
    right = losses[-1] < 0.5 * losses[0]
    return None if right else f"its loss on a small head only went from {losses[0]:.3g} to {losses[-1]:.3g}"


def _message(error: Exception) -> str:
    """Return an error's message on one line, after its kind if it is not featx's own, and cut if it is long."""
    # TensorFlow that does not load has a whole traceback for a message, and cutting it would lose the reason.
    if str(error).startswith("Traceback") and isinstance(error.__context__, Exception):
        return _message(error.__context__)
    kind = "" if isinstance(error, FeatxError) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())[:200]


def engine_problems(trials: tuple[EngineTrial, ...]) -> Iterator[Problem]:
    """Yield the engines that are installed and do not work."""
    for trial in trials:
        if trial.state in ("wrong", "fails", "no space"):
            fix = REINSTALL[trial.engine]
            if trial.state == "no space":
                fix = "free some space where temporary files are written, or name another folder in TMPDIR"
            yield Problem(f"the engine {trial.engine} does not work ({trial.does}): {trial.reason}", fix)
