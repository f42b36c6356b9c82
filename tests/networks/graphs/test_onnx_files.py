"""ONNX files are looked through without their weights; damaged and hostile ones are refused in one sentence."""

from __future__ import annotations

import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.errors import FeatxError, WeightsError
from featx.networks.graphs.onnx_files import external_files, scan_onnx

pytest.importorskip("onnx", reason="the package onnx is not installed")

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx_networks import CHANNELS, HEIGHT, WIDTH, card_of_onnx, part, write_onnx

MEMORY = 2e9  # bytes that a refusal may take beyond what is loaded already
Change = Callable[[Any], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


def changed(path: Path, change: Change) -> Path:
    model = onnx.load(write_onnx(path), load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def sentence(path: Path) -> str:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=r"^Expected a network in the format ONNX") as caught:
        scan_onnx(path)
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MEMORY
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is found


def test_inputs_outputs_and_weights(path: Path) -> None:
    found = scan_onnx(write_onnx(path, output="both", side=("h", WIDTH)))
    assert found.inputs == {"image": (None, 3, None, WIDTH)}
    assert list(found.outputs) == ["relu", "row"]
    assert found.external == ()
    assert found.parameters == CHANNELS * 3 * 64


def test_an_input_with_a_value_is_none(path: Path) -> None:
    def declare(model: Any) -> None:
        model.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [CHANNELS, 3, 8, 8]))

    assert list(scan_onnx(changed(path, declare)).inputs) == ["image"]


def test_external_data(path: Path) -> None:
    (path.parent / "weights").mkdir()
    write_onnx(path, external="weights/network.data")
    assert external_files(path) == ("weights/network.data",)
    # It is not needed to list it, but must be whole where it is.
    data = path.parent / "weights" / "network.data"
    data.write_bytes(data.read_bytes()[:-1])
    assert "was cut off" in sentence(path)
    data.unlink()
    assert external_files(path) == ("weights/network.data",)


def test_weights_in_constants_branches_and_functions_are_counted(path: Path) -> None:
    value = numpy_helper.from_array(np.ones(7, np.float32), "seven")
    constant = helper.make_node("Constant", [], ["seven"], value=value)

    def add(model: Any) -> None:
        output = [helper.make_tensor_value_info("seven", TensorProto.FLOAT, [7])]
        branch = helper.make_graph([constant], "branch", [], output)
        model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
        model.functions.append(
            helper.make_function("own", "F", [], ["seven"], [constant], [helper.make_opsetid("", 17)])
        )

    assert scan_onnx(changed(path, add)).parameters == CHANNELS * 3 * 64 + 3 * 7


# What is refused


def negative(model: Any) -> None:
    model.graph.initializer[0].dims[0] = -1


def huge(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 10**12


def without_values(model: Any) -> None:
    model.graph.initializer[0].ClearField("raw_data")


def huge_in_a_branch(model: Any) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[10**10], name="t")
    branch = helper.make_graph([], "branch", [], [], [tensor])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def deep(model: Any) -> None:
    graph = helper.make_graph([], "last", [], [])
    for number in range(14):
        node = helper.make_node("If", ["x"], [f"y{number}"], then_branch=graph)
        graph = helper.make_graph([node], f"g{number}", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=graph))


def elsewhere(location: str, **entries: str) -> Change:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, "length": str(size), **entries}.items():
            tensor.external_data.add(key=key, value=value)

    return change


def without_graph(model: Any) -> None:
    model.ClearField("graph")


HOSTILE = {
    "negative": (negative, "negative size"),
    "huge": (huge, "says that a tensor of"),
    "without values": (without_values, "does not hold"),
    "huge in a branch": (huge_in_a_branch, "does not hold"),
    "deep": (deep, "nested too deeply"),
    "without graph": (without_graph, "holds no network"),
    "above": (elsewhere("../secret"), "outside its folder"),
    "below and above": (elsewhere("a/../../secret"), "outside its folder"),
    "absolute": (elsewhere("/etc/passwd"), "outside its folder"),
    "of Windows": (elsewhere("C:secret"), "outside its folder"),
    "unnamed": (elsewhere(""), "outside its folder"),
    "too long": (elsewhere("w.data", length="999"), "says that a tensor of 999"),
    "no number": (elsewhere("w.data", offset="x"), "does not say where"),
    "before the start": (elsewhere("w.data", offset="-8"), "says that a tensor"),
}


@pytest.mark.parametrize(("change", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files(change: Change, words: str, path: Path) -> None:
    assert words in sentence(changed(path, change))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (pickle.dumps({}), "a pickle, as PyTorch writes it"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"PK\x03\x04", "zip archive"),
        (b"<!doctype html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (bytes(1000), "holds no network"),
        (b"\xff" * 1000, "is not a file of this format"),
        (b"\x3a\xff\xff\xff\xff\x0f", "was cut off"),
    ],
)
def test_other_files(content: bytes, words: str, path: Path) -> None:
    path.write_bytes(content)
    assert words in sentence(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "cannot be read" in sentence(tmp_path / "missing.onnx")
    assert "cannot be read" in sentence(tmp_path)


def test_a_file_cut_off_anywhere_is_refused(path: Path) -> None:
    whole = write_onnx(path).read_bytes()
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        sentence(path)


def test_flipped_bits_never_end_in_another_error(path: Path) -> None:
    whole = write_onnx(path).read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.integers(0, len(whole), 300):
        content = bytearray(whole)
        content[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(content)
        try:
            scan_onnx(path)
        except FeatxError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most of the files are still read


# Files that say what takes no space, but would take memory


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_operation_that_would_take_terabytes(engine: str, path: Path, tmp_path: Path) -> None:
    pytest.importorskip(engine, reason=f"the package {engine} is not installed")
    from featx.networks import NetworkSource, Weights
    from featx.store import Store

    def fill(model: Any) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([10**6, 10**6], np.int64), "sides"))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["sides"], ["filled"]))
        model.graph.node.append(helper.make_node("ReduceMax", ["filled"], ["most"], keepdims=0))
        model.graph.node.append(helper.make_node("Add", ["relu", "most"], ["out"]))
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info("out", TensorProto.FLOAT, None))

    card = card_of_onnx(changed(path, fill))
    weights = Weights("", card.main, card.digest(), card=card)
    source = NetworkSource(part(), (HEIGHT, WIDTH), weights, Store(tmp_path / "cache"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FeatxError) as caught:
        source.build(engine)  # type: ignore[arg-type]
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MEMORY
    assert "\n" not in str(caught.value)
