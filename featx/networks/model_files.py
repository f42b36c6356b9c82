"""Files of networks from other people: what they are, and loading them without running anything in them."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from featx.errors import WeightsError, reason_of
from featx.files import open_file

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", ("model.weights.h5", "model.weights.npz")
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
# What other programs write, by the first bytes of their files.
OTHERS = (
    (b"\x80", "a pickle, as PyTorch writes it"),
    (b"version https://git-lfs", "a pointer of Git LFS to a file that was not fetched (git lfs pull)"),
    (b"<", "a web page, perhaps saved instead of the file"),
    (b"\x08", "a network of another program, perhaps in the format ONNX"),
)
# Layers that are code, or that read further files.
CODE = {"Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"}
CODE |= {"StringLookup", "IntegerLookup", "TextVectorization"}
MOST_CONFIG = 100_000_000  # bytes of config.json
MOST_DEPTH = 200
# A weight's values take at most this many times the space that they have in the file, or this many bytes.
MOST_RATIO, MOST_SMALL = 200, 2**26
# A description may have this many values more than there are bytes in the file of weights.
SPARE = 2**22

# What Keras, TensorFlow and h5py raise for files that they cannot read; RuntimeError comes from h5py for damaged
# files, and also stands for networks that are nested too deeply.
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    ImportError,
    RuntimeError,
    MemoryError,
    EOFError,
    zipfile.BadZipFile,
)


class _UnfitError(Exception):
    """A file that is not loaded; the message is what follows "which", such as "is cut off"."""


def load_model_file(keras: ModuleType, path: Path) -> Any:
    """Return the model in a `.keras` file.

    Raises:
        WeightsError: The file is no network of Keras 3, is damaged, needs code, or would take too much memory.
    """
    try:
        described, stored = _check_archive(path)
        _check_size(keras, described, stored)
        with _usual_ending(path) as usual, warnings.catch_warnings():
            # Keras warns about every layer before it raises one error for all.
            warnings.filterwarnings("ignore", "Skipping nested container", UserWarning)
            # safe_mode refuses files that contain code.
            return keras.models.load_model(usual, compile=False, safe_mode=True)
    except _UnfitError as error:
        raise _refusal(path, str(error)) from None
    except _unreadable() as error:
        raise _refusal(path, _loading_problem(error)) from error


def check_hdf5(file: str | Path | IO[bytes]) -> str | None:
    """Return why a file of weights in HDF5 is not read: it refers to other files, or is larger than it looks.

    The result follows the file's name in a sentence. A file that does not open is not judged.
    """
    import h5py

    problems: list[str] = []

    def check_link(name: str, link: Any) -> None:
        if isinstance(link, (h5py.ExternalLink, h5py.SoftLink)):
            problems.append(f"refers to something elsewhere ({name})")

    def check(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.is_virtual or item.external:
            problems.append(f"refers to something elsewhere ({name})")
        elif item.nbytes > max(MOST_SMALL, MOST_RATIO * item.id.get_storage_size()):
            problems.append(f"says that {name} has {item.nbytes / 1e9:.3g} GB, which it does not")

    try:
        with h5py.File(file, "r") as opened:
            opened.visititems_links(check_link)
            opened.visititems(check)
    except UNREADABLE:
        pass  # whoever loads it will say why
    return problems[0] if problems else None


def _check_size(keras: ModuleType, described: Any, stored: int) -> None:
    """Check that the file has the values of the weights that it describes, before there is memory for them."""
    described.pop("compile_config", None)
    # In such a block, weights have shapes, but no values.
    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(described, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise _UnfitError(f"describes no network, but {type(model).__name__[:60]}")
        values = sum(math.prod(weight.shape) for weight in model.weights)
    if values > stored + SPARE:
        raise _UnfitError(f"describes {values:,} weights, but has values of {stored:,}")


def _check_archive(path: Path) -> tuple[Any, int]:
    """Look at a file before Keras does; return the network's description and the number of values of its weights."""
    with open_file(path) as file:
        start = file.read(64)
    if not start.startswith(ZIP):
        raise _UnfitError(_kind_of(start))
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _UnfitError("is damaged or was cut off, such as an interrupted copy or download") from error
    with archive:
        members = {member.filename: member for member in archive.infolist()}
        if CONFIG not in members:
            torch = any(name.endswith(("/data.pkl", "/byteorder")) for name in members)
            raise _UnfitError("was written by PyTorch" if torch else "is a zip archive without a Keras model")
        _check_members(archive)
        _check_version(archive)
        config = _document(archive, CONFIG)
        if not isinstance(config, dict):
            raise _UnfitError("does not describe a network")
        for part in _parts(config):
            if part.get("class_name") in CODE:
                raise _UnfitError(f"has a layer of the kind {part['class_name']}, which is code or reads other files")
        return config, _check_weights(archive)


def _kind_of(start: bytes) -> str:
    if start.startswith(HDF5):
        return (
            "is in the older format HDF5; give a copy the ending .h5, load it with keras.models.load_model, and save "
            "the model as .keras"
        )
    if not start:
        return "is empty (zero bytes)"
    for first, what in OTHERS:
        if start.lstrip().startswith(first):
            return f"is {what}"
    return "is not a zip archive, which a file of Keras 3 is"


def _check_members(archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise _UnfitError("holds two files of one name")
    if not any(name in names for name in WEIGHTS):
        raise _UnfitError("holds no weights")
    for member in archive.infolist():
        if ".." in Path(member.filename).parts or member.filename.startswith(("/", "\\")) or _is_link(member):
            raise _UnfitError(f"holds a file for elsewhere ({member.filename[:40]!r})")
        if member.file_size > max(MOST_SMALL, MOST_RATIO * member.compress_size):
            raise _UnfitError(f"unpacks to {member.file_size / 1e9:.3g} GB")
        if member.flag_bits & 1:
            raise _UnfitError("is encrypted")


def _is_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 16) & 0o170000 == 0o120000


def _check_version(archive: zipfile.ZipFile) -> None:
    version = ""
    with suppress(KeyError, ValueError):
        version = str(json.loads(archive.read(METADATA)).get("keras_version", ""))
    major = version.partition(".")[0]
    if major in ("1", "2"):
        raise _UnfitError(
            f"was saved by Keras {version}, whose files Keras 3 does not read; build the network again in Keras 3, "
            "load its weights that were saved there with save_weights as .h5, and save it as .keras"
        )


def _document(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > MOST_CONFIG:
        raise _UnfitError(f"has a {name} of {archive.getinfo(name).file_size / 1e6:.0f} MB")
    try:
        return json.loads(archive.read(name))
    except RecursionError:
        raise _UnfitError("is nested too deeply") from None
    except ValueError:
        raise _UnfitError(f"has a {name} that is not JSON") from None


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield all tables in a network's description."""
    waiting = [(config, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise _UnfitError("is nested too deeply")
        if isinstance(item, dict):
            yield item
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((value, depth + 1) for value in inner)


def _check_weights(archive: zipfile.ZipFile) -> int:
    """Check the file of weights, and return how many values it has at most."""
    if WEIGHTS[0] not in archive.namelist():
        return archive.getinfo(WEIGHTS[1]).file_size
    with archive.open(WEIGHTS[0]) as file:
        problem = check_hdf5(file)
    if problem:
        raise _UnfitError(problem)
    return archive.getinfo(WEIGHTS[0]).file_size


def _unreadable() -> tuple[type[Exception], ...]:
    import tensorflow as tf

    return (*UNREADABLE, tf.errors.OpError)


def _loading_problem(error: Exception) -> str:
    """Return in a clause what Keras says of a file; it often begins with a whole configuration."""
    text = " ".join(str(error).split()).rpartition("Exception encountered: ")[2]
    for start in ("Could not locate class", "Could not locate function", "Requested the deserialization"):
        if start in text:
            text = text[text.index(start) :]
    if "Could not locate" in text:
        name = text.split("'")[1] if "'" in text else "?"
        return f"has a layer or function {name[:60]!r} that is not Keras's own"
    if isinstance(error, ImportError):
        return f"needs a package that is not installed ({reason_of(error).rstrip('.')})"
    if isinstance(error, zipfile.BadZipFile):
        return "is damaged: its parts do not match their checksums"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    sentence = text.partition(". ")[0][:200].rstrip(".") or type(error).__name__
    return f"does not load ({sentence})"


def _refusal(path: Path, problem: str) -> WeightsError:
    advice = "" if ";" in problem else "; save the network again with model.save in Keras 3, of Keras's own layers"
    return WeightsError(f"Expected a Keras model of Keras's own layers in {path}, which {problem}{advice}.")


@contextmanager
def _usual_ending(path: Path) -> Iterator[Path]:
    """The file under a name that ends in `.keras` in small letters, without which Keras does not read it."""
    if path.suffix == ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(shutil.copyfile(path, Path(folder) / "network.keras"))
