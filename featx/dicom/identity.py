"""Patients without their names: salted hashes that stand for them, and the parts of paths that would name them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from featx.errors import StoreError
from featx.files import TEMPORARY

SALT = "salt"
SALT_BYTES = 32
HIDDEN = "hidden-"
"""Start of what stands in the place of a part of a path that would name a patient."""

_DIGITS = 16
# Endings that say nothing about a patient and are kept, so that a hidden file is still told by its name.
_ENDING = re.compile(r"\.(?:dcm|dicom|ima|zip|tar|parquet|pq|arrow|jpe?g|png|tiff?|npy|csv|txt|pdf|xml)", re.I)
_HIDDEN = re.compile(rf"{HIDDEN}[0-9a-f]{{{_DIGITS}}}(?:\.[a-z]+)?")

_for_this_process: dict[str, bytes] = {}
log = logging.getLogger("featx")


def salt_of(cache: Path) -> bytes:
    """Return the salt of a cache, 32 random bytes that never leave it; it is made when it is first needed.

    A cache that cannot be written gets a salt for this process alone, and a notice says so.

    Args:
        cache: The cache's folder, which need not exist.

    Raises:
        StoreError: The file of the salt is damaged.
    """
    path = cache / SALT
    key = str(path.absolute())
    if key in _for_this_process and not path.exists():
        return _for_this_process[key]
    try:
        salt = _read(path) or _made(cache)
    except OSError as error:
        if key not in _for_this_process:
            log.warning(
                "The salt of patients' hashes cannot be kept in the cache %s (%s), so their groups have other names "
                "each time.",
                cache,
                error.strerror or "it cannot be used",
            )
        salt = _for_this_process.setdefault(key, secrets.token_bytes(SALT_BYTES))
    if len(salt) != SALT_BYTES:
        raise StoreError(
            f"Expected {SALT_BYTES} bytes in {path}, which keeps the hashes of patients the same, found {len(salt)}; "
            "put the file back from a copy, or remove it to get other hashes."
        )
    return salt


def kept_salt(cache: Path) -> bytes | None:
    """Return the salt of a cache that has one and may be read; None for another, and nothing is written."""
    with suppress(OSError):
        salt = _read(cache / SALT)
        return salt if len(salt) == SALT_BYTES else None
    return None


def pseudonym(salt: bytes, kind: str, *values: str) -> str:
    """Return what stands for a patient or a study: a word and 16 hexadecimal digits of HMAC-SHA256 (RFC 2104).

    Args:
        salt: That of the cache, see `salt_of`.
        kind: The word, such as `patient`. The same value has another hash with another word.
        values: What identifies it.
    """
    return f"{kind}-{_hash(salt, kind, *values)}"


def hidden_part(part: str, salt: bytes) -> str:
    """Return what stands for one part of a path, a folder's or a file's name; the ending of a file is kept.

    Args:
        part: The name.
        salt: That of the cache.
    """
    ending = Path(part).suffix.lower()
    return f"{HIDDEN}{_hash(salt, 'path', part)}{ending if _ENDING.fullmatch(ending) else ''}"


def found_again(path: Path, salt: bytes, names_in: Callable[[Path], Iterable[str]]) -> Path | None:
    """Return the path with the names of folders and files in the place of their hashes; None if one is gone.

    Args:
        path: A path of which some parts are from `hidden_part`.
        salt: That of the cache with which they were made.
        names_in: Returns the names in a folder.
    """
    place = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        if _HIDDEN.fullmatch(part):
            names = [name for name in names_in(place) if hidden_part(name, salt) == part]
            if not names:
                return None
            part = names[0]
        place /= part
    return place


def is_hidden(path: str) -> bool:
    """Tell whether a part of a path stands for a name that is not written down."""
    return HIDDEN in path and any(_HIDDEN.fullmatch(part) for part in path.split("/"))


@lru_cache(maxsize=65536)
def _hash(salt: bytes, *texts: str) -> str:
    # Names of files are hashed as they are shown: in NFC, and readable where they are not in UTF-8.
    shown = (os.fsencode(unicodedata.normalize("NFC", text)).decode("utf-8", "backslashreplace") for text in texts)
    content = "\0".join(shown).encode()
    return hmac.new(salt, content, hashlib.sha256).hexdigest()[:_DIGITS]


def _read(path: Path) -> bytes:
    """The bytes of the file; none if it does not exist."""
    try:
        with path.open("rb") as file:
            return file.read(SALT_BYTES + 1)
    except FileNotFoundError:
        return b""


def _made(cache: Path) -> bytes:
    """Write a new salt, unless another process was quicker, and return the one that is there then."""
    cache.mkdir(parents=True, exist_ok=True)
    temporary = cache / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(temporary, cache / SALT)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return _read(cache / SALT)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Give a file its name if no other has it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links: the file is small, and a second writer is unlikely
        if not path.exists():
            temporary.replace(path)
