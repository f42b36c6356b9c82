from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import encoded, tiff
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from featx.previews.facts import FILE_FACTS, file_facts, format_of, size_of_jpeg

GREY = Image.fromarray(np.arange(30 * 40, dtype=np.uint8).reshape(30, 40))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WebP", "GIF", "AVIF"])
def test_formats_are_those_that_pillow_writes(kind: str) -> None:
    assert format_of(encoded(GREY.convert("RGB"), kind)) == kind


def test_a_grey_jpeg_has_one_channel_and_no_chroma() -> None:
    facts = file_facts(encoded(GREY, "JPEG", comment=b"seen by"))
    assert facts["channels"] == 1
    assert facts["has_text"] == 1
    assert "chroma_00" not in facts
    assert "subsampling" not in facts


def test_metadata_of_png_files() -> None:
    text = PngInfo()
    text.add_text("Comment", "scanned")
    facts = file_facts(encoded(GREY.convert("P"), "PNG", pnginfo=text))
    assert (facts["has_text"], facts["has_exif"], facts["channels"], facts["interlaced"]) == (1, 0, 3, 0)


def test_depth_of_tiff_files() -> None:
    assert file_facts(tiff(np.zeros((4, 5), np.uint16)))["bits"] == 16
    big_endian = encoded(Image.new("RGB", (4, 5)), "TIFF")
    assert file_facts(big_endian) | {"bits": 8, "channels": 3} == file_facts(big_endian)
    # Pillow writes neither of the two where they have their defaults.
    one_bit = file_facts(encoded(GREY.convert("1"), "TIFF"))
    assert (one_bit["bits"], one_bit["channels"]) == (1, 1)


def test_a_jpeg_whose_frame_is_cut_short() -> None:
    assert file_facts(b"\xff\xd8\xff\xc0\x00\x04\x08\x00")["progressive"] == 0


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b""]), st.binary(max_size=300))
def test_no_bytes_do_harm(head: bytes, rest: bytes) -> None:
    facts = file_facts(head + rest)
    assert set(facts) <= set(FILE_FACTS)
    assert all(np.isfinite(list(facts.values())))
    width, height = size_of_jpeg(head + rest)
    assert width >= 0
    assert height >= 0
