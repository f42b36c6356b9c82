"""DICOM files among the items: their patients as groups, their columns, and the frames of one file."""

from __future__ import annotations

import io
import logging
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from featx.archives import archive_of, read_member
from featx.data.choice import DataChoice
from featx.data.dataset import Dataset, Item, first_few, readable
from featx.data.folders.kinds import could_be_dicom, file_of_frame, is_row, starts_as_dicom
from featx.data.hidden_names import Headers, labels_that_name, warn_of_names, without_names
from featx.dicom import Header, directory_files, frame_path, missing_pydicom, read_header, salt_of
from featx.errors import DataError
from featx.files import NETWORK_LIMIT, open_file
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.text import count

log = logging.getLogger("featx")

Frames = Literal["first", "middle", "all"]
MOST_FRAMES = 100_000  # of one file: a header is a few bytes, and each frame becomes an image
WORKERS = 2  # most of the work is Python's, which threads share; a file system over a network is waited for
TOGETHER = 32  # headers a task


def with_dicom(
    items: Sequence[Item],
    root: Path,
    cache: Path,
    choice: DataChoice | None = None,
    *,
    by_folder: bool = False,
    outside: Sequence[Item] = (),
    others: Sequence[list[str]] = (),
) -> list[Item]:
    """Return items with the groups and columns that headers of DICOM files give; what is no image is left out.

    Args:
        items: The images of the data.
        root: The folder of the data, absolute.
        cache: Folder of the cache, which has the salt of the hashes that stand for patients.
        choice: How the data is read.
        by_folder: Whether folders are the labels, and may turn out to be patients.
        outside: Images that are in no such folder; they are taken if the folders are those of patients.
        others: Lists of names of other files. Names that identify a patient are replaced in them.

    Raises:
        DataError: There are DICOM files and pydicom is not installed, or none of the files is an image.
        StoreError: The salt in the cache is damaged.
    """
    numbers = _dicom_files(items)
    if not numbers:
        return list(items)
    choice = choice or {}
    salt = salt_of(cache)
    headers = _headers(items, numbers, salt)
    if by_folder and outside and _are_patients(items, headers):
        items = [*items, *outside]
        headers |= _headers(items, [n for n in _dicom_files(items) if n >= len(items) - len(outside)], salt)
    grouped = _with_groups_and_columns(items, headers, choice)
    labelled = _without_patients_as_labels(grouped, headers) if by_folder else grouped
    hidden = without_names(labelled, headers, salt, others)
    warn_of_names(root, headers.values())
    return _images_alone(hidden, headers, root)


def with_hidden_names(items: Sequence[Item], cache: Path) -> list[Item]:
    """Return items whose ids and aliases do not name the patients of DICOM files; none is left out.

    Args:
        items: The images.
        cache: Folder of the cache, which has the salt of the hashes that stand for names.

    Raises:
        DataError: There are DICOM files and pydicom is not installed.
        StoreError: The salt in the cache is damaged.
    """
    numbers = _dicom_files(items)
    if not numbers:
        return list(items)
    salt = salt_of(cache)
    return without_names(items, _headers(items, numbers, salt), salt)


def _dicom_files(items: Sequence[Item]) -> list[int]:
    """The numbers of the items that are DICOM files."""
    tables: dict[Path, bool] = {}

    def could_be(path: Path) -> bool:
        if path.suffix or not is_row(path):
            return could_be_dicom(path)
        # To look into each row would be to read a table of JPEGs twice: the first of its rows tells.
        if path.parent not in tables:
            tables[path.parent] = starts_as_dicom(path)
        return tables[path.parent]

    numbers = [number for number, item in enumerate(items) if item.pixels is None and could_be(item.path)]
    return [number for number in numbers if starts_as_dicom(items[number].path)]


def _headers(items: Sequence[Item], numbers: Sequence[int], salt: bytes) -> dict[int, Header]:
    """The headers of these items, by their numbers; those that can be read."""
    try:
        import pydicom  # noqa: F401 - before threads find out, one by one, that it is not there
    except ImportError:
        raise missing_pydicom("DICOM files") from None

    def read(numbers: Sequence[int]) -> list[tuple[int, Header | None]]:
        return [(number, _header(items[number].path, salt)) for number in numbers]

    headers: dict[int, Header] = {}
    done = 0
    parts = [numbers[start : start + TOGETHER] for start in range(0, len(numbers), TOGETHER)]
    for part in bounded_map(read, parts, workers=WORKERS, ahead=2 * WORKERS):
        headers |= {number: header for number, header in part if header is not None}
        done += len(part)
        report_progress("reading headers", done, len(numbers))
    return headers


def _header(path: Path, salt: bytes) -> Header | None:
    try:
        with _opened(path) as file:
            return read_header(file, salt)
    except OSError:  # decoding will say what is wrong
        return None


def _opened(path: Path) -> BinaryIO:
    path = file_of_frame(path) or path
    if archive_of(path) is not None:
        return io.BytesIO(read_member(path, NETWORK_LIMIT))
    return open_file(path, NETWORK_LIMIT)


def _with_groups_and_columns(items: Sequence[Item], headers: Headers, choice: DataChoice) -> list[Item]:
    """Return items with the columns of their headers, and with patients as groups if no others are chosen."""
    chosen: Mapping[str, Any] = choice
    own = any(chosen.get(name) is not None for name in ("group_from", "group_column", "groups"))
    own = own or any(item.group is not None for item in items)
    new = list(items)
    for number, header in headers.items():
        item = items[number]
        # A column of the manifest with the same name says what the user knows better.
        new[number] = replace(
            item,
            group=item.group if own else header.group,
            extra={**header.columns, **item.extra},
            frames=1 if file_of_frame(item.path) is not None else header.frames,
        )
    if headers:
        patients = len({header.patient for header in headers.values()} - {None})
        studies = len({header.columns.get("study") for header in headers.values()} - {None})
        log.info(
            "DICOM: %s file%s, %s patient%s, %s stud%s; patients are %s. Ids are kept as salted hashes alone.",
            *(count(len(headers)), "s" * (len(headers) != 1)),
            *(count(patients), "s" * (patients != 1), count(studies), "y" if studies == 1 else "ies"),
            "not the groups, because others are given" if own else "groups",
        )
    return new


def _without_patients_as_labels(items: Sequence[Item], headers: Headers) -> list[Item]:
    """Return items without labels if these are the names of patients' folders."""
    if not _are_patients(items, headers):
        return list(items)
    log.info(
        "The folders of the DICOM files (%s) are those of patients, so these are images without labels; --labels "
        "folder takes the folders for classes.",
        count(len({item.label for item in items} - {None})),
    )
    return [replace(item, label=None) for item in items]


def _are_patients(items: Sequence[Item], headers: Headers) -> bool:
    """Tell whether labels are the names of patients' folders."""
    labels: dict[str, set[str | None]] = {}
    for number, item in enumerate(items):
        if item.label is None:
            continue
        if item.label not in unicodedata.normalize("NFC", item.id).split("/"):
            return False  # a shard says the labels of its images
        header = headers.get(number)
        labels.setdefault(item.label, set()).add(None if header is None else header.group)
    one_each = all(len(groups) == 1 and None not in groups for groups in labels.values())
    are_names = 2 * len(labels_that_name(items, headers)) > len(labels)
    return bool(labels) and ((one_each and len(labels) > 2) or are_names)


def is_medium(root: Path) -> bool:
    """Tell whether a folder is a copy of a medium with DICOM files: a DICOMDIR lists them."""
    return any((root / name).is_file() for name in ("DICOMDIR", "dicomdir", "DICOMDIR.", "DICOMDIR;1"))


def _images_alone(items: Sequence[Item], headers: Headers, root: Path) -> list[Item]:
    """Return the items that are images; notices say what the others are.

    Raises:
        DataError: None is an image.
    """
    objects = {n: header.left_out for n, header in headers.items() if header.left_out}
    burned_in = [n for n, header in headers.items() if header.burned_in and n not in objects]
    left_out = {*objects, *burned_in}
    kept = [item for number, item in enumerate(items) if number not in left_out]
    kinds = ", ".join(f"{kind} ({count(number)})" for kind, number in sorted(Counter(objects.values()).items()))
    if not kept:
        reasons = [f"objects without an image: {kinds}"] * bool(objects)
        reasons += [f"{count(len(burned_in))} with text burned into their pixels"] * bool(burned_in)
        raise DataError(
            f"Expected images in {root}, found only DICOM files that are left out ({'; '.join(reasons)}); give the "
            "folder of the images."
        )
    if objects:
        names = [items[number].id for number in objects]
        ignored = "; presentation states are not applied" * any("resentation State" in k for k in objects.values())
        log.info("DICOM objects without an image were left out: %s, such as %s%s.", kinds, first_few(names), ignored)
    if burned_in:
        names = [items[number].id for number in burned_in]
        log.warning(
            "DICOM images with text burned into their pixels, which may name patients, were left out (%s): %s; to "
            "use them, remove the text and set their BurnedInAnnotation to NO",
            count(len(burned_in)),
            first_few(names),
        )
    return kept


def list_dicomdir(path: Path, prefix: str, split: str) -> list[Item]:
    """Return the images that a DICOMDIR lists, sorted by id; a notice names those that are missing.

    Args:
        path: The DICOMDIR.
        prefix: Start of the ids: its folder, as given, with a slash; "" where it is the root of the data.
        split: The split of the images.

    Raises:
        DataError: It cannot be read, or none of its images is there.
    """
    folder = path.absolute().parent
    files, missing = directory_files(path.absolute())
    if missing:
        log.warning(
            "Images that %s lists were not found and are left out (%s of %s).",
            path,
            count(len(missing)),
            count(len(files) + len(missing)),
        )
    if not files:
        raise DataError(f"Expected the images that {path} lists in {folder}, found none; copy the whole medium.")
    items = [Item(f"{prefix}{readable(file.relative_to(folder).as_posix())}", file, None, split) for file in files]
    return sorted(items, key=lambda item: item.id)


def with_frames(dataset: Dataset, rule: Frames) -> Dataset:
    """Return a dataset in which a file of several frames stands for one of them, or for as many images.

    Args:
        dataset: The images, where a file of several frames is one item.
        rule: `first`, `middle` (of n frames, number n // 2 counted from 0) or `all`.

    Raises:
        DataError: A file says that it has more than 100,000 frames.
    """
    if rule == "first" or all(item.frames == 1 for item in dataset.items):
        return dataset
    return replace(dataset, items=tuple(frame for item in dataset.items for frame in _frames(item, rule)))


def _frames(item: Item, rule: Frames) -> list[Item]:
    if item.frames == 1:
        return [item]
    if rule == "middle":
        return [_frame(item, item.frames // 2)]
    if item.frames > MOST_FRAMES:
        raise DataError(
            f"Expected at most {count(MOST_FRAMES)} frames in a file, but {item.id} says that it has "
            f"{count(item.frames)}; choose --frames first or middle, or leave the file out."
        )
    # Frames of one file show one body, whoever that is.
    whole = item if item.group is not None else replace(item, group=item.id)
    return [_frame(whole, number) for number in range(item.frames)]


def _frame(item: Item, number: int) -> Item:
    alias = None if item.alias is None else frame_path(item.alias, number)
    return replace(item, id=f"{item.id}/frame-{number}", path=frame_path(item.path, number), alias=alias, frames=1)
