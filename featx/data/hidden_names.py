"""Names of files and folders that would name a patient: replaced in what is written, and found again."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from featx.data.dataset import Item
from featx.data.folders.kinds import could_be_dicom
from featx.data.folders.scanning import scan
from featx.data.folders.splits import split_of_folder
from featx.dicom import AnyOf, Header, Identifiers, found_again, hidden_part, is_hidden, kept_salt
from featx.errors import DataError
from featx.text import count

log = logging.getLogger("featx")
Headers = Mapping[int, Header]


def without_names(
    items: Sequence[Item], headers: Headers, salt: bytes, others: Sequence[list[str]] = ()
) -> list[Item]:
    """Return items whose ids, labels and cells do not name a patient: hashes stand in the place of such names.

    Args:
        items: The images.
        headers: The headers of those that are DICOM files, by their numbers.
        salt: That of the cache.
        others: Lists of names of other files, in which names are replaced as well.
    """
    everyone = AnyOf(header.identifiers for header in headers.values())
    # Of a damaged header, what identifies the patient may be lost; another file of the patient may have it.
    whole = {number: header.identifiers for number, header in headers.items() if header.is_whole}
    own = [whole.get(number, everyone) for number in range(len(items))]
    labels = labels_that_name(items, headers)
    hidden = {
        place
        for item, identifiers in zip(items, own, strict=True)
        for place, part in _parts(item.id)
        if _may_name(part, item, labels) and identifiers.are_in(part)
    }
    if hidden:
        hidden |= _of_damaged_files(items, headers, hidden, labels)
    for other in others:
        other[:] = [_shown(name, hidden, salt, everyone) for name in other]
    names = {place.rpartition("/")[2] for place in hidden}
    if names:
        log.info(
            "Names of files and folders that contain a name, an id or a date of the patient are replaced by hashes "
            "(%s of them), such as hidden-….dcm.",
            count(len(names)),
        )
    new = []
    for number, item in enumerate(items):
        named = _named_anew(item, own[number], hidden, names, labels, salt)
        new.append(_with_cells(named, own[number], headers.get(number), salt))
    return new


def _of_damaged_files(items: Sequence[Item], headers: Headers, hidden: set[str], labels: set[str]) -> set[str]:
    """The places whose names nothing vouches for, in data with names of patients: no whole header is below them."""
    damaged: list[Item] = []
    vouched_for: set[str] = set()
    for number, item in enumerate(items):
        header = headers.get(number)
        is_damaged = could_be_dicom(item.path) if header is None else not header.is_whole
        if is_damaged:
            damaged.append(item)
        else:
            vouched_for.update(place for place, _ in _parts(item.id))
    return {
        place
        for item in damaged
        for place, part in _parts(item.id)
        if place not in vouched_for and _may_name(part, item, labels)
    }


def _parts(name: str) -> list[tuple[str, str]]:
    """Each part of a path with the path that ends with it."""
    parts = name.split("/")
    return [("/".join(parts[: end + 1]), part) for end, part in enumerate(parts)]


@lru_cache(maxsize=65536)
def _is_name(part: str) -> bool:
    """Whether a part of a path could name somebody."""
    return part not in ("", ".", "..", "~") and split_of_folder(part) is None


def _may_name(part: str, item: Item, labels: set[str]) -> bool:
    """Whether a part of an image's id could name somebody; a class does not, except those that do."""
    is_label = item.label is not None and unicodedata.normalize("NFC", part) == item.label
    return _is_name(part) and (not is_label or item.label in labels)


def labels_that_name(items: Sequence[Item], headers: Headers) -> set[str]:
    """The labels that are the names of one patient, who has most of their DICOM files.

    A label of several patients is a class, even if it is like their names: public data may have it in every name.
    Files without a header, such as photographs and damaged ones, say nothing about it.
    """
    patients: dict[str, set[str | None]] = {}
    difference: Counter[str] = Counter()
    for number, item in enumerate(items):
        header = headers.get(number)
        if item.label is None or header is None:
            continue
        is_named = header.identifiers.are_in(item.label)
        difference[item.label] += 1 if is_named else -1
        if is_named:
            patients.setdefault(item.label, set()).add(header.group)
    return {label for label, groups in patients.items() if len(groups) == 1 and difference[label] > 0}


def _shown(name: str, hidden: set[str], salt: bytes, identifiers: Identifiers | AnyOf) -> str:
    """A name of which hidden parts are replaced, and those that identify somebody."""
    parts = []
    for place, part in _parts(name):
        is_secret = place in hidden or (_is_name(part) and identifiers.are_in(part))
        parts.append(hidden_part(part, salt) if is_secret else part)
    return "/".join(parts)


def _named_anew(
    item: Item, own: Identifiers | AnyOf, hidden: set[str], names: set[str], labels: set[str], salt: bytes
) -> Item:
    """Return an item with hashes in the place of names."""
    shown = "/".join(hidden_part(part, salt) if place in hidden else part for place, part in _parts(item.id))
    # The stat cache keeps the whole path, also what is above the data.
    parts = item.path.parts
    secret = [part in names or (_is_name(part) and own.are_in(part)) for part in parts]
    alias = Path(
        *(hidden_part(part, salt) if is_secret else part for part, is_secret in zip(parts, secret, strict=True))
    )
    label = hidden_part(item.label, salt) if item.label is not None and item.label in labels else item.label
    return replace(item, id=shown, alias=None if alias == item.path else alias, label=label)


def _with_cells(item: Item, own: Identifiers | AnyOf, header: Header | None, salt: bytes) -> Item:
    """Return an item with hashes in the place of cells of a manifest, and of its group, that name a patient."""
    ours = {} if header is None else header.columns

    def shown(cell: Any, our_own: Any) -> Any:
        is_secret = isinstance(cell, str) and cell != our_own and own.are_within(cell)
        return hidden_part(cell, salt) if is_secret else cell

    extra = {name: shown(cell, ours.get(name)) for name, cell in item.extra.items()}
    return replace(item, group=shown(item.group, None if header is None else header.group), extra=extra)


def warn_of_names(root: Path, headers: Iterable[Header]) -> None:
    """Warn if the path of the data itself names a patient, which runs write down."""
    everyone = AnyOf(header.identifiers for header in headers)
    if any(_is_name(part) and everyone.are_in(part) for part in root.parts):
        log.warning(
            "The path of the data's own folder contains a name, an id or a date of a patient, and runs write this "
            "path down; rename the folder before you pass a run on."
        )


class ImageFiles:
    """The files of a dataset by their ids, also where hashes stand for names.

    Args:
        root: The folder of the data.
        cache: Folder of the cache with which it was read.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self._root = root
        self._cache = cache
        self._salt: bytes | None = None
        self._names: dict[Path, list[str]] = {}

    def path(self, name: str) -> Path:
        """Return the file of an id; if a name is not found again, a path that leads to no file."""
        path = self._root / name
        if not is_hidden(name):
            return path
        self._salt = self._salt or kept_salt(self._cache)
        return (found_again(path, self._salt, self._names_in) if self._salt else None) or path

    def _names_in(self, folder: Path) -> list[str]:
        if folder not in self._names:
            try:
                self._names[folder] = [entry.name for entries in scan(str(folder)) for entry in entries]
            except DataError:
                self._names[folder] = []
        return self._names[folder]
