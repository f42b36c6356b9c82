from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
pytest.importorskip("skl2onnx", reason="the package skl2onnx is not installed")

from onnx_graphs import Run

from featx.classifiers.models import CLASSIFIERS
from featx.classifiers.nested_cv import inner_folds
from featx.classifiers.pipelines import fit_pipeline
from featx.errors import UsageError
from featx.exporting.classifying import classifier_probabilities, head_probabilities, penultimate
from featx.exporting.graph import Graph
from featx.heads import Head
from featx.recipes import HeadPart
from featx.stats import probabilities

ACTIVATIONS = ("linear", "relu", "gelu", "elu", "selu", "silu", "tanh", "sigmoid")
WIDTH = 12


def head_spec(output: str) -> HeadPart:
    layers: list[dict[str, Any]] = [{"type": "dropout", "rate": 0.4}]
    layers += [{"type": "dense", "units": 9, "activation": activation} for activation in ACTIVATIONS]
    return HeadPart.model_validate({"layers": tuple(layers), "output": output, "penultimate": "dense_3"})


def head_of(output: str, classes: int) -> Head:
    return Head.build(head_spec(output), WIDTH, classes, seed=1)


@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("sigmoid", 2)])
def test_a_head_of_several_members_gives_their_mean_probabilities(output: str, classes: int) -> None:
    spec = head_spec(output)
    head, graph = Head.build(spec, WIDTH, classes, [1, 5, 9]), Graph()
    run = Run(graph, head_probabilities(graph, "input", head), np.float32, ["n", WIDTH])
    single = [probabilities(Head.build(spec, WIDTH, classes, seed).logits([rows()])) for seed in (1, 5, 9)]
    assert np.std(single, axis=0).max() > 0.05  # the members differ
    np.testing.assert_allclose(run(rows()), np.mean(single, axis=0), atol=2e-6)
    graph = Graph()
    run = Run(graph, penultimate(graph, "input", head), np.float32, ["n", WIDTH])
    np.testing.assert_allclose(run(rows()), next(head.penultimate([rows()])), rtol=1e-5, atol=2e-6)


def rows(n: int = 50, width: int = WIDTH) -> NDArray[np.float32]:
    return (3 * np.random.default_rng(0).normal(size=(n, width))).astype(np.float32)


@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("softmax", 2), ("sigmoid", 2)])
def test_heads_of_all_activations_give_their_probabilities(output: str, classes: int) -> None:
    head, graph = head_of(output, classes), Graph()
    run = Run(graph, head_probabilities(graph, "input", head), np.float32, ["n", WIDTH])
    expected = probabilities(head.logits([rows()]))
    received = run(rows())
    assert received.shape == (50, classes)
    assert expected.std(axis=0).min() > 1e-3  # the images differ
    np.testing.assert_allclose(received, expected, atol=2e-6)


def test_the_penultimate_layer_is_after_its_activation() -> None:
    head, graph = head_of("softmax", 3), Graph()
    run = Run(graph, penultimate(graph, "input", head), np.float32, ["n", WIDTH])
    (expected,) = head.penultimate([rows()])
    np.testing.assert_allclose(run(rows()), expected, rtol=1e-5, atol=2e-6)


def fitted(name: str, classes: int, width: int) -> Any:
    generator = np.random.default_rng(2)
    y = np.arange(120) % classes
    X = generator.normal(size=(120, width)).astype(np.float32)
    X[:, :3] += 1.5 * np.eye(3, dtype=np.float32)[y]
    inner = inner_folds(y, [str(place) for place in range(120)], [0, 5])
    row = CLASSIFIERS[name]
    return fit_pipeline(row, X, np.array(["a", "b", "c"])[y], row.grid[-1], inner, 0)


@pytest.mark.parametrize("width", [20, 200])  # fewer and more than the images
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["logreg", "svm-linear", "svm-rbf", "knn", "lda", "forest"])
def test_classifiers_give_the_probabilities_of_scikit_learn(name: str, classes: int, width: int) -> None:
    pipeline, graph = fitted(name, classes, width), Graph()
    run = Run(graph, classifier_probabilities(graph, "input", pipeline, width), np.float32, ["n", width])
    new = np.random.default_rng(4).normal(size=(60, width)).astype(np.float32)
    expected = pipeline.predict_proba(new)
    assert expected.std(axis=0).max() > 0.02
    np.testing.assert_allclose(run(new), expected, atol=1e-4)


def test_boosting_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"boosting cannot be exported; save another: .*logreg"):
        classifier_probabilities(Graph(), "input", fitted("boosting", 2, 20), 20)
