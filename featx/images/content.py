"""The digest that names an image file's content and the rule by which it is decoded."""

from __future__ import annotations

import hashlib

from featx.images.containers import gif_frame, png_key_scale, png_samples
from featx.images.tiff import COMPRESSION, FLOAT, SIGNED, UNSIGNED, read_directory

# Put before the bytes of files whose kind earlier versions decoded to other pixels: their rows are not reused.
_RULE_2 = b"featx decode 2\n"
# Format and bits of a sample.
_GREY_AS_BEFORE = {(UNSIGNED, 12), (UNSIGNED, 16), (SIGNED, 16), (SIGNED, 32), (FLOAT, 32)}


def content_digest(data: bytes) -> str:
    """Return the digest under which features of an image file are cached.

    It is the SHA-256 of the bytes. For kinds of files that earlier versions of featx decoded to other pixels, it is
    the SHA-256 of `featx decode 2`, a line feed, and the bytes:

    - PNG: colour or alpha of 16 bits; grey of 2 or 4 bits with a transparent level.
    - TIFF: what `samples` unpacks, but grey of 12 or 16 bits unsigned, 16 or 32 signed (not big-endian and
      compressed), floats of 32; what is refused now though Pillow reads it (`misread`); a palette whose values go
      to 255.
    - GIF: the first image does not cover the canvas.

    Args:
        data: The file's bytes.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(_RULE_2 if _changed(data) else b"")
    digest.update(data)
    return digest.hexdigest()


def _changed(data: bytes) -> bool:
    if data.startswith(b"\x89PNG"):
        return png_samples(data) > 0 or png_key_scale(data) > 1
    if data.startswith(b"GIF8"):
        return (frame := gif_frame(data)) is not None and not frame.transparent and not frame.covers
    if data.startswith((b"II", b"MM")):
        return _changed_tiff(data)
    return False


def _changed_tiff(data: bytes) -> bool:
    try:
        directory = read_directory(data)
    except ValueError:
        return False
    swapped = directory.format == SIGNED and directory.order == ">" and directory.value(COMPRESSION, 1) != 1
    if directory.misread or directory.dark_palette or swapped:
        return True
    grey = directory.samples == 1 and (directory.format, directory.bits) in _GREY_AS_BEFORE
    return directory.deep and not grey
