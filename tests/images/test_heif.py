from __future__ import annotations

import io
import sys
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from image_files import encoded
from numpy.typing import NDArray
from PIL import ExifTags, Image

from featx.errors import ImageError
from featx.images import decode

RAMP = np.tile(np.arange(0, 1024, 16, dtype=np.uint16), (48, 1))
COLOUR = np.dstack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 400)])  # 10 bits
SMALL = (COLOUR >> 2).astype(np.uint8)


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    exif[ExifTags.Base.ImageDescription] = "phantom"
    return exif


def heic(samples: NDArray[Any], mode: str, exif: bytes | None = None) -> bytes:
    file = io.BytesIO()
    image = pillow_heif.from_bytes(mode, samples.shape[1::-1], np.ascontiguousarray(samples).tobytes())
    image.save(file, quality=-1, exif=exif, **({"chroma": 444} if mode.startswith("RGB") else {}))
    return file.getvalue()


def avif(samples: NDArray[Any], bits: int) -> bytes:
    return bytes(imagecodecs.avif_encode(np.ascontiguousarray(samples), level=100, bitspersample=bits))


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [1, 3])
def test_avif_of_every_depth(bits: int, channels: int) -> None:
    samples = COLOUR >> 2 if bits == 8 else COLOUR << bits - 10
    samples = samples.astype(np.uint8 if bits == 8 else np.uint16)
    pixels = decode(avif(samples if channels == 3 else samples[:, :, 0], bits), "a.avif")
    expected = np.rint(samples * 255.0 / (2**bits - 1)).astype(np.uint8)
    assert np.array_equal(pixels, expected if channels == 3 else np.repeat(expected[:, :, :1], 3, axis=2))


def test_dark_avif_of_10_bits_stays_dark() -> None:
    assert decode(avif(COLOUR >> 3, 10), "a.avif").max() <= 32


def test_alpha_is_over_black() -> None:
    alpha = np.repeat(np.linspace(0, 255, 48).astype(np.uint8)[:, None], 64, axis=1)
    samples = np.dstack([SMALL, alpha])
    expected = np.rint(SMALL * (alpha[:, :, None] / 255.0))
    for data in (encoded(Image.fromarray(samples), "AVIF", quality=100, subsampling="4:4:4"), heic(samples, "RGBA")):
        assert np.abs(decode(data, "a") - expected).max() <= 2


@pytest.mark.parametrize("value", range(1, 9))
def test_images_are_turned_upright_once(value: int) -> None:
    upright = Image.fromarray(SMALL)
    turned = {
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.rotate(180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.rotate(90, expand=True),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.rotate(-90, expand=True),
    }.get(value, upright)
    # Pillow moves the orientation out of the EXIF data, pillow-heif leaves it there, too.
    data = encoded(turned, "AVIF", quality=100, subsampling="4:4:4", exif=orientation(value))
    assert np.abs(decode(data, "a.avif").astype(int) - SMALL).max() <= 4
    data = heic(np.asarray(turned), "RGB", orientation(value).tobytes())
    assert np.abs(decode(data, "a.heic").astype(int) - SMALL).max() <= 2


def test_an_exif_orientation_alone_or_damaged_changes_nothing() -> None:
    """HEIF has its own rotation; the EXIF block is not even read, so that damage in it costs no warning."""
    for data in (
        encoded(Image.fromarray(SMALL), "AVIF", quality=100, subsampling="4:4:4", exif=orientation(6)),
        heic(SMALL, "RGB", orientation(6).tobytes()),
    ):
        broken = data.replace(b"MM\0*\0\0\0\x08\0", b"MM\0*\0\xff\xff\xff\xff")
        assert broken != data
        assert np.array_equal(decode(broken, "a"), decode(data, "a"))
        angle = data.index(b"irot") + 4
        still = data[:angle] + b"\0" + data[angle + 1 :]
        assert decode(still, "a").shape == SMALL.shape


def test_heic_of_8_and_10_bits() -> None:
    assert np.abs(decode(heic(SMALL, "RGB"), "a.heic").astype(int) - SMALL).max() <= 2
    assert np.array_equal(decode(heic(SMALL[:, :, 0], "L"), "a.heic")[:, :, 1], SMALL[:, :, 0])
    grey = decode(heic(COLOUR[:, :, 0] << 6, "I;16"), "a.heic")
    assert np.array_equal(grey[:, :, 0], np.rint(COLOUR[:, :, 0] * 255.0 / 1023))
    assert np.abs(decode(heic(COLOUR << 6, "RGB;16"), "a.heic") - COLOUR * 255.0 / 1023).max() <= 1.5


def test_of_a_sequence_the_first_and_of_several_images_the_primary_is_taken() -> None:
    first, second = Image.fromarray(SMALL), Image.fromarray(255 - SMALL)
    data = encoded(first, "AVIF", save_all=True, append_images=[second], quality=100, subsampling="4:4:4")
    assert np.abs(decode(data, "a.avif").astype(int) - SMALL).max() <= 4
    file = io.BytesIO()
    both = pillow_heif.from_pillow(first)
    both.add_from_pillow(second)
    both.save(file, quality=-1, chroma=444, primary_index=1)
    assert np.abs(decode(file.getvalue(), "a.heic").astype(int) - (255 - SMALL)).max() <= 2


def test_sizes_are_checked_before_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.images import heif

    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(heif, "_rgb", fail)
    for data in (encoded(Image.fromarray(SMALL), "AVIF"), heic(SMALL, "RGB")):
        with pytest.raises(ImageError, match="more than the limit"):
            decode(data, "a", max_pixels=48 * 64 - 1)
        with pytest.raises(AssertionError, match="decoded"):
            decode(data, "a", max_pixels=48 * 64)


def test_heic_needs_a_package_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(SMALL, "RGB")
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    assert decode(data, "a.heic").shape == SMALL.shape  # by pillow-heif, which has the same functions
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"a\.heic is HEIC, for which pi-heif .*\(pip install 'featx\[heic\]'\)"):
        decode(data, "a.heic")
