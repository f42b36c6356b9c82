"""Image files written for tests, also of kinds that Pillow reads and does not write."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from numpy.typing import NDArray
from PIL import Image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(samples: NDArray[Any], depth: int, colour_type: int, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand, for the kinds that Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = samples.shape[:2]
    lines = b"".join(b"\0" + line.astype(f">u{depth // 8}").tobytes() for line in samples)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def tiff(samples: NDArray[Any], **tags: int) -> bytes:
    """An uncompressed TIFF written by hand: one strip, a directory of short values, byte order as `samples`."""
    order = ">" if samples.dtype.byteorder == ">" else "<"
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    entries = {256: width, 257: height, 258: samples.dtype.itemsize * 8, 259: 1, 262: 1, 273: 8, 277: channels}
    entries |= {278: height, 279: samples.nbytes, 339: {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]}
    entries |= {int(name.removeprefix("tag")): value for name, value in tags.items()}
    directory = struct.pack(f"{order}H", len(entries))
    for tag, value in sorted(entries.items()):
        directory += struct.pack(f"{order}HHLHH", tag, 3, 1, value, 0)
    start = 8 + samples.nbytes
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", start)
    return head + samples.tobytes() + directory + b"\0\0\0\0"
