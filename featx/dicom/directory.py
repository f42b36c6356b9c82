"""DICOMDIR: the directory of the DICOM files on a medium (PS3.3 annex F)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from featx.dicom.damage import damage_errors
from featx.dicom.description import inflated
from featx.errors import DataError, ImageError, reason_of
from featx.files import read_file

LARGEST = 2**28  # bytes of a DICOMDIR, with some hundred for each file: that of a full DVD has a few million
_DEEPEST = 8  # components of a file's id, PS3.10 section 8.2
# Records of objects that are no images, PS3.3 section F.5.
_NO_IMAGES = frozenset(
    (
        *("PRESENTATION", "SR DOCUMENT", "KEY OBJECT DOC", "WAVEFORM", "RT STRUCTURE SET", "RT PLAN"),
        *("RT TREAT RECORD", "ENCAP DOC", "REGISTRATION", "FIDUCIAL", "RAW DATA", "SPECTROSCOPY", "VALUE MAP"),
        *("STEREOMETRIC", "PRIVATE", "HANGING PROTOCOL", "PALETTE", "SURFACE", "SURFACE SCAN", "MEASUREMENT"),
        *("PLAN", "TRACT", "ASSESSMENT"),
    )
)


def directory_files(path: Path) -> tuple[list[Path], list[str]]:
    """Return the files that a DICOMDIR lists, without reports and other records that are no images.

    Args:
        path: The DICOMDIR.

    Returns:
        The files that are there, in the order of the records, each once; and the names of those that are not, with
        slashes.

    Raises:
        DataError: It cannot be read, or is no DICOMDIR.
    """
    from featx.dicom.quiet import quiet

    damage: tuple[type[Exception], ...] = ()
    try:
        damage = (*damage_errors(), ImageError)
        with quiet():
            records = _records(path)
    except ImportError:
        raise missing_pydicom("a DICOMDIR") from None
    except damage as error:
        # pydicom's messages quote values, which could be names.
        reason = reason_of(error) if isinstance(error, OSError) else "it is damaged, or lists nothing"
        raise DataError(
            f"Expected a DICOMDIR in {path}, but it cannot be read ({reason}); give its folder instead."
        ) from None
    listings: dict[Path, dict[str, str]] = {}
    files: dict[Path, None] = {}
    missing: list[str] = []
    for parts in records:
        file = _on_disk(path.parent, parts, listings)
        if file is None:
            missing.append("/".join(parts))
        else:
            files[file] = None
    return list(files), missing


def missing_pydicom(what: str) -> DataError:
    """Return the error for DICOM files where pydicom is not installed; `what` is what could be read with it."""
    return DataError(
        f"Expected the package pydicom to read {what}, but it is not installed; install it with "
        "pip install 'featx[dicom]'."
    )


def _records(path: Path) -> list[Sequence[str]]:
    """The parts of the file's path of each record of an image."""
    from pydicom import dcmread

    # A file without the preamble is read as well, as images are.
    dataset = dcmread(io.BytesIO(inflated(read_file(path, LARGEST), path.name)), force=True)
    if "DirectoryRecordSequence" not in dataset:
        raise ValueError("it has no records")
    return list(_file_ids(dataset.DirectoryRecordSequence))


def _file_ids(records: Sequence[object]) -> Iterator[Sequence[str]]:
    for record in records:
        kind = str(getattr(record, "DirectoryRecordType", "")).strip().upper()
        parts = getattr(record, "ReferencedFileID", None)
        if not parts or kind in _NO_IMAGES:
            continue
        parts = [parts] if isinstance(parts, str) else [str(part) for part in parts]
        yield [part.strip() for part in parts]


def _on_disk(folder: Path, parts: Sequence[str], listings: dict[Path, dict[str, str]]) -> Path | None:
    """The file that a record means, whatever the case of its names, which copies of media change; None if gone."""
    if not parts or len(parts) > 2 * _DEEPEST or any(part in ("", ".", "..") or "/" in part for part in parts):
        return None
    for part in parts:
        if folder not in listings:
            listings[folder] = {}
            with suppress(OSError):
                for entry in folder.iterdir():
                    listings[folder].setdefault(entry.name.upper(), entry.name)
                    listings[folder][entry.name] = entry.name
        # ISO 9660 adds a version to names, `IM1;1`, and a dot where there is no ending.
        name = listings[folder].get(part) or listings[folder].get(part.upper())
        name = name or listings[folder].get(f"{part.upper()}.") or listings[folder].get(f"{part.upper()};1")
        if name is None:
            return None
        folder /= name
    return folder if folder.is_file() else None
