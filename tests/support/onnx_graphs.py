"""Graphs that featx writes in the format ONNX, run in onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.exporting.graph import Graph


class Run:
    """A graph from `input` to `output`, read by onnxruntime."""

    def __init__(self, graph: Graph, output: str, dtype: Any, sides: Sequence[int | str]) -> None:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper

        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        model = graph.model(
            helper.make_tensor_value_info("input", kind, list(sides)),
            helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", *("abcd"[: len(sides) - 1])]),
            graph.cast(output, np.float32),
        )
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        (output,) = self._session.run(None, {"input": values})
        return np.asarray(output)
