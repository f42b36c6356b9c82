"""A graph of ONNX, written node by node, and other models put into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# The lowest version of ONNX's operators that is written: below it, some of those used here are others.
LOWEST = 13
# Of a network that featx converts. tf2onnx knows no later one.
USUAL = 17
# The format's version that came with these operators; a model that is put in may have a later one, which then counts.
IR_VERSION = 8


class Graph:
    """The nodes, constants and operator sets of a model that is being written.

    Values are known by their names. `opset` is the version of ONNX's operators.
    """

    def __init__(self, opset: int = USUAL) -> None:
        self.opset = opset
        self.ir_version = IR_VERSION
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.functions: list[Any] = []
        self.domains = {"": opset}
        self._names = 0

    def name(self) -> str:
        """Return a name that no other value has."""
        self._names += 1
        return f"featx_{self._names}"

    def constant(self, value: Any, dtype: Any) -> str:
        """Add a constant."""
        from onnx import numpy_helper

        name = self.name()
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return its name."""
        from onnx import helper

        output = self.name()
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def cast(self, value: str, dtype: Any) -> str:
        """Add a node that casts a value to a type of NumPy."""
        from onnx import helper

        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reduce(self, operator: str, value: str, *axes: int, keep: bool = False) -> str:
        """Add a node that sums, averages or takes the maximum over axes."""
        # The axes became an input, of sums before all others.
        if self.opset >= (13 if operator == "ReduceSum" else 18):
            return self.add(operator, value, self.constant(axes, np.int64), keepdims=int(keep))
        return self.add(operator, value, axes=list(axes), keepdims=int(keep))

    def choose(self, condition: str, yes: str, no: str, branches: Sequence[Sequence[Any]]) -> str:
        """Add a node that gives the value `yes` of the first branch's nodes, or `no` of the second's."""
        from onnx import TensorProto, helper

        graphs = [
            helper.make_graph(list(nodes), name, [], [helper.make_tensor_value_info(value, TensorProto.DOUBLE, None)])
            for nodes, name, value in zip(branches, ("yes", "no"), (yes, no), strict=True)
        ]
        return self.add("If", condition, then_branch=graphs[0], else_branch=graphs[1])

    def insert(self, model: Any, prefix: str, inputs: dict[str, str], output: str) -> str:
        """Put another model's nodes here; return the name that its output has now.

        Args:
            model: Its operators are of the same version, or of an earlier one in which they mean the same.
            prefix: Put before all its names, so that none is there twice.
            inputs: For each of its inputs, the value that it gets.
            output: The output that is needed.
        """
        from onnx import compose, helper

        own = compose.add_prefix(model, prefix, inplace=False)
        for name, value in inputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [prefix + name]))
        self.nodes.extend(own.graph.node)
        self.constants.extend(own.graph.initializer)
        self.functions.extend(own.functions)
        self.ir_version = max(self.ir_version, own.ir_version)
        for domain in own.opset_import:
            plain = "" if domain.domain == "ai.onnx" else domain.domain
            self.domains[plain] = max(domain.version, self.domains.get(plain, 0))
        return prefix + output

    def model(self, images: Any, probabilities: Any, output: str) -> Any:
        """Return the model, from the input to the output that are described; `output` is the value it gives."""
        from onnx import helper

        nodes = [*self.nodes, helper.make_node("Identity", [output], [probabilities.name])]
        graph = helper.make_graph(nodes, "featx", [images], [probabilities], self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        return helper.make_model(
            graph, opset_imports=opsets, functions=self.functions, ir_version=self.ir_version, producer_name="featx"
        )
