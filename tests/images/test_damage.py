"""Damaged files of the formats that have a head of their own: pixels or one sentence, without a warning."""

from __future__ import annotations

import io
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from image_files import encoded
from PIL import Image, ImageFile

from featx.errors import ImageError
from featx.images import decode, decoding
from featx.parallel import Budget

COLOUR = np.random.default_rng(8).integers(0, 256, (40, 48, 3), dtype=np.uint8)
DEEP = COLOUR.astype(np.uint16) * 200


def heic() -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(COLOUR)).save(file, quality=90)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, DEEP)
    return file.getvalue()


FILES: dict[str, bytes] = {
    "jp2": encoded(Image.fromarray(COLOUR), "JPEG2000"),
    "j2k of 16 bits": bytes(imagecodecs.jpeg2k_encode(DEEP, level=0, codecformat="j2k")),
    "avif": encoded(Image.fromarray(COLOUR), "AVIF"),
    "heic": heic(),
    "jxl": bytes(imagecodecs.jpegxl_encode(COLOUR, lossless=True)),
    "jxl of 16 bits": bytes(imagecodecs.jpegxl_encode(DEEP, lossless=True)),
    "jxl of a jpeg": bytes(imagecodecs.jpegxl_encode_jpeg(encoded(Image.fromarray(COLOUR), "JPEG"))),
    "npy": npy(),
}


def mutated(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 8))):
        where = generator.randrange(len(changed) if generator.random() < 0.3 else min(250, len(changed)))
        changed[where] = generator.choice((0, 255, generator.randrange(256)))
    if generator.random() < 0.3:
        del changed[generator.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_bytes_give_pixels_or_an_image_error(kind: str) -> None:
    generator = random.Random(kind)
    refused = 0
    for _ in range(150):
        try:
            pixels = decode(mutated(FILES[kind], generator), kind, max_pixels=1_000_000)
        except ImageError as error:
            refused += 1
            assert error.path == kind  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3
    assert refused > 30


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_image_is_refused_and_never_filled_up(kind: str, part: float) -> None:
    data = FILES[kind]
    assert decode(data, kind).shape == (40, 48, 3)
    with pytest.raises(ImageError, match=r"is truncated|is not an image"):
        decode(data[: max(16, int(len(data) * part))], kind)


@pytest.mark.parametrize("total", [1, 10**9])
def test_many_threads_decode_alike_however_little_memory_there_is(
    total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {kind: decode(data, kind) for kind, data in FILES.items()}
    monkeypatch.setattr(decoding, "DECODING", Budget(lambda: total, free=0))
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda kind: (kind, decode(FILES[kind], kind)), list(FILES) * 6))
    assert all(np.array_equal(pixels, expected[kind]) for kind, pixels in results)


def test_decoding_changes_no_setting_of_the_process() -> None:
    def settings() -> tuple[object, ...]:
        return list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, dict(Image.OPEN)

    before, threads = settings(), threading.active_count()
    for data in FILES.values():
        decode(data, "whole")
        with pytest.raises(ImageError):
            decode(data[:20], "cut")
    assert settings() == before
    assert threading.active_count() == threads
