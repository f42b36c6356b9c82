"""What is raised where a DICOM file is damaged."""

from __future__ import annotations

import struct
import zlib

REPLACE = "replace it or leave it out"


class DamageError(Exception):
    """What is wrong with a file's pixels or tables, in words of featx that quote no value of its header."""


def damage_errors() -> tuple[type[Exception], ...]:
    """Return what pydicom and the decoders raise on damaged bytes; their messages may quote a header, names too.

    RuntimeError includes NotImplementedError and RecursionError.
    """
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AttributeError),
        *(RuntimeError, struct.error, zlib.error, BytesLengthException, InvalidDicomError),
    )
