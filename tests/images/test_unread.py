from __future__ import annotations

import gzip
import io
import struct

import numpy as np
import pytest
import tifffile
from image_files import encoded, tiff
from PIL import Image

from featx.errors import ImageError
from featx.images import decode

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOUR = np.dstack([GREY, GREY, GREY])


def raw_tiff(photometric: int) -> bytes:
    """A TIFF as cameras write it: a small preview, and the sensor's values in a directory below it."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(COLOUR, photometric="rgb", subifds=1, metadata=None)
        writer.write(GREY.astype(np.uint16), photometric="minisblack", subfiletype=0, metadata=None)
    data = bytearray(file.getvalue())
    place = data.rindex(struct.pack("<HHLHH", 262, 3, 1, 1, 0))
    data[place + 8 : place + 10] = struct.pack("<H", photometric)
    return bytes(data)


def slide() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(
        file, np.zeros((64, 64, 3), np.uint8), tile=(16, 16), description="Aperio Image Library v11", metadata=None
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "sentence"),
    [
        (
            b"<?xml version='1.0'?>\n<!-- x -->\n<svg xmlns='http://www.w3.org/2000/svg'/>",
            "a",
            "an SVG drawing.*rsvg",
        ),
        (b"<svg width='3'></svg>", "a.png", "an SVG drawing.*rsvg-convert or Inkscape"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "a.cr2", "a camera raw file.*darktable-cli or dcraw_emu"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a.cr3", "a camera raw file"),
        (b"FUJIFILMCCD-RAW 0201", "a.raf", "a camera raw file"),
        (b"IIU\0\x18\0\0\0", "a.rw2", "a camera raw file"),
        (struct.pack("<L", 348) + bytes(340) + b"n+1\0" + bytes(20), "a.nii", "NIfTI, a volume.*nibabel"),
        (struct.pack(">L", 540) + b"n+2\0\r\n\x1a\n", "a", "NIfTI, a volume"),
        (gzip.compress(bytes(99)), "scan.NII.gz", "NIfTI, a volume"),
        (b"NRRD0004\ntype: short\n", "a.nrrd", "NRRD, a volume.*SimpleITK"),
        (b"ObjectType = Image\nNDims = 3\n", "a.mhd", "MetaImage, a volume.*SimpleITK"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a.mp4", "video.*frames first.*ffmpeg"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a.mov", "video"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "a.mov", "video"),
        (b"RIFF\0\1\0\0AVI LIST", "a.avi", "video"),
        (b"\x1a\x45\xdf\xa3\x01", "a.mkv", "video"),
        (b"%PDF-1.7", "a.pdf", "PDF.*convert its pages to PNG first, for example with pdftoppm"),
        (b"8BPS\0\1", "a.psd", "Photoshop's PSD.*ImageMagick"),
        (b"\x76\x2f\x31\x01\2", "a.exr", "OpenEXR.*oiiotool"),
        (b"#?RADIANCE\n", "a.hdr", "Radiance HDR"),
        (b"SIMPLE  =                    T", "a.fits", "FITS.*astropy"),
        (b"\xff\xd8\xff\xf7\0\x0b", "a.jls", "JPEG-LS.*ffmpeg"),
        (b"P5\n3 3\n255\n" + bytes(9), "a.pgm", "Netpbm"),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), "a.h5", "HDF5"),
        (b"PK\3\4" + bytes(30), "a.npz", "an archive of NumPy arrays"),
        (b"anything", "slide.czi", "a whole-slide image.*OpenSlide or vips dzsave"),
        (encoded(Image.fromarray(COLOUR), "JPEG"), "slide.mrxs", "a whole-slide image"),
        (raw_tiff(32803), "a.tif", "a camera raw file"),
        (raw_tiff(34892), "a.tif", "a camera raw file"),
        (tiff(GREY, tag50706=1), "a.tif", "a camera raw file"),
        (tiff(GREY), "photo.NEF", "a camera raw file"),
    ],
)
def test_kinds_that_are_not_read_are_named_with_a_tool(data: bytes, name: str, sentence: str) -> None:
    with pytest.raises(ImageError, match=rf"^{name} is {sentence}") as caught:
        decode(data, name)
    assert "featx does not read; convert i" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "clause"),
    [
        (b"\n<!DOCTYPE html><html>404", "is an HTML page, not an image; download the image again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS.*git lfs pull"),
        (gzip.compress(b"x"), "is compressed with gzip; unpack it first"),
    ],
)
def test_what_downloads_leave_behind_is_named(data: bytes, clause: str) -> None:
    with pytest.raises(ImageError, match=clause):
        decode(data, "a.png")


def test_an_ending_does_not_refuse_an_image() -> None:
    """The content decides: only TIFFs are refused for the ending of a raw file, which they look like."""
    for name in ("a.pdf", "a.cr2", "a.nii.gz", "a.mp4"):
        assert decode(encoded(Image.fromarray(COLOUR), "PNG"), name).shape == (6, 8, 3)


def test_tiffs_with_further_directories_are_read() -> None:
    assert np.array_equal(decode(raw_tiff(1), "a.tif"), COLOUR)
    looped = bytearray(tiff(GREY))
    looped[-4:] = looped[4:8]  # the directory is its own next one
    assert np.array_equal(decode(bytes(looped), "a.tif")[:, :, 0], GREY)


def test_a_gif_with_the_bytes_of_a_stream_is_read() -> None:
    data = bytearray(encoded(Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)), "GIF"))
    data[188] = data[376] = ord("G")  # in its palette
    assert decode(bytes(data), "a.gif").shape == (16, 16, 3)


def test_a_small_slide_is_read_and_a_large_one_refused_with_a_tool() -> None:
    assert decode(slide(), "a.tif").shape == (64, 64, 3)
    with pytest.raises(ImageError, match=r"is a whole-slide image of 0\.0 megapixels, more than .*OpenSlide"):
        decode(slide(), "a.tif", max_pixels=4000)
    with pytest.raises(ImageError, match="is a whole-slide image"):
        decode(encoded(Image.fromarray(COLOUR), "TIFF"), "a.ndpi", max_pixels=40)
    with pytest.raises(ImageError, match=r"megapixels, more than the limit .*; scale it down"):
        decode(encoded(Image.fromarray(COLOUR), "TIFF"), "a.tif", max_pixels=40)
