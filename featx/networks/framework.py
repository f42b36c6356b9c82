"""The one place that loads Keras and TensorFlow, which takes seconds, and OpenVINO."""

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
    """Hold back what TensorFlow's native code writes to standard error while it loads.

    For command lines: the file descriptor is the whole process's, so a library call does not touch it
    unless it was asked to.
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

            # The first tensor makes TensorFlow look for devices, which it tells of as well.
            keras.ops.convert_to_tensor(0.0)
    return sys.modules["keras"]


def has_gpu() -> bool:
    """Tell whether TensorFlow, which this loads, can use a GPU."""
    load_keras()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed, without loading it."""
    return importlib.util.find_spec("openvino") is not None


def load_openvino() -> ModuleType:
    """Import OpenVINO and return it; `has_openvino` must hold.

    `import openvino` by itself reports its use over the network and leaves files in the home folder. It does
    neither where the package openvino-telemetry is absent, for which it has a stand-in; so it is hidden.
    """
    if "openvino" not in sys.modules:
        with hidden("openvino_telemetry"):
            import openvino  # noqa: F401
    return sys.modules["openvino"]


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Let imports of a module fail within the block as if it were not installed, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def gpu_is_there() -> bool:
    """Tell whether this machine has a GPU that TensorFlow might use, without loading TensorFlow.

    Read from the drivers' device files (NVIDIA's, AMD's, and Windows's for Linux); CUDA_VISIBLE_DEVICES set
    to nothing or -1 hides them, as everywhere.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(Path(device).exists() for device in GPU_DEVICES)


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
            # What was held may be the reason.
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
