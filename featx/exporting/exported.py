"""The verb `export`: a run or a saved classifier as one file from pixels to probabilities."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from featx.errors import UsageError
from featx.exporting.checking import Check, check, images_to_check
from featx.exporting.keras_file import FACTS, KerasSession, expressible, write_keras
from featx.exporting.onnx_file import OnnxSession, check_installed, write_onnx
from featx.features import Extraction
from featx.files import write_file
from featx.frames import Shown
from featx.prediction import read_model
from featx.progress import Progress, reports_progress
from featx.runs import Model, extract_new
from featx.text import images, size

Format = Literal["onnx", "keras"]
FORMATS: tuple[Format, ...] = ("onnx", "keras")
ENDINGS = {"onnx": ".onnx", "keras": ".keras"}
# What follows the version of the format, two bytes, in an ONNX file that featx wrote: the name of its producer.
PRODUCER = b"\x12\x05featx"


@dataclass(frozen=True, repr=False)
class Exported(Shown):
    """An exported file.

    Attributes:
        file: The file.
        format: `onnx` or `keras`.
        classes: In the order of its probabilities.
        input: What its input is.
        bytes: Its size.
        checked: The number of images on which it was compared with `predict`.
        largest_difference: The largest difference of a probability on them.
    """

    file: Path
    format: Format
    classes: tuple[str, ...]
    input: str
    bytes: int
    checked: int
    largest_difference: float

    def headline(self) -> str:
        """Return `model.onnx (14.8 MB), largest difference from predict 3.5e-06 on 36 images`."""
        difference = f"largest difference from predict {self.largest_difference:.1e}"
        return f"{self.file} ({size(self.bytes)}), {difference} on {images(self.checked)}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the file, its input, its classes and how it was checked."""
        return (), [
            ("file", f"{self.file} ({size(self.bytes)})"),
            ("input", self.input),
            ("classes", ", ".join(self.classes)),
            ("checked", f"{images(self.checked)}; largest difference from predict {self.largest_difference:.1e}"),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx export`."""
        return {**vars(self), "file": str(self.file), "classes": list(self.classes)}


@reports_progress
def export(
    run: str | Path,
    out: str | Path,
    *,
    format: Format | None = None,  # noqa: A002 - as the option of the command line
    data: str | Path | None = None,
    cache: str | Path = "cache",
    weights: str | None = None,
    yes: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write preprocessing, network and head, or saved classifier, as one file that runs without featx.

    Its input `images` is RGB pixels in uint8, (images, height, width, 3), and its output `probabilities` is (images,
    classes), which add up to 1; of a head for several labels it is the probability of each label by itself.

    An ONNX file takes images of any height and width and resizes them as Pillow does, to the last bit; a
    `.keras` file takes images that are already resized. The names of the classes, the recipe and the digests of what
    it was made of are in the ONNX file's metadata, or in `featx.json` within the `.keras` file.

    Before it is written, the file is run on images and compared with `predict`: at most 64, the run's test images,
    or else those held out for validation, or those it was trained on.

    Args:
        run: A folder that `fit_head` wrote, or a saved classifier that `save_best` wrote.
        out: The file.
        format: `onnx` or `keras`; if not given, the ending of `out` says it.
        data: Images to check the file on, if the run's own are not where they were. Saved classifiers need it.
        cache: Folder of the store.
        weights: Where the backbone's weights are, if not where the recipe says.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.

    Raises:
        UsageError: The format cannot express the network or the classifier, packages for it are missing, there are
            no images to check the file on, or `out` is a file that featx did not export.
        UntrustedError: The file does not give the probabilities of `predict`; it is not kept.
        RunError: The folder is neither, or damaged.
        FeatxError: What `predict` raises.
    """
    out = Path(out)
    chosen = check_out(out, format)
    if chosen == "onnx":
        check_installed()
    model = read_model(run)
    if chosen == "keras":
        expressible(model)
    if model.recipe.backbone.precision == "mixed":
        raise UsageError(
            "Expected a run whose features are in precision 'float32', received one in 'mixed', which other programs "
            "compute in other ways; train again with --precision float32."
        )
    paths = images_to_check(model, None if data is None else Path(data), cache)
    extraction = extract_new(model, paths, cache=cache, weights=weights)
    results: list[tuple[str, Check]] = []
    write_file(out, partial(_write, model=model, extraction=extraction, chosen=chosen, results=results))
    ((pixels, result),) = results
    return Exported(out, chosen, model.classes, pixels, out.stat().st_size, result.images, result.largest_difference)


def check_out(out: Path, wanted: str | None) -> Format:
    """Return the format that is meant, after a check of the file's name and of what is there.

    Args:
        out: The file to write.
        wanted: The format; None if the file's ending says it.

    Raises:
        UsageError: There is no such format, the file's ending is that of another one or of none, or it is there and
            featx did not export it.
    """
    if wanted is not None and wanted not in FORMATS:
        raise UsageError(f"Expected the format {' or '.join(FORMATS)}, received {wanted!r}.")
    by_ending = next((name for name in FORMATS if out.name.lower().endswith(ENDINGS[name])), None)
    if by_ending is None or wanted not in (None, by_ending):
        endings = ENDINGS[wanted] if wanted else " or ".join(ENDINGS.values())
        raise UsageError(f"Expected a file that ends in {endings}, received {out.name!r}; choose another --out.")
    _refuse_other_files(out)
    return by_ending


def _refuse_other_files(out: Path) -> None:
    """Refuse to replace what featx did not export, which may be the network that the run was made with."""
    if not (out.exists() or out.is_symlink()):
        return
    with suppress(OSError, zipfile.BadZipFile):
        if out.is_file() and (not out.stat().st_size or _was_exported(out)):
            return
    raise UsageError(
        f"Expected a new file, or one that featx export wrote, at {out}, found something else there; choose another "
        "--out."
    )


def _was_exported(path: Path) -> bool:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return FACTS in archive.namelist()
    with path.open("rb") as file:
        return file.read(2 + len(PRODUCER))[2:] == PRODUCER


def _write(
    draft: Path, model: Model, extraction: Extraction, chosen: Format, results: list[tuple[str, Check]]
) -> None:
    """Write the file and check it; nothing stays if that fails."""
    space = extraction.space
    session: OnnxSession | KerasSession
    if chosen == "onnx":
        pixels = write_onnx(draft, model, space)
        session = OnnxSession(draft)
    else:
        pixels = write_keras(draft, expressible(model), space)
        session = KerasSession(draft, space.spec.images)
    results.append((pixels, check(session, model, extraction)))
