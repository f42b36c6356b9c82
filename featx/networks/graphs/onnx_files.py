"""What an ONNX file says of itself, and whether it is whole, without a library and without reading its weights.

An ONNX file is a message of Protocol Buffers: fields with a number and a value, which may be a message in turn.
Weights are skipped, so even files of gigabytes take little time and memory. The numbers of fields are those of
`onnx.proto`.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from featx.errors import WeightsError, reason_of
from featx.files import open_file
from featx.networks.model_files import HDF5, OTHERS, ZIP

Shape = tuple[int | None, ...]

# Messages in which there may be weights: for each kind, the kinds of the messages in its fields.
PARTS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
GRAPH, INITIALIZER, INPUT, OUTPUT = 7, 5, 11, 12
DIMS, DATA_TYPE, NAME, RAW, EXTERNAL, LOCATION = 1, 2, 8, 9, 13, 14
TYPED = (4, 5, 6, 7, 10, 11)
# Bits of a value by data type, where they are fixed; texts (8) have none.
BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16}
BITS |= {17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8}
# Data types of weights: numbers with a point, and the integers of quantised networks. Others are indices and shapes.
WEIGHTS = {1, 2, 3, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23}
# Each branch of a condition or loop is three deep, and no network has many of them in one another.
MOST_DEPTH = 30
MOST_PARTS = 10_000_000
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass
class OnnxScan:
    """What an ONNX file says of itself.

    Attributes:
        inputs: The shape of each input by name, without those that have a value in the file; None where it is not
            said.
        outputs: The same of outputs.
        external: Files with further weights, relative to the ONNX file's folder.
        parameters: Number of weights.
    """

    inputs: dict[str, Shape | None] = field(default_factory=dict)
    outputs: dict[str, Shape | None] = field(default_factory=dict)
    external: tuple[str, ...] = ()
    parameters: int = 0


def external_files(path: Path) -> tuple[str, ...]:
    """Return the files with further weights of an ONNX file, relative to its folder; see `scan_onnx`."""
    return scan_onnx(path).external


def scan_onnx(path: Path) -> OnnxScan:
    """Look through an ONNX file.

    Raises:
        WeightsError: The file cannot be read, is no ONNX file, is damaged, or names files outside its folder.
    """
    try:
        with open_file(path) as file:
            start = file.read(64)
            if not start:
                raise _UnfitError("is empty (zero bytes)")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _Scanner(content, path.parent).scan(start)
    except _UnfitError as error:
        raise WeightsError(
            f"Expected a network in the format ONNX in {path}, which {error}; copy, fetch or export the file again."
        ) from None
    except OSError as error:
        raise WeightsError(
            f"Expected a network in the format ONNX at {path}, but it cannot be read: {reason_of(error).lower()}; "
            "check the path."
        ) from error


class _UnfitError(Exception):
    """A file that is not used; the message is what follows "which", such as "is cut off"."""


Field = tuple[int, int, int, int]  # number, wire type, and start and end of the bytes, or the value and 0


class _Scanner:
    def __init__(self, content: mmap.mmap, folder: Path) -> None:
        self._content = content
        self._folder = folder
        self._parts = 0
        self._found = OnnxScan()
        self._external: dict[str, None] = {}

    def scan(self, start: bytes) -> OnnxScan:
        try:
            graphs = [one for one in self._fields(0, len(self._content)) if one[0] == GRAPH and one[1] == BYTES]
        except _UnfitError as error:
            raise _UnfitError(_kind_of(start) or str(error)) from None
        if len(graphs) != 1:
            raise _UnfitError(_kind_of(start) or "holds no network")
        self._walk("model", 0, len(self._content), 0)
        self._find_ports(*graphs[0][2:])
        self._found.external = tuple(self._external)
        return self._found

    def _fields(self, position: int, end: int) -> Iterator[Field]:
        """Yield the fields of the message between two places."""
        while position < end:
            self._parts += 1
            if self._parts > MOST_PARTS:
                raise _UnfitError(f"has more than {MOST_PARTS:,} parts")
            tag, position = self._varint(position, end)
            number, wire = tag >> 3, tag & 7
            if wire == VARINT:
                value, position = self._varint(position, end)
                yield number, wire, value, 0
                continue
            if wire == BYTES:
                length, position = self._varint(position, end)
            elif wire in (FIXED32, FIXED64):
                length = 4 if wire == FIXED32 else 8
            else:
                raise _UnfitError("is not a file of this format, or damaged")
            if length > end - position:
                raise _UnfitError("is damaged or was cut off, such as an interrupted copy or download")
            yield number, wire, position, position + length
            position += length

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                raise _UnfitError("is damaged or was cut off, such as an interrupted copy or download")
            byte = self._content[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position
        raise _UnfitError("is not a file of this format, or damaged")

    def _walk(self, kind: str, start: int, end: int, depth: int) -> None:
        """Look at all tensors in a message."""
        if depth > MOST_DEPTH:
            raise _UnfitError("is nested too deeply")
        if kind == "tensor":
            self._tensor(start, end)
            return
        parts = PARTS[kind]
        for number, wire, first, last in self._fields(start, end):
            if number in parts and wire == BYTES:
                self._walk(parts[number], first, last, depth + 1)

    def _tensor(self, start: int, end: int) -> None:
        """Check that a tensor has as many values as its shape says, and count them."""
        fields = list(self._fields(start, end))
        shape = [side for one in fields if one[0] == DIMS for side in self._integers(one)]
        if any(side >= 2**62 for side in shape):  # negative ones come out as such
            raise _UnfitError("has a tensor of negative size")
        count = math.prod(shape)
        data_type = next((one[2] for one in fields if one[0] == DATA_TYPE), 0)
        size = -(-count * BITS.get(data_type, 0) // 8)
        raw = [last - first for number, wire, first, last in fields if number == RAW and wire == BYTES]
        if any(one[0] == LOCATION and one[2] == 1 for one in fields):
            self._check_external(fields, size)
        elif raw and raw[-1] != size:
            raise _UnfitError(f"says that a tensor of {raw[-1]:,} bytes has {size:,}")
        elif not raw and data_type in BITS and self._typed(fields) < count / 2:
            raise _UnfitError(f"describes a tensor of {count:,} values that it does not hold")
        if data_type in WEIGHTS:
            self._found.parameters += count

    def _typed(self, fields: list[Field]) -> int:
        """Return how many values there are at most in the fields for numbers of a type."""
        typed = [one for one in fields if one[0] in TYPED]
        return sum(1 if wire != BYTES else last - first for _, wire, first, last in typed)

    def _integers(self, one: Field) -> list[int]:
        _, wire, first, last = one
        if wire == VARINT:
            return [first]
        values = []
        while wire == BYTES and first < last:
            value, first = self._varint(first, last)
            values.append(value)
        return values

    def _check_external(self, fields: list[Field], size: int) -> None:
        entries = dict(self._entry(*one[2:]) for one in fields if one[0] == EXTERNAL and one[1] == BYTES)
        location = entries.get("location", "")
        path = PurePosixPath(location)
        if not location or path.is_absolute() or ".." in path.parts or set(location) & {"\\", "\0", ":"}:
            raise _UnfitError(f"names a file of weights outside its folder ({location[:60]!r})")
        try:
            offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(size)))
        except ValueError:
            raise _UnfitError(f"does not say where in {location[:60]} a tensor is") from None
        if offset < 0 or length != size:
            raise _UnfitError(f"says that a tensor of {length:,} bytes in {location[:60]} has {size:,}")
        self._external[path.as_posix()] = None
        file = self._folder / path
        if file.is_file() and file.stat().st_size < offset + length:
            raise _UnfitError(f"needs more of {location[:60]} than there is, which was cut off")

    def _entry(self, start: int, end: int) -> tuple[str, str]:
        texts = {
            number: self._text(first, last) for number, wire, first, last in self._fields(start, end) if wire == 2
        }
        return texts.get(1, ""), texts.get(2, "")

    def _text(self, start: int, end: int) -> str:
        return self._content[start : min(end, start + 4096)].decode("utf-8", "replace")

    def _find_ports(self, start: int, end: int) -> None:
        given = set()
        ports: dict[int, dict[str, Shape | None]] = {INPUT: self._found.inputs, OUTPUT: self._found.outputs}
        for number, wire, first, last in self._fields(start, end):
            if number == INITIALIZER and wire == BYTES:
                given |= {self._text(*one[2:]) for one in self._fields(first, last) if one[:2] == (NAME, BYTES)}
            elif number in ports and wire == BYTES:
                name, shape = self._port(first, last)
                ports[number][name] = shape
        for name in given & self._found.inputs.keys():
            del self._found.inputs[name]

    def _port(self, start: int, end: int) -> tuple[str, Shape | None]:
        """Return an input's or output's name and shape: type (2), tensor (1), shape (2), sides (1)."""
        name, shape = "", None
        for number, wire, first, last in self._fields(start, end):
            if wire == BYTES and number == 1:
                name = self._text(first, last)
            elif wire == BYTES and number == 2:
                inner = self._inside(first, last, 1)
                sides = self._inside(*inner, 2) if inner else None
                shape = tuple(self._side(*one[2:]) for one in self._fields(*sides) if one[0] == 1) if sides else None
        return name, shape

    def _inside(self, start: int, end: int, wanted: int) -> tuple[int, int] | None:
        places = [one[2:] for one in self._fields(start, end) if one[:2] == (wanted, BYTES)]
        return places[-1] if places else None

    def _side(self, start: int, end: int) -> int | None:
        values = [one[2] for one in self._fields(start, end) if one[:2] == (1, VARINT)]
        return values[-1] if values and 0 < values[-1] < 2**62 else None


def _kind_of(start: bytes) -> str | None:
    """Return what other file this is, by its first bytes; None if it may be ONNX."""
    kinds = [(HDF5, "a file in the format HDF5"), (ZIP, "a zip archive"), *OTHERS]
    others = {first: what for first, what in kinds if first != b"\x08"}
    return next((f"is {what}" for first, what in others.items() if start.lstrip().startswith(first)), None)
