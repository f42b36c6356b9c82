"""Cards: a small TOML beside a network from elsewhere that says what decides its features.

A card names the network's files with their SHA-256, how pixels are prepared, and which output is meant. The digest of
what decides a number is the network's part of the cache's keys; names, paths and `about` are not in it.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from featx.digests import digest_of
from featx.images import Colour, Preprocessing
from featx.networks.cards.file_digests import MOST_FILES, check_external, check_files, inside
from featx.recipes import Fit, ImagesPart, Part, Pooling, Resize

Kind = Literal["onnx", "keras", "saved_model", "openvino"]
Tokens = Literal["cls", "mean", "cls+mean", "map"]
Layout = Literal["nchw", "nhwc"]
Side = Annotated[int, Field(ge=8, le=4096)]
PortName = Annotated[str, Field(min_length=1, max_length=4096)]
Text = Annotated[str, Field(max_length=4096)]
# Endings of main files, and the kind of their network.
ENDINGS = {".onnx": "onnx", ".keras": "keras", ".pb": "saved_model", ".xml": "openvino"}
NEEDS_FRAMEWORK = (".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".msgpack", ".tflite", ".mlmodel")


def _two_sides(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("write height and width, such as [224, 224]")
    return tuple(value)


def _list_of_numbers(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("write a number for each channel, such as [0.485, 0.456, 0.406]")
    return tuple(value)


Numbers = Annotated[tuple[float, ...], Field(min_length=1, max_length=3), BeforeValidator(_list_of_numbers)]


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("a SHA-256 has 64 hexadecimal digits")
    return text.lower()


Digest = Annotated[str, AfterValidator(_sha256)]
FileName = Annotated[str, AfterValidator(inside)]


class InputPart(Part):
    """The network's image input."""

    name: Annotated[PortName | None, Field(description="the input's name; None: the only one")] = None
    layout: Layout
    colour: Colour
    size: Annotated[tuple[Side, Side], Field(description="height and width in pixels"), BeforeValidator(_two_sides)]

    @property
    def channels(self) -> int:
        """Channels of an image: 3, or 1 for `grey`."""
        return 1 if self.colour == "grey" else 3

    def axes(self, shape: tuple[int, int]) -> tuple[int, int, int]:
        """Return the lengths of an image's axes in the input's layout; `shape` is height and width."""
        return (self.channels, *shape) if self.layout == "nchw" else (*shape, self.channels)


class PixelsPart(Part):
    """How pixels (0 to 255) are prepared: resized, then (x × scale - mean) / std."""

    interpolation: Resize
    fit: Fit = "stretch"
    resize_to: Annotated[int | None, Field(ge=8, le=8192)] = None
    scale: Annotated[float, Field(gt=0)]
    mean: Numbers
    std: Numbers


class OutputPart(Part):
    """The output whose values are the features."""

    name: Annotated[PortName | None, Field(description="the output's name; None: the only one")] = None
    tokens: Annotated[Tokens | None, Field(description="for outputs of tokens, (n, tokens, channels)")] = None
    prefix_tokens: Annotated[int, Field(ge=0, le=1000, description="tokens before those of patches")] = 1
    pooling: Annotated[Pooling, Field(description="of a feature map")] = "none"
    layout: Annotated[Layout | None, Field(description="of a feature map; None: as the input's")] = None


class AboutPart(Part):
    """What changes no number."""

    licence: Text = ""
    source: Text = ""
    made_with: Text = ""
    notes: Text = ""
    width: Annotated[int | None, Field(ge=1, description="number of features of an image")] = None
    largest_difference: Annotated[
        float | None, Field(ge=0, description="between the framework and the file, relative, on trial images")
    ] = None


class Card(Part):
    """A network from elsewhere: its files, how its pixels are prepared, and its output.

    Attributes:
        card: Version of this description.
        name: What people call the network.
        kind: The format of its main file.
        files: SHA-256 by path relative to the card; the main file is the first.
    """

    card: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Kind
    files: Annotated[dict[FileName, Digest], Field(min_length=1, max_length=MOST_FILES)]
    input: InputPart
    pixels: PixelsPart
    output: OutputPart = OutputPart()
    about: AboutPart = AboutPart()
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _one_number_for_each_channel(self) -> Card:
        channels = self.input.channels
        for name in ("mean", "std"):
            if len(getattr(self.pixels, name)) != channels:
                count = "3 numbers" if channels == 3 else "1 number"
                raise ValueError(f"pixels.{name} must have {count} for the colour '{self.input.colour}'")
        if min(self.pixels.std) <= 0:
            raise ValueError("pixels.std must be positive in each channel")
        if self.output.pooling != "none" and self.output.tokens not in (None, "map"):
            raise ValueError(
                f"output.pooling '{self.output.pooling}' is for maps, not for output.tokens '{self.output.tokens}'"
            )
        self.images()
        return self

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Card:
        main = next(iter(self.files))
        ending = PurePosixPath(main).suffix.lower()
        if ending in NEEDS_FRAMEWORK:
            raise ValueError(
                f"{main[:60]} needs the framework that wrote it; export the network as ONNX, for example with featx "
                "backbones import"
            )
        if ENDINGS.get(ending, self.kind) != self.kind:
            raise ValueError(
                f"the first of its files, {main[:60]}, is no network of the kind '{self.kind}'; write kind = "
                f"'{ENDINGS[ending]}', or put the main file first"
            )
        if self.kind == "keras" and self.input.layout != "nhwc":
            raise ValueError("input.layout must be 'nhwc' for the kind 'keras': channels come last in Keras")
        return self

    @property
    def folder(self) -> Path:
        """The folder that the paths in `files` start from."""
        return self._folder

    def at(self, folder: Path) -> Card:
        """Return the card as one that lies in this folder."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    @property
    def main(self) -> Path:
        """The path of the main file."""
        return self._folder / next(iter(self.files))

    def verify(self, root: Path | None = None) -> None:
        """Check that the files are those that the card names, and that it names all of them.

        Args:
            root: Folder of a cache that remembers the digests of files that have not changed.

        Raises:
            WeightsError: A file is missing or another, or the network needs a file that the card does not name.
        """
        label = f"the card {self.name}"
        check_files(self._folder, self.files, label, root)
        if self.kind == "onnx":
            check_external(self._folder, self.files, label)

    def images(self) -> ImagesPart:
        """Return how images are resized."""
        height, width = self.input.size
        return ImagesPart(
            size=height,
            width=None if width == height else width,
            resize=self.pixels.interpolation,
            fit=self.pixels.fit,
            resize_to=self.pixels.resize_to,
        )

    def preprocessing(self) -> Preprocessing:
        """Return how resized pixels are scaled."""
        pixels = self.pixels
        return Preprocessing("affine", pixels.mean, pixels.std, pixels.scale, self.input.colour)

    def key(self) -> dict[str, Any]:
        """Return all that decides a number; where files lie and what they are called does not."""
        main, *others = self.files.values()
        # Without what is not set, so that a field that is added to cards later leaves keys as they are.
        tables = {"input": self.input, "pixels": self.pixels, "output": self.output}
        parts = {name: table.model_dump(mode="json", exclude_none=True) for name, table in tables.items()}
        return {"card": self.card, "kind": self.kind, "files": [main, *sorted(others)], **parts}

    def digest(self) -> str:
        """Return the SHA-256 of what decides a number, 64 hexadecimal digits."""
        return digest_of(self.key())
