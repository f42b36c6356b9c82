"""The headers of DICOM files: what may be kept of them, and what must not be."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from featx.dicom.damage import damage_errors
from featx.dicom.identifiers import AnyOf, Identifiers, is_nobody, of_date, of_id, of_person, of_time
from featx.dicom.identity import pseudonym
from featx.dicom.quiet import quiet
from featx.dicom.signature import PREAMBLE

OLDEST = 89  # years; an older patient is one of few, which identifies (45 CFR 164.514(b)(2)(i)(C))
MOST_INFLATED = 2**28  # bytes of a deflated header with its pixels
LONGEST_VALUE = 4096  # bytes of a value that is looked at
LONGEST_CELL = 64  # letters of a column's cell: those of VR LO

_DEFLATED = "1.2.840.10008.1.2.1.99"
_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_CHARSET, _SOP_CLASS, _FRAMES, _BURNED_IN = 0x00080005, 0x00080016, 0x00280008, 0x00280301
_MEDIA_CLASS, _SYNTAX = 0x00020002, 0x00020010
_PATIENT_ID, _STUDY, _AGE = 0x00100020, 0x0020000D, 0x00101010
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_TEXT_COLUMNS = {
    "Modality": 0x00080060,
    "Manufacturer": 0x00080070,
    "ManufacturerModelName": 0x00081090,
    "BodyPartExamined": 0x00180015,
    "ViewPosition": 0x00185101,
    "PatientSex": 0x00100040,
    "PhotometricInterpretation": 0x00280004,
}
_NUMBER_COLUMNS = {"Rows": 0x00280010, "Columns": 0x00280011}
# Names of the patient, of relatives and of physicians; then ids and UIDs; then institutions, addresses and the like.
_PERSONS = (
    *(0x00100010, 0x00101001, 0x00101005, 0x00101060, 0x00102297, 0x00104000),
    *(0x00080090, 0x0008009C, 0x00081048, 0x00081050, 0x00081060, 0x00081070, 0x00321032, 0x00400006, 0x4008010C),
)
_IDS = (
    *(_PATIENT_ID, 0x00101000, 0x00101090, 0x00102154, 0x00080050, 0x00200010, 0x00380010, 0x00401001, 0x00402016),
    *(_STUDY, 0x0020000E, 0x00080018, 0x00020003, 0x00200052, 0x00400253, 0x00181000, 0x00402017),
    *(0x00080080, 0x00080081, 0x00081010, 0x00081040, 0x00101040, 0x00401400),
)
_DATES = (0x00100030, 0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00080012, 0x0008002A, 0x00400244)
_TIMES = (0x00100032, 0x00080030, 0x00080031, 0x00080032, 0x00080033, 0x00080013, 0x00400245)
_WANTED = frozenset(
    (_CHARSET, _SOP_CLASS, _FRAMES, _BURNED_IN, _AGE, *_TEXT_COLUMNS.values(), *_NUMBER_COLUMNS.values())
) | frozenset((*_PERSONS, *_IDS, *_DATES, *_TIMES))


@dataclass(frozen=True, slots=True)
class Header:
    """What is kept of one file's header.

    Attributes:
        columns: `Modality`, `Rows` and so on, and `study`, a hash; without those that the file lacks.
        group: The hash that stands for the patient, or else for the study; None if neither has an id.
        patient: The hash of the patient alone.
        frames: How many frames the file says that it has, at least 1.
        left_out: Why the object is no image for featx, such as "Basic Text SR"; None for an image.
        burned_in: Whether the file says that its pixels show text such as a name.
        identifiers: What identifies the patient, to be looked for in names of files.
        is_whole: Whether the header was read to its end; of a damaged one identifiers may be missing.
    """

    columns: Mapping[str, Any]
    group: str | None = None
    patient: str | None = None
    frames: int = 1
    left_out: str | None = None
    burned_in: bool = False
    identifiers: Identifiers = field(default_factory=Identifiers)
    is_whole: bool = True


def read_header(file: BinaryIO, salt: bytes) -> Header | None:
    """Return what may be kept of a DICOM file's header; None if it cannot be read, as decoding will say.

    Args:
        file: The file, at its start; it is read up to its pixels.
        salt: That of the cache, see `salt_of`.
    """
    values, has_pixels = _values(file)
    if not values:
        return None
    texts = _Texts(values)
    identifiers = _identifiers(texts)
    patient_id, study = texts.one(_PATIENT_ID), texts.one(_STUDY)
    # Files of many patients may have the same word for an id. Some files of a patient name who issued the id, and
    # others do not, so the issuer does not count: two patients in one group do less harm than one in two.
    patient = None if is_nobody(patient_id) else pseudonym(salt, "patient", patient_id)
    hashed_study = pseudonym(salt, "study", study) if study else None
    frames = _number(texts.one(_FRAMES)) or 1
    columns = _columns(texts, AnyOf([identifiers]))
    left_out = None if has_pixels else _kind_without_pixels(texts.one(_SOP_CLASS) or texts.one(_MEDIA_CLASS))
    if frames > 1:
        columns["NumberOfFrames"] = frames
    if hashed_study:
        columns["study"] = hashed_study
    return Header(
        columns=columns,
        group=patient or hashed_study,
        patient=patient,
        frames=frames,
        left_out=left_out,
        burned_in=texts.one(_BURNED_IN).upper() == "YES",
        identifiers=identifiers,
        is_whole=has_pixels or left_out is not None,
    )


def _values(file: BinaryIO) -> tuple[dict[int, bytes], bool]:
    """The wanted values of a header by tag, as bytes, and whether pixels follow it; what damage leaves of them."""
    values: dict[int, bytes] = {}
    has_pixels = False
    with quiet(), suppress(*damage_errors()):
        for tag, value in _elements(file):
            if tag in _PIXELS:
                has_pixels = True
                break
            values[tag] = value[:LONGEST_VALUE]
    return values, has_pixels


def _elements(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield tag and value of the wanted elements of a file, and at last the tag of its pixels.

    pydicom's `dcmread` does the same, but decodes what is not wanted, and warns of odd files.
    """
    from pydicom.filereader import data_element_generator

    meta = _meta(file)
    yield from meta.items()
    syntax = meta.get(_SYNTAX, b"").rstrip(b"\0 ").decode("ascii", "replace")
    body = _inflated(file) if syntax == _DEFLATED else file
    little = syntax != _BIG_ENDIAN
    pixels: list[int] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        number = int(tag)  # pydicom's tags compare slowly
        if number in _PIXELS:
            pixels.append(number)
        return number >= _PIXELS[0]

    for element in data_element_generator(
        body, _is_implicit(body, syntax), little, at_pixels, specific_tags=list(_WANTED)
    ):
        tag = int(element.tag)
        if tag in _WANTED and isinstance(element.value, bytes):
            is_swapped = not little and tag in _NUMBER_COLUMNS.values()
            yield tag, element.value[::-1] if is_swapped else element.value
    yield from ((tag, b"") for tag in pixels)


def _meta(file: BinaryIO) -> dict[int, bytes]:
    """The file's meta information (PS3.10 section 7.1), after which the dataset begins."""
    from pydicom.filereader import data_element_generator

    head = file.read(PREAMBLE + 4)
    file.seek(PREAMBLE + 4 if head[PREAMBLE:] == b"DICM" else 0)
    elements = data_element_generator(file, False, True, stop_when=lambda tag, vr, length: int(tag) >> 16 != 2)
    values = {int(element.tag): element.value for element in elements}
    return {tag: value for tag, value in values.items() if isinstance(value, bytes)}


def _inflated(file: BinaryIO) -> BinaryIO:
    # PS3.5 section A.5: a raw deflate stream.
    return io.BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(MOST_INFLATED), MOST_INFLATED))


def _is_implicit(file: BinaryIO, syntax: str) -> bool:
    """Whether elements lack their VR, by the first of them: some files have another syntax than they say."""
    place = file.tell()
    head = file.read(6)
    file.seek(place)
    return not re.fullmatch(rb"[A-Z]{2}", head[4:6]) if len(head) == 6 else syntax in ("", _IMPLICIT)


class _Texts:
    """The values of a header as text."""

    def __init__(self, values: Mapping[int, bytes]) -> None:
        self.values = values
        self._codecs = _codecs(values.get(_CHARSET, b""))

    def one(self, tag: int) -> str:
        """A value without spaces around it; "" if the file lacks it."""
        return self.all(tag)[0]

    def all(self, tag: int) -> list[str]:
        """The value, decoded in each of the file's character sets."""
        value = self.values.get(tag, b"")
        if value.isascii() and b"\x1b" not in value:
            return [value.decode("ascii").strip("\0 \t\r\n")]
        decoded = (re.sub(r"\x1b[$()-][@-Z]?[A-Z0-9]?", "", value.decode(codec, "ignore")) for codec in self._codecs)
        return list(dict.fromkeys(text.strip("\0 \t\r\n") for text in decoded)) or [""]

    def number(self, tag: int) -> int | None:
        """A number of 16 bits."""
        value = self.values.get(tag, b"")
        return struct.unpack("<H", value[:2])[0] if len(value) >= 2 else None


def _codecs(charset: bytes) -> list[str]:
    """Python's codecs for the values of Specific Character Set (PS3.3 section C.12.1.1.2)."""
    from pydicom.charset import python_encoding

    names = [name.strip() for name in charset.decode("ascii", "ignore").strip("\0 ").split("\\")]
    codecs = [str(python_encoding[name]) for name in names if name in python_encoding]
    # Many files have UTF-8 or Latin-1 in spite of what they say.
    return list(dict.fromkeys((*codecs, "utf-8", "latin-1")))


def _identifiers(texts: _Texts) -> Identifiers:
    """What identifies the patient, and others, in a header."""
    found = [of_person(part) for tag in _PERSONS for text in texts.all(tag) for part in text.split("\\")]
    found += [of_id(part) for tag in _IDS for text in texts.all(tag) for part in text.split("\\")]
    found += [of_date(texts.one(tag)) for tag in _DATES]
    found += [of_time(texts.one(tag)) for tag in _TIMES]
    return Identifiers(
        frozenset().union(*(each.within for each in found)),
        frozenset().union(*(each.words for each in found)),
        frozenset().union(*(each.whole for each in found)),
        frozenset().union(*(each.people for each in found)),
    )


def _columns(texts: _Texts, identifiers: AnyOf) -> dict[str, Any]:
    """The columns that are kept; a cell that contains an identifying value is left out."""
    columns: dict[str, Any] = {}
    for name, tag in _TEXT_COLUMNS.items():
        cell = " ".join(texts.one(tag).split())[:LONGEST_CELL]
        if cell and not identifiers.are_in(cell):
            columns[name] = cell
    if age := _age(texts.one(_AGE)):
        columns["PatientAge"] = age
    for name, tag in _NUMBER_COLUMNS.items():
        if (number := texts.number(tag)) is not None:
            columns[name] = number
    return columns


def _age(text: str) -> str | None:
    """An age such as 045Y, 018M, 003W or 010D (PS3.5 section 6.2) in whole years; `90+` from 90."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", text.strip().upper())
    if match is None:
        return None
    years = int(int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match[2]])
    return f"{OLDEST + 1}+" if years > OLDEST else str(years)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\+?\d{1,9}", text) else None


def _kind_without_pixels(sop_class: str) -> str | None:
    """What an object without pixels is; None for an image, or a file cut short, whose pixels are missing."""
    if not sop_class:
        return None
    from pydicom import config
    from pydicom.uid import UID

    uid = UID(sop_class, validation_mode=config.IGNORE)
    if "Image Storage" in uid.name or uid.name in ("Segmentation Storage", "RT Dose Storage"):
        return None
    # A UID that is not registered is its own name, and may be that of one hospital.
    return uid.name.removesuffix(" Storage") if uid.type else "object without pixels"
