"""Samples of WebDataset shards: members of a tar archive with one name, of which one is the image."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.archives import Archive
from featx.data.archived.image_rows import FORMER_PATH, ImageRows
from featx.data.choice import NONE
from featx.data.dataset import first_few, in_sentence
from featx.data.folders.kinds import is_image
from featx.data.tables.columns import OTHER_NAMES, check_number
from featx.data.tables.files import MAX_CELLS
from featx.errors import DataError, reason_of
from featx.text import LABEL_SEPARATOR

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("featx")

LABEL, CAPTION, RECORD = "cls", "txt", "json"
SIDECARS = (LABEL, CAPTION, RECORD)
LARGEST_SIDECAR = 2**20  # bytes
_MASK = re.compile(r"[a-z].*\.(png|jpe?g|tiff?|webp|bmp|npy)$")  # of `0001.mask.png`, but not of `1.2.840.1.png`


def sample_rows(archive: Archive, separator: str | None = None) -> ImageRows | None:
    """Return the images of a shard with what its other members say of them; None if none of them says anything.

    The name of a sample's members is the same up to the first point of the file's name: `0001.jpg`, `0001.cls` with
    the class, `0001.txt` with a caption, `0001.json` with further columns, whose lists of texts become one text with
    `separator` in between. None, too, if the images are in several folders and no member says their classes, because
    the folders may.

    Raises:
        DataError: A member of text cannot be read.
    """
    samples = [(members, _images(members, archive.path)) for members in _samples(archive).values()]
    samples = [(members, images) for members, images in samples if images]
    if not any(_is_sample(members, images) for members, images in samples):
        return None
    rows: list[dict[str, Any]] = []
    paths: list[Path] = []
    for members, images in samples:
        columns = _columns(archive, members, LABEL_SEPARATOR if separator in (None, NONE) else separator)
        for ending in images:
            rows.append({**columns, "path": f"{archive.path.name}/{members[ending]}"})
            paths.append(archive.path / members[ending])
    names = {name.lower().replace("_", "") for name in _checked_columns(archive.path, rows)}
    folders = {members[ending].rpartition("/")[0] for members, images in samples for ending in images}
    if len(folders) > 1 and names.isdisjoint(("label", *OTHER_NAMES["label"][0])):
        return None
    others = [members[ending] for members, images in samples for ending in {*members} - {*images, *SIDECARS}]
    if others:
        text = "Members beside the images of %s were left out (%d): %s"
        log.info(text, archive.path.name, len(others), first_few(others))
    return ImageRows(_table(rows), paths)


def _is_sample(members: Mapping[str, str], images: Sequence[str]) -> bool:
    """Whether members are of one sample: one says something of an image, or is a mask or the like beside it."""
    has_mask = not _MASK.search(images[0]) and any(map(_MASK.search, members))
    return has_mask or not members.keys().isdisjoint(SIDECARS)


def _samples(archive: Archive) -> dict[str, dict[str, str]]:
    """The members of each sample by their endings; hidden ones are no members."""
    samples: dict[str, dict[str, str]] = {}
    for name in archive.names:
        folder, _, file = name.rpartition("/")
        key, point, ending = file.partition(".")
        if key and point and "/." not in f"/{folder}":
            samples.setdefault(f"{folder}/{key}", {})[ending.lower()] = name
    return samples


def _images(members: Mapping[str, str], archive: Path) -> list[str]:
    """The endings of a sample's images: the plain ones such as `jpg`; if there is none, those like `left.jpg`."""
    others = [(ending, name) for ending, name in members.items() if ending not in SIDECARS]
    images = [ending for ending, name in others if is_image(name, f"{archive}/{name}")]
    return [ending for ending in images if "." not in ending] or images


def _columns(archive: Archive, members: Mapping[str, str], separator: str) -> dict[str, Any]:
    """What the members of text of a sample say, by the name of the column."""
    columns: dict[str, Any] = {}
    if RECORD in members:
        try:
            record = json.loads(_text(archive, members[RECORD]))
        except (ValueError, RecursionError) as error:
            raise _wrong(archive, members[RECORD], f"JSON, found other text ({reason_of(error)})") from error
        if not isinstance(record, dict):
            raise _wrong(archive, members[RECORD], "a JSON object, found another value")
        plain = {name: separator.join(value) if _is_of_texts(value) else value for name, value in record.items()}
        columns = {name: value for name, value in plain.items() if isinstance(value, str | int | float)}
        if "path" in columns:
            columns.setdefault(FORMER_PATH, columns.pop("path"))
    if LABEL in members:
        columns["label"] = _text(archive, members[LABEL]).strip() or None
    if CAPTION in members:
        columns["caption"] = _text(archive, members[CAPTION]).strip()
    return columns


def _is_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _text(archive: Archive, name: str) -> str:
    try:
        return archive.read(name, LARGEST_SIDECAR).decode()
    except UnicodeDecodeError as error:
        raise _wrong(archive, name, "text in UTF-8, found other bytes") from error
    except OSError as error:
        raise _wrong(archive, name, f"text, but it cannot be read ({error.strerror})") from error


def _wrong(archive: Archive, name: str, what: str) -> DataError:
    return DataError(
        f"Expected in {in_sentence(name)} of {archive.path} {what}; correct it and make the shard again."
    )


def _checked_columns(archive: Path, rows: list[dict[str, Any]]) -> set[str]:
    """The names of columns; each sample may have others, and a table has all of them in each row."""
    names = {name for row in rows for name in row}
    check_number(archive, len(names))
    if len(rows) * len(names) > MAX_CELLS:
        raise DataError(
            f"Expected at most {MAX_CELLS:,} cells beside the images of {archive}, found more; write fewer values "
            "into its .json members."
        )
    return names


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows as a table; a column with values of several kinds is one of texts."""
    import pyarrow as pa

    names = list(dict.fromkeys(["path", *(name for row in rows for name in row)]))
    columns = {}
    for name in names:
        cells = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(cells)
        except (pa.ArrowException, OverflowError):
            columns[name] = pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
    return pa.table(columns)
