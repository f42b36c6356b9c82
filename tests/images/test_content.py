from __future__ import annotations

import hashlib
import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from image_files import encoded, png, tiff
from numpy.typing import NDArray
from PIL import Image

from featx.images.content import content_digest

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOUR = np.dstack([GREY, GREY * 2, GREY * 3])


def gif(width: int) -> bytes:
    data = bytearray(encoded(Image.fromarray(GREY).convert("P"), "GIF"))
    struct.pack_into("<H", data, 6, width)
    return bytes(data)


def written(samples: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, photometric="minisblack", metadata=None, **options)
    return file.getvalue()


AS_BEFORE = {
    "jpeg": encoded(Image.fromarray(COLOUR), "JPEG"),
    "png": encoded(Image.fromarray(COLOUR), "PNG"),
    "png16": png(GREY.astype(np.uint16), 16, 0),
    "png key": png(COLOUR, 8, 2, (b"tRNS", bytes(6))),
    "tiff": encoded(Image.fromarray(COLOUR), "TIFF"),
    "tiff16": tiff(GREY.astype("<u2")),
    "tiff16 big endian": tiff(GREY.astype(">u2")),
    "tiff signed": tiff(GREY.astype("<i2")),
    "tiff signed big endian": tiff(GREY.astype(">i2")),
    "tiff signed compressed": written(GREY.astype("<i2"), compression="zlib"),
    "tiff signed 32": tiff(GREY.astype("<i4")),
    "tiff float": tiff(GREY.astype("<f4")),
    "tiff cmyk16": tiff(np.dstack([COLOUR, GREY]).astype("<u2"), tag262=5),
    "bmp": encoded(Image.fromarray(COLOUR), "BMP"),
    "webp": encoded(Image.fromarray(COLOUR), "WEBP"),
    "gif": gif(8),
    "text": b"no image",
    "short tiff": b"II*\0",
    "tiff beyond all": b"II+\0\x08\0\0\0" + b"\xff" * 8,
    "short png": b"\x89PNG\r\n",
    "nothing": b"",
}
ANEW = {
    "png rgb16": png(COLOUR.astype(np.uint16), 16, 2),
    "png rgba16": png(np.dstack([COLOUR, GREY]).astype(np.uint16), 16, 6),
    "png la16": png(np.dstack([GREY, GREY]).astype(np.uint16), 16, 4),
    "tiff rgb16": tiff(COLOUR.astype("<u2"), tag262=2),
    "tiff unsigned 32": tiff(GREY.astype("<u4")),
    "tiff signed big endian compressed": written(GREY.astype(">i2"), compression="zlib", byteorder=">"),
    "tiff signed 8": tiff(GREY.astype("i1")),
    "tiff cmyk16 in planes": tiff(np.dstack([COLOUR, GREY]).astype("<u2"), tag262=5, tag284=2),
    "tiff of fewer chroma samples": tiff(COLOUR, tag262=6),
    "gif beside nothing": gif(9),
}


@pytest.mark.parametrize("kind", AS_BEFORE)
def test_rows_of_other_kinds_stay_valid(kind: str) -> None:
    assert content_digest(AS_BEFORE[kind]) == hashlib.sha256(AS_BEFORE[kind]).hexdigest()


@pytest.mark.parametrize("kind", ANEW)
def test_kinds_that_are_decoded_otherwise_now_have_other_digests(kind: str) -> None:
    assert content_digest(ANEW[kind]) == hashlib.sha256(b"featx decode 2\n" + ANEW[kind]).hexdigest()


def test_golden_digests() -> None:
    """The heads of two files: how the rest is compressed differs among versions of zlib."""
    heads = [png(GREY[:1, :1], 8, 0)[:33], png(COLOUR[:1, :1].astype(np.uint16), 16, 2)[:33]]
    assert [content_digest(head)[:16] for head in heads] == ["b04e0a33d3985a9d", "3b3aa0a9afad07dd"]
