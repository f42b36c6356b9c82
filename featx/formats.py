"""Kinds of files that are not read as images: their first bytes, their endings, and a tool that converts them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

RAW = "it to TIFF first, for example with darktable-cli or dcraw_emu of LibRaw"
VIDEO = "it into frames first, for example with ffmpeg"
_MAGICK = "it to PNG first, for example with ImageMagick"
SLIDE = "it into tiles first, for example with OpenSlide or vips dzsave"
_HDR = "it to TIFF of floats first, for example with oiiotool of OpenImageIO"
_ITK = "it to slices in .npy or PNG first, for example with SimpleITK"
_NIBABEL = "it to slices in .npy or PNG first, for example with nibabel"


class Kind(NamedTuple):
    """A kind of files: its name, how to convert it, its first bytes, and endings that decide where these do not."""

    name: str
    convert: str
    signature: bytes | None = None
    endings: tuple[str, ...] = ()


RAW_ENDINGS = (
    *(".dng", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".cr2", ".cr3", ".crw", ".pef", ".srw", ".3fr", ".fff", ".iiq"),
    *(".kdc", ".dcr", ".k25", ".erf", ".mef", ".mos", ".rwl", ".orf", ".rw2", ".raf", ".x3f", ".mrw"),
)
SLIDE_ENDINGS = (".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".vmu", ".czi")
KINDS = (
    Kind("an SVG drawing", "it to PNG first, for example with rsvg-convert or Inkscape",
         rb"(?:\xef\xbb\xbf)?\s*(?:(?:<\?xml|<!--|<!DOCTYPE svg).{0,4000}?)?<svg[\s>]", (".svg", ".svgz")),
    Kind("a camera raw file", RAW,
         rb"II[*]\0.{4}CR\x02|II\x1a\0.{2}HEAPCCDR|FUJIFILMCCD-RAW|IIU\0|IIR[OS]|MMOR|FOVb|\0MRM", RAW_ENDINGS),
    Kind("NIfTI, a volume", _NIBABEL, rb"(?:\x5c\x01\0\0|\0\0\x01\x5c).{340}(?:n[i+]1\0|\0{4})"
         rb"|(?:\x1c\x02\0\0|\0\0\x02\x1c)n[i+]2\0", (".nii", ".nii.gz")),
    Kind("NRRD, a volume", _ITK, rb"NRRD00", (".nrrd", ".nhdr")),
    Kind("MetaImage, a volume", _ITK, rb"(?:ObjectType|NDims|Comment) ?= ?[^\n]{0,200}\n", (".mhd", ".mha")),
    Kind("video", VIDEO, rb"RIFF.{4}AVI |\x1a\x45\xdf\xa3|\0\0\x01[\xba\xb3]|FLV\x01|\x30\x26\xb2\x75|OggS|"
         rb".{4}(?:moov|mdat|wide|free|skip)|G(?!IF8).{187}G.{187}G",
         (".mp4", ".mov", ".m4v", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv")),
    Kind("PDF", "its pages to PNG first, for example with pdftoppm", rb"%PDF-", (".pdf",)),
    Kind("Photoshop's PSD", _MAGICK, rb"8BPS", (".psd", ".psb")),
    Kind("OpenEXR", _HDR, rb"\x76\x2f\x31\x01", (".exr",)),
    Kind("Radiance HDR", _HDR, rb"#\?(?:RADIANCE|RGBE)", ()),
    Kind("FITS", "it to .npy first, for example with astropy", rb"SIMPLE  =", (".fits", ".fit", ".fts")),
    Kind("JPEG-LS", "it to PNG first, for example with ffmpeg", rb"\xff\xd8\xff\xf7", (".jls",)),
    Kind("Netpbm", _MAGICK, rb"P[1-7]\s", (".pgm", ".ppm", ".pbm", ".pnm", ".pam")),
    Kind("an icon", _MAGICK, rb"\0\0[\1\2]\0[\1-\x20]\0.{16}", (".ico", ".icns")),
    Kind("JPEG XR", _MAGICK, rb"II\xbc", (".jxr", ".wdp", ".hdp")),
    Kind("a whole-slide image", SLIDE, None, SLIDE_ENDINGS),
    Kind("HDF5", "its arrays to .npy first, for example with h5py", rb"\x89HDF\r\n\x1a\n", (".h5", ".hdf5")),
    Kind("MATLAB data", "its arrays to .npy first, for example with SciPy", rb"MATLAB 5\.0 MAT-file", (".mat",)),
    Kind("an archive of NumPy arrays", "it into one .npy for each image first, with numpy.save", None, (".npz",)),
)  # fmt: skip


def sentence(kind: str, convert: str) -> str:
    """Return what is said of a file of a kind, after its name."""
    return f"is {kind}, which featx does not read; convert {convert}"


def kind_of_name(name: str) -> Kind | None:
    """Return the kind that a file is of by its ending, in any case; None for other endings."""
    name = name.lower()
    return next((kind for kind in KINDS if kind.endings and name.endswith(kind.endings)), None)


def by_kind(names: Iterable[str]) -> list[tuple[Kind, list[str]]]:
    """Return the kinds of files by their endings, each with its names, the most frequent first."""
    kinds: dict[Kind, list[str]] = {}
    for name in names:
        if (kind := kind_of_name(name)) is not None:
            kinds.setdefault(kind, []).append(name)
    return sorted(kinds.items(), key=lambda entry: -len(entry[1]))
