"""Loads Keras with TensorFlow, which takes seconds, OpenVINO and onnxruntime; few other modules of featx do.

What the user has set in Keras, in a file or by a call, must not change a row: `plain_keras` sets it aside.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from featx.errors import EngineError, reason_of
from featx.progress import report_progress

GPU_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
TENSORFLOW_PACKAGES = ("tensorflow", "tensorflow-cpu")
BACKEND = "KERAS_BACKEND"
POLICY = "float32"
# Rewrites of graphs to half precision; with them rows would differ by up to a quarter.
HALF_PRECISION = ("auto_mixed_precision", "auto_mixed_precision_mkl", "auto_mixed_precision_onednn_bfloat16")

_quiet = False
# Blocks of `plain_keras` that are open in all threads, and what puts the user's settings back after the last.
_lock = threading.Lock()
_open_blocks = 0
_put_back = ExitStack()


def quieten() -> None:
    """Hide what TensorFlow's native code writes to standard error while it loads.

    Only for the command line: this redirects the file descriptor of the whole process.
    """
    global _quiet
    _quiet = True


def load_keras() -> ModuleType:
    """Import Keras on TensorFlow and return it, with the settings that the user gave it; see `plain_keras`.

    Raises:
        EngineError: Keras is already loaded with another backend than TensorFlow, or its own settings stop it.
    """
    if "keras" not in sys.modules:
        report_progress("loading TensorFlow", 0, 1)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # Whatever the user's KERAS_BACKEND and keras.json name.
        with environment(BACKEND, "tensorflow"), _native_stderr_held():
            try:
                import keras
            except ValueError as error:
                raise EngineError(
                    "Expected settings that Keras can read in keras.json (in ~/.keras, or in the folder named by "
                    f"KERAS_HOME), but it refuses them: {reason_of(error).rstrip('.')}; correct or remove the file."
                ) from error
            # At the first tensor TensorFlow looks for devices, and writes about them, too.
            keras.ops.convert_to_tensor(0.0)
        report_progress("loading TensorFlow", 1, 1)
    keras = sys.modules["keras"]
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise EngineError(
            f"Expected Keras with TensorFlow, but this program has loaded it with {backend}; set "
            f"{BACKEND}=tensorflow before it imports keras, or import featx in another process."
        )
    return keras


@contextmanager
def plain_keras() -> Iterator[ModuleType]:
    """Within the block, Keras and TensorFlow have their defaults, whatever the user has set; yield Keras.

    Afterwards all is as it was. Blocks may be nested, and several threads may be in one at the same time.

    Raises:
        EngineError: What `load_keras` raises.
    """
    global _open_blocks, _put_back
    keras = load_keras()
    # Each thread has a policy of its own; where none was set, it is the user's floatx.
    policy = keras.config.dtype_policy()
    with _lock:
        if not _open_blocks:
            _put_back = _set(_settings(keras))
        _open_blocks += 1
    try:
        keras.config.set_dtype_policy(POLICY)
        yield keras
    finally:
        keras.config.set_dtype_policy(policy)
        with _lock:
            _open_blocks -= 1
            if not _open_blocks:
                _put_back.close()


class _Setting(NamedTuple):
    """A setting of the whole process: how to read it, how to set it, and what featx needs."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]
    needed: Any


def _settings(keras: ModuleType) -> list[_Setting]:
    import tensorflow as tf

    config, numerics, optimizer = keras.config, tf.config.experimental, tf.config.optimizer

    def half_precision() -> dict[str, bool]:
        options = optimizer.get_experimental_options()
        return {name: options.get(name, False) for name in HALF_PRECISION}

    return [
        _Setting(config.image_data_format, config.set_image_data_format, "channels_last"),
        _Setting(config.floatx, config.set_floatx, "float32"),
        _Setting(config.epsilon, config.set_epsilon, 1e-7),
        _Setting(tf.config.functions_run_eagerly, tf.config.run_functions_eagerly, False),
        _Setting(lambda: bool(optimizer.get_jit()), optimizer.set_jit, False),
        _Setting(half_precision, optimizer.set_experimental_options, dict.fromkeys(HALF_PRECISION, False)),
        # On GPUs products would have 10 bits, and rows would differ by 1e-3 from those of a processor.
        _Setting(numerics.tensor_float_32_execution_enabled, numerics.enable_tensor_float_32_execution, False),
    ]


def _set(settings: list[_Setting]) -> ExitStack:
    """Set what featx needs; return what puts back those settings that differed."""
    with ExitStack() as stack:
        for setting in settings:
            before = setting.read()
            if before != setting.needed:
                stack.callback(setting.write, before)
                setting.write(setting.needed)
        return stack.pop_all()


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Within the block, let a variable of the environment have a value, whatever the user has set."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def quiet_library(name: str) -> Iterator[None]:
    """Within the block, hide Python's warnings, and what a library logs below an error."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def has_gpu() -> bool:
    """Load TensorFlow and tell whether it can use a GPU."""
    load_keras()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def is_built_for_gpus() -> bool:
    """Load TensorFlow and tell whether this build of it can use GPUs at all; those for Windows cannot."""
    load_keras()
    import tensorflow as tf

    return bool(tf.test.is_built_with_gpu_support())


def gpu_is_there() -> bool:
    """Tell, without loading TensorFlow, whether this machine has a GPU that TensorFlow might use.

    The drivers of NVIDIA, AMD and Windows (for Linux) each have a device file. CUDA_VISIBLE_DEVICES hides GPUs if it
    is empty or -1.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(Path(device).exists() for device in GPU_DEVICES)


def tensorflow_package() -> str:
    """Return the name of TensorFlow's installed package, without loading it; `tensorflow` if there is none.

    Without CUDA the same library is the package `tensorflow-cpu`, for Linux and Windows on x86-64.
    """
    for name in TENSORFLOW_PACKAGES:
        with suppress(PackageNotFoundError):
            version(name)
            return name
    return TENSORFLOW_PACKAGES[0]


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


def has_onnxruntime() -> bool:
    """Tell whether onnxruntime is installed, without loading it."""
    return importlib.util.find_spec("onnxruntime") is not None


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime and return it, without its reports of use; `has_onnxruntime` must be true."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime  # type: ignore[no-any-return]


def onnxruntime_failures() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises; its own errors have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception))
    return (*own, RuntimeError, ValueError)


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
        except KeyboardInterrupt:
            raise
        except BaseException:
            # What was held back may say why.
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
