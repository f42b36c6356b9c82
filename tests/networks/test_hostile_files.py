"""Model files made to do harm: each is refused in one sentence, nothing in it runs, and memory is bounded."""

from __future__ import annotations

import base64
import io
import json
import pickle
import resource
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from network_data import keras_network

from featx.errors import FeatxError, RecipeError, WeightsError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEMORY = 2e9  # bytes that a refusal may take beyond what is loaded already

Parts = dict[str, bytes]
Change = Callable[[Parts, Path], None]


class Payload:
    """Writes a marker file if it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.marker, "ran"))


def document(parts: Parts) -> dict[str, Any]:
    loaded = json.loads(parts[CONFIG])
    assert isinstance(loaded, dict)
    return loaded


def with_layer(**fields: Any) -> Change:
    """Put other fields into the first convolution of a network's description."""

    def change(parts: Parts, marker: Path) -> None:
        config = document(parts)
        layer = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D")
        layer.update({key: value for key, value in fields.items() if key != "config"})
        layer["config"].update(fields.get("config", {}))
        parts[CONFIG] = json.dumps(config).replace("MARKER", str(marker)).encode()

    return change


def with_root(**fields: Any) -> Change:
    def change(parts: Parts, marker: Path) -> None:
        parts[CONFIG] = json.dumps(document(parts) | fields).encode()

    return change


def with_bytes(name: str, content: bytes | None) -> Change:
    def change(parts: Parts, marker: Path) -> None:
        if content is None:
            del parts[name]
        else:
            parts[name] = content

    return change


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def code_of_a_lambda(parts: Parts, marker: Path) -> None:
    import marshal

    code = marshal.dumps(compile(f"open({str(marker)!r}, 'w').write('ran')", "x", "exec"))
    value = {"class_name": "__lambda__", "config": {"code": base64.b64encode(code).decode(), "defaults": None}}
    with_layer(module="keras.layers", class_name="Lambda", config={"function": value})(parts, marker)


def lambda_as_activation(parts: Parts, marker: Path) -> None:
    with_layer(config={"activation": {"class_name": "__lambda__", "config": {"code": "AAAA"}}})(parts, marker)


def pickled_module(parts: Parts, marker: Path) -> None:
    payload = base64.b64encode(pickle.dumps(Payload(marker))).decode()
    with_layer(module="keras.layers", class_name="TorchModuleWrapper", config={"module": payload})(parts, marker)


def pickled_weights(parts: Parts, marker: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, __root__=np.array([Payload(marker)], dtype=object), allow_pickle=True)
    del parts[WEIGHTS]
    parts["model.weights.npz"] = stream.getvalue()


def deep(parts: Parts, marker: Path) -> None:
    parts[CONFIG] = b'{"class_name": "Functional", "config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def deep_models(parts: Parts, marker: Path) -> None:
    inner = document(parts)
    for _ in range(300):
        inner = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [inner]}}
    parts[CONFIG] = json.dumps(inner).encode()


def weights(change: Callable[[h5py.File, h5py.Dataset], None]) -> Change:
    """Change the file of weights: it gets the file and its first kernel."""

    def changed(parts: Parts, marker: Path) -> None:
        stream = io.BytesIO(parts[WEIGHTS])
        with h5py.File(stream, "r+") as file:
            change(file, file["layers/conv2d/vars/0"])
        parts[WEIGHTS] = stream.getvalue()

    return changed


def replace_kernel(file: h5py.File, kernel: h5py.Dataset, value: Any) -> None:
    name = kernel.name
    del file[name]
    file[name] = value


def virtual(file: h5py.File, kernel: h5py.Dataset) -> None:
    layout = h5py.VirtualLayout(kernel.shape, kernel.dtype)
    layout[...] = h5py.VirtualSource("/etc/hostname", "data", kernel.shape)
    name = kernel.name
    del file[name]
    file.create_virtual_dataset(name, layout)


def external_storage(file: h5py.File, kernel: h5py.Dataset) -> None:
    name, shape = kernel.name, kernel.shape
    del file[name]
    file.create_dataset(name, shape, "float32", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def of_no_space(file: h5py.File, kernel: h5py.Dataset) -> None:
    name = kernel.name
    del file[name]
    file.create_dataset(name, (10**6, 10**6), "float32", chunks=(1000, 1000))


def compressed(file: h5py.File, kernel: h5py.Dataset) -> None:
    name = kernel.name
    del file[name]
    file.create_dataset(name, (2**28,), "float32", data=None, chunks=(2**20,), compression="gzip", fillvalue=0)
    file[name][: 2**20] = 0


CHANGES: dict[str, Change] = {
    "code of a lambda": code_of_a_lambda,
    "a lambda as activation": lambda_as_activation,
    "a pickle in a layer": pickled_module,
    "a pickle in the weights": pickled_weights,
    "a layer that reads a saved model": with_layer(
        module="keras.layers", class_name="TFSMLayer", config={"filepath": "/etc", "call_endpoint": "serve"}
    ),
    "a layer of the module os": with_layer(module="os", class_name="system", config={"command": "touch MARKER"}),
    "a layer of subprocess": with_layer(module="subprocess", class_name="Popen", config={"args": "touch MARKER"}),
    "a layer of a module beside it": with_layer(module="evil_module", class_name="Layer"),
    "an activation of the module os": with_layer(config={"activation": function("os", "system")}),
    "eval as activation": with_layer(config={"activation": function("builtins", "eval")}),
    "exec by its name": with_layer(config={"activation": "exec"}),
    "an unknown registered name": with_layer(module=None, class_name="Evil", registered_name="package>Evil"),
    "a download as layer": with_layer(module="keras.utils", class_name="get_file", config={"origin": "http://x"}),
    "a function of Keras's inside": with_layer(module="keras.src.utils.file_utils", class_name="get_file"),
    "a vocabulary of a device": with_layer(
        module="keras.layers", class_name="StringLookup", config={"vocabulary": "/dev/zero"}
    ),
    "deep lists": deep,
    "deep models": deep_models,
    "a list": with_bytes(CONFIG, b"[1, 2, 3]"),
    "a number": with_bytes(CONFIG, b"3"),
    "no JSON": with_bytes(CONFIG, b"\xff\xfe{"),
    "a layer alone": with_root(class_name="Dense", module="keras.layers", config={"units": 3}),
    "an optimizer": with_root(class_name="Adam", module="keras.optimizers", config={}),
    "no layers": with_root(config={"name": "x", "layers": [], "input_layers": [], "output_layers": []}),
    "a negative number of filters": with_layer(config={"filters": -8}),
    "no filters": with_layer(config={"filters": 0}),
    "a kernel of text": with_layer(config={"kernel_size": "MARKER"}),
    "a kernel larger than memory": with_layer(config={"filters": 2**31}),
    "a kernel that fits into memory, but not into the file": with_layer(config={"filters": 2**26}),
    "another number of filters": with_layer(config={"filters": 9}),
    "groups that do not divide": with_layer(config={"groups": 2}),
    "a wrong data type": with_layer(config={"dtype": "float3"}),
    "no weights": with_bytes(WEIGHTS, None),
    "weights that are no HDF5": with_bytes(WEIGHTS, b"no weights" * 100),
    "empty weights": with_bytes(WEIGHTS, b""),
    "a link to another file": weights(
        lambda file, kernel: replace_kernel(file, kernel, h5py.ExternalLink("/etc/hostname", "/data"))
    ),
    "a link to elsewhere": weights(lambda file, kernel: replace_kernel(file, kernel, h5py.SoftLink("/layers"))),
    "values of another file": weights(virtual),
    "values of a device": weights(external_storage),
    "a kernel that takes no space": weights(of_no_space),
    "a kernel that is compressed a thousandfold": weights(compressed),
    "a kernel of another shape": weights(lambda file, kernel: replace_kernel(file, kernel, np.zeros((2, 2, 3, 8)))),
    "a kernel of text in the weights": weights(lambda file, kernel: replace_kernel(file, kernel, "text")),
    "a group for a kernel": weights(lambda file, kernel: replace_kernel(file, kernel, h5py.Empty("f"))),
    "a kernel with NaN": weights(lambda file, kernel: kernel.write_direct(np.full(kernel.shape, np.nan, "float32"))),
    "a file for elsewhere": with_bytes("../outside.txt", b"escaped"),
    "a file for the root": with_bytes("/tmp/outside.txt", b"escaped"),
}


@pytest.fixture
def parts(tiny_model: Path) -> Parts:
    with zipfile.ZipFile(tiny_model) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(parts: Parts, path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def check_refused(path: Path) -> str:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((WeightsError, RecipeError)) as caught:
        keras_network(str(path))
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MEMORY
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 700
    return sentence


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_was_changed_is_refused_and_runs_nothing(
    change: Change, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "evil_module.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\nclass Layer: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    change(parts, marker)
    check_refused(written(parts, tmp_path / "hostile.keras"))
    assert not marker.exists()
    assert "evil_module" not in sys.modules
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".pyc") == [
        *(["__pycache__"] if (tmp_path / "__pycache__").exists() else []),
        *("evil_module.py", "hostile.keras"),
    ]


@pytest.mark.parametrize("name", [CONFIG, METADATA, WEIGHTS])
def test_a_part_that_unpacks_to_a_thousandfold_is_not_unpacked(name: str, parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for other in parts:
            if other != name:
                archive.writestr(other, parts[other])
        with archive.open(name, "w", force_zip64=True) as file:
            for _ in range(80):
                file.write(bytes(2**20))
    check_refused(path)


def test_a_link_in_the_archive(parts: Parts, tmp_path: Path) -> None:
    path = written(parts, tmp_path / "link.keras")
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("assets/link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "elsewhere" in check_refused(path)


def test_two_parts_of_one_name(parts: Parts, tmp_path: Path) -> None:
    path = written(parts, tmp_path / "two.keras")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(CONFIG, parts[CONFIG])
    assert "two files of one name" in check_refused(path)


def test_a_part_that_is_encrypted(parts: Parts, tmp_path: Path) -> None:
    path = written(parts, tmp_path / "locked.keras")
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.index(signature)
        struct.pack_into("<H", content, start + place, 1)
    path.write_bytes(content)
    check_refused(path)


def test_bits_that_flipped_are_noticed(tiny_model: Path, tmp_path: Path) -> None:
    whole = tiny_model.read_bytes()
    expected = keras_network(str(tiny_model)).rows(np.ones((1, 32, 32, 3), np.float32))
    generator = np.random.default_rng(0)
    path = tmp_path / "flipped.keras"
    refused = 0
    for place in generator.integers(0, len(whole), 12):
        content = bytearray(whole)
        content[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(content)
        try:
            rows = keras_network(str(path)).rows(np.ones((1, 32, 32, 3), np.float32))
        except FeatxError:
            refused += 1
        else:  # the bit is in what nothing reads, such as a date
            np.testing.assert_array_equal(rows, expected)
    assert refused
