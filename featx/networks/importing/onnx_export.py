"""Networks of PyTorch become ONNX files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from featx.errors import EngineError, reason_of
from featx.networks.framework import quiet_library
from featx.networks.importing.built import Floats

OPSET = 18
INPUT = "pixel_values"
MAIN = "model.onnx"
# A protobuf message has at most 2 GiB; larger networks keep their weights in a file beside it.
MOST_INSIDE = 1_500_000_000


def make_module(forward: Callable[[Any], Sequence[Any]], inner: Any) -> Any:
    """Return a module of PyTorch, in evaluation mode, whose outputs are those of `forward`.

    Args:
        forward: From a batch of inputs to a sequence of tensors.
        inner: The module that `forward` uses, so that its weights are found.
    """
    import torch

    class Outputs(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, pixels: Any) -> Any:
            return tuple(forward(pixels))

    return Outputs().eval()


def outputs_of(module: Any, names: Sequence[str]) -> Callable[[Floats], Mapping[str, Floats]]:
    """Return a function that runs a module, as `Built.outputs` is."""
    import torch

    def run(batch: Floats) -> Mapping[str, Floats]:
        with torch.inference_mode():
            values = module(torch.from_numpy(np.ascontiguousarray(batch)))
        return {name: value.float().numpy() for name, value in zip(names, values, strict=True)}

    return run


def write_onnx(module: Any, shape: tuple[int, int, int], names: Sequence[str], folder: Path) -> list[Path]:
    """Export a module to `model.onnx` in a folder; returns the files.

    Args:
        module: From `make_module`.
        shape: Channels, height and width of its input.
        names: The names of its outputs.
        folder: An empty folder.

    Raises:
        EngineError: PyTorch cannot export it.
    """
    size = sum(weight.numel() * weight.element_size() for weight in module.state_dict().values())
    program = _exported(module, shape, names)
    program.save(str(folder / MAIN), external_data=size > MOST_INSIDE)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path.name != MAIN)


def _exported(module: Any, shape: tuple[int, int, int], names: Sequence[str]) -> Any:
    """Export with any number of images in a batch; where PyTorch cannot, with one."""
    import torch

    failure: Exception | None = None
    for images, dynamic in ((2, ({0: torch.export.Dim("batch")},)), (1, None)):
        generator = torch.Generator().manual_seed(0)
        example = torch.randn(images, *shape, generator=generator)
        try:
            with quiet_library("onnxscript"), redirect_stdout(io.StringIO()), torch.no_grad():
                return torch.onnx.export(
                    module,
                    (example,),
                    dynamo=True,
                    opset_version=OPSET,
                    input_names=[INPUT],
                    output_names=list(names),
                    dynamic_shapes=dynamic,
                    verbose=False,
                    external_data=False,
                )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
            failure = error
    cause = failure.__cause__ if failure is not None and isinstance(failure.__cause__, Exception) else failure
    raise EngineError(
        f"Expected PyTorch to export the network to ONNX, but it cannot ({reason_of(cause or RuntimeError())}); try "
        "a newer version of torch and onnxscript, or another network."
    ) from failure
