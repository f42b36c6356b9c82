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
from featx.networks import load_onnxruntime, onnxruntime_failures
from featx.runs import HeadModel, Model

PACKAGES = ("onnx", "onnxruntime", "skl2onnx", "tf2onnx")
INPUT, OUTPUT = "images", "probabilities"


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


def write_onnx(path: Path, model: Model, space: FeatureSpace) -> str:
    """Write a run's head or a saved classifier with its network and preprocessing; return what the file's input is.

    Raises:
        UsageError: ONNX does not express the network or the classifier, or the file would be too large.
        FeatxError: What reading the network and the head raises.
        OSError: The file cannot be written.
    """
    import onnx

    card = space.weights.card
    backbone: CardBackbone | KerasBackbone
    backbone = KerasBackbone(space) if card is None or card.kind == "keras" else CardBackbone(space, card)
    document = _document(model, space, backbone)
    pixels = f"{ANY_SIZE}; one image at a time" if backbone.one_by_one else ANY_SIZE
    onnx.helper.set_model_props(document, as_texts(provenance(model, space, pixels)))
    path.write_bytes(_serialised(document))
    return pixels


def _serialised(document: Any) -> bytes:
    from google.protobuf.message import EncodeError

    try:
        return bytes(document.SerializeToString())
    except EncodeError as error:
        raise UsageError(
            "Expected a network and a head of at most 2 GB together, which is the most that an ONNX file holds, but "
            "these are larger; train a head on pooled features (--pooling avg), which is far smaller."
        ) from error


def _document(model: Model, space: FeatureSpace, backbone: CardBackbone | KerasBackbone) -> Any:
    from onnx import TensorProto, helper

    graph = Graph(backbone.opset)
    pixels = network_input(graph, INPUT, space.spec.images, space.preprocessing)
    rows = backbone.rows(graph, pixels)
    if space.spec.features.dtype == "float16":
        # As rows are stored, and so as the head knows them.
        rows = graph.cast(graph.cast(rows, np.float16), np.float32)
    probabilities = _probabilities(graph, rows, model, space)
    images = 1 if backbone.one_by_one else "images"
    return graph.model(
        helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [images, "height", "width", 3]),
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [images, len(model.classes)]),
        probabilities,
    )


def _probabilities(graph: Graph, rows: str, model: Model, space: FeatureSpace) -> str:
    if isinstance(model, HeadModel):
        return head_probabilities(graph, rows, model.head, model.multilabel, model.temperature)
    if not isinstance(model, SavedClassifier):
        raise UsageError(f"Expected a run or a saved classifier, received {type(model).__name__}; pass its folder.")
    head = model.load_head()
    if head is not None:
        rows = penultimate(graph, rows, head)
    return classifier_probabilities(graph, rows, model.estimator, model.dim)


class OnnxSession:
    """An exported file in onnxruntime."""

    def __init__(self, path: Path) -> None:
        runtime = load_onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except onnxruntime_failures() as error:
            raise EngineError(
                f"Expected a file that onnxruntime reads, but it refuses it: {reason_of(error).rstrip('.')}; use "
                "--format keras, or another network."
            ) from error

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probabilities, (classes,), of an image, (height, width, 3) RGB, of any size."""
        try:
            (output,) = self._session.run([OUTPUT], {INPUT: pixels[None]})
        except onnxruntime_failures() as error:
            raise EngineError(
                f"Expected a file that onnxruntime runs, but it fails on {pixels.shape[1]} × {pixels.shape[0]} "
                f"pixels: {reason_of(error).rstrip('.')}; use --format keras, or another network."
            ) from error
        probabilities: NDArray[np.float64] = np.asarray(output, np.float64)[0]
        return probabilities
