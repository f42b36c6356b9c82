"""Whether a file may have samples of more than 8 bits, from its first bytes."""

from __future__ import annotations

from featx.dicom import is_dicom
from featx.images.arrays import MAGIC
from featx.images.jpeg2000 import CODESTREAM, SIGNATURE
from featx.images.jpegxl import SIGNATURE as JXL_SIGNATURE

DEPTH_HEAD = 4096
"""The bytes that `may_be_deep` needs."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24  # where a PNG has its bit depth
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def may_be_deep(head: bytes) -> bool:
    """Tell whether an image's own values may decide its depth, see `sample_range`; False is certain.

    Args:
        head: The first `DEPTH_HEAD` bytes of the file, or all of a smaller one.
    """
    if is_dicom(head):
        return False
    if head.startswith(_PNG):
        return head[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10"
    if head.startswith(MAGIC):
        return b"u1" not in head[:256]
    return head.startswith((*_TIFF, SIGNATURE, CODESTREAM)) or JXL_SIGNATURE.match(head) is not None
