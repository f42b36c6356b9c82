"""The engine `onnxruntime`: a card's network in the format ONNX, run as it is over batches of preprocessed images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import EngineError, RecipeError, UsageError, reason_of
from featx.machine import available_memory, usable_cpus
from featx.networks.cards.card import Card
from featx.networks.framework import load_onnxruntime, onnxruntime_failures
from featx.networks.graphs.onnx_files import scan_onnx
from featx.networks.graphs.ports import check_sides, choose_input, choose_output, listed, needs_batch
from featx.networks.graphs.tails import Output, tail_of
from featx.networks.memory import check_maps
from featx.recipes import BackbonePart

# What onnxruntime says of the types of values, in OpenVINO's words.
TYPES = {"float": "f32", "float16": "f16", "bfloat16": "bf16", "double": "f64"}
TYPES |= {"uint8": "u8", "int32": "i32", "int64": "i64"}
NUMPY = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "u8": np.uint8, "i32": np.int32, "i64": np.int64}
# onnxruntime does not say how large its maps are. Most networks have at least so many channels at full resolution.
CHANNELS = 16
# Where a model that is given as bytes has its other files.
FOLDER_OPTION = "session.model_external_initializers_file_folder_path"


class OnnxRuntimeNetwork:
    """A card's network in the format ONNX, run by onnxruntime on this machine's CPU.

    All batches have the same shape, and the last one is padded.

    Args:
        card: The network's card.
        backbone: What is cut off and pooled.
        shape: Height and width of the input in pixels.
        batch_size: Images of a batch; 1 if the network is made for one.

    Attributes:
        input: The name of the file's image input.
        type: The type of its values.
        output: The name of the output, or inner value, that is used.
        tail: The steps from it to a row.

    Raises:
        EngineError: onnxruntime cannot read or run the network.
        RecipeError: The card, the size, the cut or the pooling does not fit the network.
        WeightsError: The file is damaged.
        UsageError: An inner value is named, for which the package onnx is missing.
    """

    name = "onnxruntime"
    takes_pixels = False

    def __init__(self, card: Card, backbone: BackbonePart, shape: tuple[int, int], batch_size: int = 4) -> None:
        self.parameters = scan_onnx(card.main).parameters
        self._card = card
        wanted = backbone.cut or card.output.name
        self._session = _session(card, wanted)
        self.input, sides, self.type = _image_input(self._session, card, shape)
        fixed = sides[0] if sides else None
        if fixed not in (None, 1):
            raise needs_batch(card, self.input, fixed)
        self.batch_size = fixed or batch_size
        check_maps(shape, self.batch_size, lambda: CHANNELS * math.prod(shape))
        outputs = [one.name for one in self._session.get_outputs()]
        if wanted is None and len(outputs) != 1:
            raise choose_output(card, None, outputs, [])
        self.output = wanted or outputs[0]
        trial = self._trial((*shape, card.input.channels))
        if not trial.ndim or len(trial) != self.batch_size:
            raise needs_batch(card, self.output, len(trial) if trial.ndim else 0)
        found = Output(self.output, trial.shape[1:], card.name)
        layout = card.output.layout or card.input.layout
        self.tail = tail_of(found, card.output, backbone.pooling, layout, shape, cut=backbone.cut is not None)
        self.width = self.tail.width

    def _trial(self, sides: tuple[int, int, int]) -> NDArray[Any]:
        """Return the output of black images; where a batch does not run, it is of one image from then on."""
        try:
            return self._run(np.zeros((self.batch_size, *sides), np.float32))
        except EngineError:
            if self.batch_size == 1:
                raise
            self.batch_size = 1
            return self._run(np.zeros((1, *sides), np.float32))

    def rows(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return (n, width) features of at most `batch_size` images, preprocessed, (n, height, width, channels)."""
        batch = np.zeros((self.batch_size, *images.shape[1:]), np.float32)
        batch[: len(images)] = images
        rows = self.tail(np, self._run(batch).astype(np.float32))
        return np.asarray(rows[: len(images)], np.float32)

    def stream(self, batches: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of each batch, in order."""
        return map(self.rows, batches)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        height, width = batch.shape[1:3]
        if self._card.input.layout == "nchw":
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        try:
            (output,) = self._session.run([self.output], {self.input: batch.astype(self.type)})
        except onnxruntime_failures() as error:
            raise EngineError(
                f"Expected a network that onnxruntime can run on {height} × {width} pixels, but {self._card.name} "
                f"fails: {_problem(error)}; use the engine openvino (--engine openvino), or pass another network."
            ) from error
        return np.asarray(output)


def _session(card: Card, wanted: str | None) -> Any:
    """Return a session in which the wanted output can be asked for."""
    session = _opened(card, str(card.main))
    outputs = [one.name for one in session.get_outputs()]
    if wanted is None or wanted in outputs:
        return session
    model = onnx_package(f"to cut {card.name} at {wanted[:80]!r}").load(card.main, load_external_data=False)
    inner = [name for node in model.graph.node for name in node.output]
    if wanted not in inner:
        raise choose_output(card, wanted, outputs, inner)
    return _opened(card, with_output(model, wanted))


def onnx_package(purpose: str) -> ModuleType:
    """Return the package onnx, which is needed for inner values alone.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise UsageError(
            f"Expected the package onnx, {purpose}, but it is not installed; install it with pip install "
            "'featx[onnx]', or use the engine openvino (--engine openvino)."
        ) from None
    return onnx


def with_output(model: Any, name: str) -> bytes:
    """Return an ONNX model whose only output is a value inside it."""
    del model.graph.output[:]
    model.graph.output.add().name = name
    return bytes(model.SerializeToString())


def _opened(card: Card, model: str | bytes) -> Any:
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what is wrong is raised
    options.add_session_config_entry("session.use_env_allocators", "1")
    _limit_memory(runtime)
    if isinstance(model, bytes):
        folder = str(card.main.parent)
        options.add_session_config_entry(FOLDER_OPTION, folder)
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except onnxruntime_failures() as error:
        raise EngineError(
            f"Expected a network that onnxruntime can run in {card.main}, but it cannot: {_problem(error)}; use the "
            "engine openvino (--engine openvino), or pass another network."
        ) from error


@cache
def _limit_memory(runtime: ModuleType) -> None:
    """Let onnxruntime take no more memory than is free, so that a network that wants more gives an error."""
    memory = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    runtime.create_and_register_allocator(memory, runtime.OrtArenaCfg({"max_mem": available_memory()}))


def _problem(error: Exception) -> str:
    """Return what onnxruntime says, without its number and the function that says it."""
    text = str(error)
    for mark in ("Fatal error: ", "Status Message: ", "failed:", " : "):
        text = text.rpartition(mark)[2] or text
    return reason_of(ValueError(text)).rstrip(" .")


def _image_input(session: Any, card: Card, shape: tuple[int, int]) -> tuple[str, list[int | None], Any]:
    """Return the image input's name, the lengths of its axes, and the type of its values."""
    inputs = {one.name: one for one in session.get_inputs()}
    names = list(inputs)
    wanted = card.input.name
    if len(names) > 1:
        raise RecipeError(
            f"Expected a network that takes images alone for the engine onnxruntime, but {card.name} takes "
            f"{listed(names)}; use the engine openvino (--engine openvino), which leaves out what an output does not "
            "need, or export the part for images alone."
        )
    if not names or wanted not in (None, *names):
        raise choose_input(card, names, names, card.output.name or "of the network")
    (one,) = inputs.values()
    sides = [side if isinstance(side, int) else None for side in one.shape or []]
    kind = TYPES.get(one.type.removeprefix("tensor(").removesuffix(")"), one.type)
    check_sides(card, one.name, sides, shape, kind if kind in NUMPY else one.type)
    return one.name, sides, NUMPY[kind]
