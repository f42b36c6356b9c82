"""The one place that loads Keras and TensorFlow, which takes seconds."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

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
    """Return whether TensorFlow, which this loads, can use a GPU."""
    load_keras()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


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
