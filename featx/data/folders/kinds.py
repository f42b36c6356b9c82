"""Which files are taken for images, by their ending or their first bytes."""

from __future__ import annotations

import re
from pathlib import Path

from featx.archives import archive_of, is_image_table, member_start
from featx.dicom import is_dicom, split_frame
from featx.files import open_file

# A file in a folder is taken for an image by its ending, in any case.
IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif", ".avif"),
    *(".heic", ".heif", ".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".j2c", ".jxl", ".npy"),
)
DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
ENDINGS_TEXT = f"the endings of images are {', '.join((*IMAGE_ENDINGS, *DICOM_ENDINGS))}."

# Archives of hospitals name files 1.2.840.113…, IM000001 or XR.1: without an ending, or with a number for one.
_WITHOUT_ENDING = re.compile(r"[^.]+|.*\.\d+", re.DOTALL)
_DIRECTORY = b"1.2.840.10008.1.3.10"  # the media storage SOP class of a DICOMDIR, PS3.10 section 8.6
_HEAD = 512  # bytes that tell a DICOM file, with or without a preamble, and its kind
_LARGEST = 2**32


def is_image(name: str, path: str) -> bool:
    """Tell whether a file is an image, by its name and, for DICOM, by its first bytes."""
    lower = name.rpartition("/")[2].lower()
    if lower.endswith((*IMAGE_ENDINGS, *DICOM_ENDINGS)):
        return True
    if _WITHOUT_ENDING.fullmatch(lower) is None:
        return False
    head = _head(Path(path))
    return is_dicom(head) and _DIRECTORY not in head


def could_be_dicom(path: Path) -> bool:
    """Tell by the name whether an image could be a DICOM file; rows of tables are not looked into."""
    return not path.name.lower().endswith(IMAGE_ENDINGS) and not is_row(path)


def is_row(path: Path) -> bool:
    """Tell whether a path stands for the image in a row of a table."""
    there = archive_of(path)
    return there is not None and is_image_table(there[0])


def is_dicomdir(path: Path) -> bool:
    """Tell whether a file is the directory of DICOM files on a medium."""
    if path.name.lower().endswith(IMAGE_ENDINGS):  # most often, and then it need not be opened
        return False
    head = _head(path)
    return is_dicom(head) and _DIRECTORY in head


def file_of_frame(path: Path) -> Path | None:
    """Return the DICOM file of which a path names one frame, `scan.dcm/frame-3`; None for another path."""
    frame = split_frame(path)
    return frame[0] if frame is not None and starts_as_dicom(frame[0]) else None


def starts_as_dicom(path: Path) -> bool:
    """Tell by its first bytes whether a file, or one in an archive, is DICOM; one that cannot be read is not."""
    head = _head(path)
    return is_dicom(head) or (not head and file_of_frame(path) is not None)


def _head(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        if archive_of(path) is not None:
            return member_start(path, _HEAD)
        with open_file(path, _LARGEST) as file:
            return file.read(_HEAD)
    except OSError:
        return b""
