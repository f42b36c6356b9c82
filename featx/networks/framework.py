"""Loads Keras with TensorFlow, which takes seconds, and OpenVINO; nothing else in featx does."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

GPU_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")

_quiet = False


def quieten() -> None:
    """Hide what TensorFlow's native code writes to standard error while it loads.

    Only for the command line: this redirects the file descriptor of the whole process.
    """
    global _quiet
    _quiet = True


def load_keras() -> ModuleType:
    """Import Keras on TensorFlow and return it."""
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with _native_stderr_held():
            import keras

            # At the first tensor TensorFlow looks for devices, and writes about them, too.
            keras.ops.convert_to_tensor(0.0)
    return sys.modules["keras"]


def has_gpu() -> bool:
    """Load TensorFlow and tell whether it can use a GPU."""
    load_keras()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def gpu_is_there() -> bool:
    """Tell, without loading TensorFlow, whether this machine has a GPU that TensorFlow might use.

    The drivers of NVIDIA, AMD and Windows (for Linux) each have a device file. CUDA_VISIBLE_DEVICES hides GPUs if it
    is empty or -1.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(Path(device).exists() for device in GPU_DEVICES)


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed, without loading it."""
    return importlib.util.find_spec("openvino") is not None


def load_openvino() -> ModuleType:
    """Import OpenVINO and return it; `has_openvino` must be true.

    A plain `import openvino` reports its use over the network and leaves files in the home folder. It does neither if
    the package openvino-telemetry cannot be imported.
    """
    if "openvino" not in sys.modules:
        with hidden_module("openvino_telemetry"):
            import openvino  # noqa: F401
    return sys.modules["openvino"]


@contextmanager
def hidden_module(name: str) -> Iterator[None]:
    """Within the block, let imports of a module fail as if it were not installed, unless it is already loaded."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    if not _quiet:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            # What was held back may say why.
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
