"""From rows to probabilities as nodes of ONNX: a head's layers, or a classifier of scikit-learn."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from featx.errors import UsageError
from featx.exporting.graph import Graph
from featx.heads import LOGITS, Head

CLASSIFIER = "classifier/"
# Classifiers that ONNX expresses, by the class of scikit-learn, and what people call the others.
EXPRESSED = {
    "LogisticRegression",
    "CalibratedClassifierCV",
    "KNeighborsClassifier",
    "LinearDiscriminantAnalysis",
    "RandomForestClassifier",
}
NAMES = {"HistGradientBoostingClassifier": "boosting", "DummyClassifier": "majority"}
# Newer versions of the operators for trees are not in all converters.
CLASSIFIER_OPSET = 3
SIMPLE = {"relu": "Relu", "elu": "Elu", "selu": "Selu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus"}
# Layers that join the members of a head.
JOINING = {"Maximum": "Max", "Minimum": "Min", "Subtract": "Sub", "Add": "Add"}


def head_probabilities(
    graph: Graph, rows: str, head: Head, multilabel: bool = False, temperature: float = 1.0
) -> str:
    """Return a head's probabilities, (n, classes), of several labels each by itself; there is no dropout in them."""
    values = _layers(graph, rows, head, [LOGITS])[0]
    if temperature != 1:
        values = graph.add("Div", values, graph.constant(temperature, np.float32))
    if multilabel:
        return graph.add("Sigmoid", values)
    if head.model.output_shape[1] > 1:
        return graph.add("Softmax", values, axis=1)
    second = graph.add("Sigmoid", values)
    return graph.add("Concat", graph.add("Sub", graph.constant(1, np.float32), second), second, axis=1)


def penultimate(graph: Graph, rows: str, head: Head) -> str:
    """Return the output of a head's penultimate layer, (n, units), of several members side by side."""
    names = [layer.name for layer in head.penultimate_layers()]
    parts = _layers(graph, rows, head, names)
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _layers(graph: Graph, rows: str, head: Head, wanted: Sequence[str]) -> list[str]:
    """Return the outputs of the layers of these names."""
    outputs: dict[str, str] = {}
    for layer in head.model.layers:
        inputs = [outputs[name] for name in head.sources(layer)]
        outputs[layer.name] = _output(graph, layer, inputs) if inputs else rows
        if all(name in outputs for name in wanted):
            break
    return [outputs[name] for name in wanted]


def _output(graph: Graph, layer: Any, inputs: Sequence[str]) -> str:
    """Return the output of a layer of a head; there is no dropout in it."""
    kind, config = type(layer).__name__, layer.get_config()
    if kind == "Dense":
        kernel, bias = (graph.constant(value, np.float32) for value in layer.get_weights())
        return _activated(graph, graph.add("Gemm", *inputs, kernel, bias), config["activation"])
    if kind == "Activation":
        return _activated(graph, inputs[0], config["activation"])
    if kind == "Rescaling":
        scale, offset = (graph.constant(config[name], np.float32) for name in ("scale", "offset"))
        return graph.add("Add", graph.add("Mul", *inputs, scale), offset)
    return graph.add(JOINING[kind], *inputs) if kind in JOINING else inputs[0]


def _activated(graph: Graph, values: str, activation: str) -> str:
    if activation == "linear":
        return values
    if activation in ("softmax", "log_softmax"):
        return graph.add("Softmax" if activation == "softmax" else "LogSoftmax", values, axis=1)
    if activation == "silu":
        return graph.add("Mul", values, graph.add("Sigmoid", values))
    if activation == "gelu":
        half, root = graph.constant(0.5, np.float32), graph.constant(2**0.5, np.float32)
        one = graph.constant(1, np.float32)
        share = graph.add("Add", graph.add("Erf", graph.add("Div", values, root)), one)
        return graph.add("Mul", graph.add("Mul", values, half), share)
    return graph.add(SIMPLE[activation], values)


def classifier_probabilities(graph: Graph, rows: str, pipeline: Any, width: int) -> str:
    """Return the probabilities, (n, classes), of a fitted pipeline of scikit-learn for rows (n, width).

    Raises:
        UsageError: ONNX does not express it.
    """
    kind = type(pipeline.steps[-1][1]).__name__
    if kind not in EXPRESSED:
        raise UsageError(
            f"Expected a classifier that ONNX expresses, but {NAMES.get(kind, kind)} cannot be exported; save "
            "another: featx compare --save-best with --classifiers logreg, svm-linear, svm-rbf, knn, lda or forest."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skl2onnx

        pipeline = _linear(pipeline)
        highest = skl2onnx.__max_supported_opset__
        model = skl2onnx.to_onnx(
            pipeline,
            np.zeros((1, width), np.float32),
            options={id(pipeline): {"zipmap": False}},
            target_opset={"": min(graph.opset, highest), "ai.onnx.ml": CLASSIFIER_OPSET},
        )
    return graph.insert(model, CLASSIFIER, {model.graph.input[0].name: rows}, "probabilities")


def _linear(pipeline: Any) -> Any:
    """Return a pipeline whose discriminant analysis is a logistic regression, which gives the same probabilities.

    skl2onnx takes the softmax for two classes, too, where scikit-learn takes the logistic function of one value.
    """
    name, last = pipeline.steps[-1]
    if type(last).__name__ != "LinearDiscriminantAnalysis":
        return pipeline
    from sklearn.linear_model import LogisticRegression

    same = LogisticRegression()
    for field in ("coef_", "intercept_", "classes_", "n_features_in_"):
        setattr(same, field, getattr(last, field))
    pipeline = copy.copy(pipeline)
    pipeline.steps = [*pipeline.steps[:-1], (name, same)]
    return pipeline
