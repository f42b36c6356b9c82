"""A network that a framework has built, ready to be written to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.networks.cards.card import AboutPart, Card, InputPart, Kind, OutputPart, PixelsPart
from featx.networks.weights import file_digest

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Built:
    """A network of a framework without its classifier.

    Attributes:
        name: What people call it.
        kind: The format that `write` writes.
        prepare: The framework's own preparation of an image, (height, width, 3) from 0 to 255, to the network's input
            in the card's layout, without a batch axis.
        outputs: The network itself: from inputs (n, …) to its outputs by name.
        write: Writes the network into an empty folder and returns its files, the main one first.
    """

    name: str
    kind: Kind
    input: InputPart
    pixels: PixelsPart
    output: OutputPart
    about: AboutPart
    prepare: Callable[[NDArray[np.uint8]], Floats]
    outputs: Callable[[Floats], Mapping[str, Floats]]
    write: Callable[[Path], list[Path]]

    def card(self, folder: Path, files: list[Path]) -> Card:
        """Return the card of the files that `write` wrote into this folder."""
        digests = {path.relative_to(folder).as_posix(): file_digest(path, "the network's file") for path in files}
        card = Card(
            name=self.name,
            kind=self.kind,
            files=digests,
            input=self.input,
            pixels=self.pixels,
            output=self.output,
            about=self.about,
        )
        return card.at(folder)


def load_packages(source: str, *names: str, package: str = "featx[import]") -> list[ModuleType]:
    """Import the packages that a source needs.

    Raises:
        UsageError: One is not installed.
    """
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        missing = error.name or names[0]
        raise UsageError(
            f"Expected the package {missing} for {source}, but it is not installed; install it with "
            f"pip install '{package}', and run the command again. The imported network does not need it."
        ) from error
