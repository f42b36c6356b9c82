"""An ONNX file from pixels of any size to probabilities, and its check in onnxruntime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import SavedClassifier
from featx.errors import EngineError, UsageError, reason_of
from featx.exporting.backbone import CardBackbone, KerasBackbone
from featx.exporting.classifying import classifier_probabilities, head_probabilities, penultimate
from featx.exporting.graph import Graph
from featx.exporting.pixels import network_input
from featx.exporting.provenance import ANY_SIZE, as_texts, provenance
from featx.features import FeatureSpace
from featx.runs import HeadModel, Model

PACKAGES = ("onnx", "onnxruntime", "skl2onnx", "tf2onnx")
INPUT, OUTPUT = "images", "probabilities"
# Protocol Buffers, in which ONNX files are written, hold at most 2 GB.
LARGEST = 2**31 - 2**20


def check_installed() -> None:
    """Check that the packages for ONNX are installed.

    Raises:
        UsageError: One is not.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Expected the package{'s' if len(missing) > 1 else ''} {', '.join(missing)} for --format onnx, not "
            "installed here; install them with pip install 'featx[onnx]', or use --format keras."
        )


def write_onnx(path: Path, model: Model, space: FeatureSpace) -> None:
    """Write a run's head or a saved classifier with its network and preprocessing.

    Raises:
        UsageError: ONNX does not express the network or the classifier, or the file would be too large.
        FeatxError: What reading the network and the head raises.
        OSError: The file cannot be written.
    """
    import onnx

    document = _document(model, space)
    size = sum(len(tensor.raw_data) for tensor in document.graph.initializer)
    if size > LARGEST:
        raise UsageError(
            f"Expected a network and a head of at most 2 GB together, which is the most that an ONNX file holds, "
            f"found {size / 1e9:.1f} GB; train a head on pooled features (--pooling avg), which is far smaller."
        )
    onnx.helper.set_model_props(document, as_texts(provenance(model, space, ANY_SIZE)))
    path.write_bytes(document.SerializeToString())


def _document(model: Model, space: FeatureSpace) -> Any:
    from onnx import TensorProto, helper

    card = space.weights.card
    backbone: CardBackbone | KerasBackbone
    if card is None or card.kind == "keras":
        backbone, count = KerasBackbone(space), None
    else:
        backbone = CardBackbone(space, card)
        count = backbone.images
    graph = Graph(backbone.opset)
    pixels = network_input(graph, INPUT, space.spec.images, space.preprocessing)
    rows = backbone.rows(graph, pixels)
    if space.spec.features.dtype == "float16":
        # As rows are stored, and so as the head knows them.
        rows = graph.cast(graph.cast(rows, np.float16), np.float32)
    probabilities = _probabilities(graph, rows, model, space)
    images = count or "images"
    return graph.model(
        helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [images, "height", "width", 3]),
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [images, len(model.classes)]),
        probabilities,
    )


def _probabilities(graph: Graph, rows: str, model: Model, space: FeatureSpace) -> str:
    if isinstance(model, HeadModel):
        return head_probabilities(graph, rows, model.head)
    if not isinstance(model, SavedClassifier):
        raise UsageError(f"Expected a run or a saved classifier, received {type(model).__name__}; pass its folder.")
    head = model.load_head()
    if head is not None:
        rows = penultimate(graph, rows, head)
    return classifier_probabilities(graph, rows, model.estimator, model.dim)


class OnnxSession:
    """An exported file in onnxruntime."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _errors() as error:
            raise EngineError(
                f"Expected a file that onnxruntime reads, but it refuses it: {reason_of(error).rstrip('.')}; use "
                "--format keras, or another network."
            ) from error

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probabilities, (classes,), of an image, (height, width, 3) RGB, of any size."""
        try:
            (output,) = self._session.run([OUTPUT], {INPUT: pixels[None]})
        except _errors() as error:
            raise EngineError(
                f"Expected a file that onnxruntime runs, but it fails on {pixels.shape[1]} × {pixels.shape[0]} "
                f"pixels: {reason_of(error).rstrip('.')}; use --format keras, or another network."
            ) from error
        probabilities: NDArray[np.float64] = np.asarray(output, np.float64)[0]
        return probabilities


def _errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises; its own errors have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (one for one in vars(state).values() if isinstance(one, type) and issubclass(one, Exception))
    return (*own, RuntimeError, ValueError)
