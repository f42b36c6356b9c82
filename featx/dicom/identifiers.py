"""What in a header identifies a patient, and whether a name of a file or folder contains it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

# Letters of a part of a person's name from which it is looked for within longer words; shorter ones, such as Ann, are
# in many words (scanner) and must stand alone.
WITHIN_WORDS = 5
SHORTEST_WORD = 3
# An id of fewer letters and digits, such as 1, identifies only as a whole name.
WITHIN_NAMES = 4
_START = 4
_LONGEST = 1000  # letters of a value that are looked at
# What stands in the place of names in files without any, and says nothing about a person.
_NOBODY = frozenset(
    (
        *("anonymous", "anonymized", "anonymised", "anon", "deidentified", "unknown", "none", "null", "void", "name"),
        *("noname", "unnamed", "patient", "subject", "volunteer", "phantom", "test", "train", "case", "study"),
        *("series", "image", "images", "dicom", "male", "female"),
    )
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "ß": "ss"})
_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Identifying values of one header, spelt as `compact` spells them.

    Attributes:
        within: Looked for anywhere in a name.
        words: Looked for as words of a name.
        whole: Looked for as a whole name, or as one without its ending.
        people: Names of which the first letters alone, five or more, are looked for as words of a name: files of
            DICOM media have eight letters at most.
    """

    within: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()

    def are_in(self, name: str) -> bool:
        """Tell whether a name of a file or folder contains one of the values."""
        spellings, words, wholes = _spelt(name)
        if not self.words.isdisjoint(words) or not self.whole.isdisjoint(wholes):
            return True
        if any(len(word) >= WITHIN_WORDS and person.startswith(word) for word in words for person in self.people):
            return True
        return any(value in spelling for spelling in spellings for value in self.within)

    def are_within(self, text: str) -> bool:
        """Tell whether a text, such as a cell of a table, contains a value that is not short."""
        spellings, _, _ = _spelt(text)
        return any(value in spelling for spelling in spellings for value in self.within)


NOTHING = Identifiers()


class AnyOf:
    """The identifying values of many headers, looked for together.

    Args:
        many: Those of the headers.
    """

    def __init__(self, many: Iterable[Identifiers]) -> None:
        self._words: set[str] = set()
        self._whole: set[str] = set()
        self._by_start: dict[str, set[str]] = {}  # a name is short, and there may be many thousand values
        self._people: dict[str, set[str]] = {}
        for each in many:
            self._words |= each.words
            self._whole |= each.whole
            for value in each.within:
                self._by_start.setdefault(value[:_START], set()).add(value)
            for value in each.people:
                self._people.setdefault(value[:WITHIN_WORDS], set()).add(value)
        self._starts = {len(start) for start in self._by_start}

    def are_in(self, name: str) -> bool:
        """Tell whether a name of a file or folder contains one of the values."""
        spellings, words, wholes = _spelt(name)
        if not self._words.isdisjoint(words) or not self._whole.isdisjoint(wholes):
            return True
        long = [word for word in words if len(word) >= WITHIN_WORDS]
        if any(person.startswith(word) for word in long for person in self._people.get(word[:WITHIN_WORDS], ())):
            return True
        return any(map(self._starts_in, spellings))

    def are_within(self, text: str) -> bool:
        """Tell whether a text contains a value that is not short."""
        return any(map(self._starts_in, _spelt(text)[0]))

    def _starts_in(self, spelling: str) -> bool:
        places = ((place, length) for place in range(len(spelling)) for length in self._starts)
        return any(
            spelling.startswith(tuple(self._by_start.get(spelling[place : place + length], ())), place)
            for place, length in places
        )


@lru_cache(maxsize=4096)
def of_person(name: str) -> Identifiers:
    """Return what identifies a person: the parts of the name, `Doe^Jane=...`, and these together."""
    within: set[str] = set()
    words: set[str] = set()
    whole: set[str] = set()
    for written in name[:_LONGEST].split("="):
        parts = [part for part in re.split(r"[\W\d_]+", _folded(written)) if part and part not in _NOBODY]
        for part in parts:
            if not part.isascii() and len(part) >= 2:
                within |= {part, part.translate(_UMLAUTS), _plain(part)} - _NOBODY
            elif len(part) >= WITHIN_WORDS:
                within.add(part)
            elif len(part) >= SHORTEST_WORD:
                words.add(part)
        both = {"".join(parts[:2]), "".join(parts[:2][::-1])} if len(parts) > 1 else set()
        long = {joined for joined in both if len(joined) >= WITHIN_WORDS or not joined.isascii()}
        within |= long
        whole |= {joined for joined in both - long if len(joined) >= SHORTEST_WORD}
    spread = frozenset(_spread(within))
    people = frozenset(value for value in spread if len(value) > WITHIN_WORDS)
    return Identifiers(spread, frozenset(words | whole), frozenset(whole), people)


@lru_cache(maxsize=4096)
def of_id(value: str) -> Identifiers:
    """Return what identifies by an id, a UID, an institution or the like."""
    value = compact(value[:_LONGEST])
    if is_nobody(value):
        return NOTHING
    if len(value) < WITHIN_NAMES:
        return Identifiers(whole=frozenset((value,)))
    return Identifiers(within=frozenset((value,)))


def is_nobody(value: str) -> bool:
    """Tell whether an id is one that files without a patient's own have: ANONYMOUS, 0000, or none."""
    value = compact(value)
    return not value.strip("0") or value in _NOBODY


@lru_cache(maxsize=4096)
def of_date(value: str) -> Identifiers:
    """Return what identifies by a date, YYYYMMDD, in the orders in which people write days, months and years."""
    digits = re.sub(r"\D", "", value)[:8]
    if len(digits) < 8 or not digits.strip("0"):
        return NOTHING
    year, month, day = digits[:4], digits[4:6], digits[6:]
    return Identifiers(within=frozenset((digits, f"{day}{month}{year}", f"{month}{day}{year}")))


@lru_cache(maxsize=4096)
def of_time(value: str) -> Identifiers:
    """Return what identifies by a time, HHMMSS."""
    digits = re.sub(r"\D", "", value.partition(".")[0])
    return Identifiers(within=frozenset((digits,))) if len(digits) == 6 and digits.strip("0") else NOTHING


def compact(text: str) -> str:
    """Return the letters and digits of a text, in lower case and without accents."""
    return "".join(letter for letter in _plain(_folded(text)) if letter.isalnum())


def _spread(values: Iterable[str]) -> set[str]:
    """Each value as it is, and as `compact` spells it."""
    return {spelling for value in values for spelling in (value, compact(value)) if len(spelling) >= 2}


@lru_cache(maxsize=65536)
def _spelt(name: str) -> tuple[tuple[str, ...], frozenset[str], frozenset[str]]:
    """The spellings of a name, its words, and the name as a whole with and without its ending."""
    folded = _folded(name)
    together = compact(name)
    umlauts = "".join(letter for letter in folded.translate(_UMLAUTS) if letter.isalnum())
    words = {_plain(_folded(word)) for word in _WORD.findall(_CAMEL.sub(" ", name))} | set(_WORD.findall(folded))
    stem = compact(name.rpartition(".")[0] or name)
    spellings = tuple(dict.fromkeys((together, umlauts, "".join(filter(str.isalnum, folded)))))
    return spellings, frozenset(words), frozenset((together, stem))


def _folded(text: str) -> str:
    """A text in lower case, with each accented letter as one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _plain(text: str) -> str:
    """A text without accents."""
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
