"""Documents: small JSON files of the cache in which damage is noticed.

A feature space's `space.json` is in a folder named by the digest of the description in it. Every other document
has its own checksum.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featx.digests import canonical_json, digest_of
from featx.errors import StoreError
from featx.files import SCHEMA, read_json, write_atomically, write_failure

log = logging.getLogger("featx")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def plain_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy as it is read back from JSON, with lists for tuples; raises StoreError for NaN, arrays and such."""
    try:
        plain: dict[str, Any] = json.loads(canonical_json(dict(value)).encode())
    except (TypeError, ValueError) as error:
        raise StoreError(f"what is stored must be plain JSON values, but {error}; convert them first") from error
    return plain


def space_id(description: Mapping[str, Any]) -> str:
    """The first 32 hexadecimal digits of the sha256 of the description's canonical JSON."""
    return digest_of(plain_json(description))[:32]


def read_description(folder: Path) -> dict[str, Any] | None:
    """The description of the space in this folder; None if it is missing or does not fit the folder's name."""
    description = (_read_json(folder / "space.json") or {}).get("description")
    fits = isinstance(description, dict) and space_id(description) == folder.name
    return description if fits else None


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write the `space.json` of a folder named by the description's id."""
    _write_json(folder / "space.json", {"schema": SCHEMA, "id": folder.name, "description": description})


def load_document(root: Path, kind: str, key: str) -> dict[str, Any] | None:
    """Return the document `<root>/<kind>/<key>.json`; None if it is missing, or damaged (with a warning).

    Raises:
        StoreError: The kind or key is not a plain name.
    """
    path = _path(root, kind, key)
    entry = _read_json(path)
    if entry is None:
        return None
    document = entry.get("document")
    if isinstance(document, dict) and entry.get("sha256") == digest_of(document):
        return document
    log.warning("%s is damaged and is ignored; what it held is computed again", path)
    return None


def save_document(root: Path, kind: str, key: str, document: Mapping[str, Any]) -> None:
    """Write the document `<root>/<kind>/<key>.json`, with its own checksum.

    Raises:
        StoreError: The kind or key is not a plain name, the document is not JSON, or the cache cannot be
            written.
    """
    path = _path(root, kind, key)
    plain = plain_json(document)
    try:
        _write_json(path, {"schema": SCHEMA, "sha256": digest_of(plain), "document": plain})
    except OSError as error:
        raise write_failure(error, root) from error


def _path(root: Path, kind: str, key: str) -> Path:
    if kind == "features" or not _NAME.fullmatch(kind) or not _NAME.fullmatch(key):
        raise StoreError(
            f"a document's kind and key must be plain names, and its kind not 'features', "
            f"but {kind!r} and {key!r} were given; use letters, digits, '.', '_' and '-'"
        )
    return root / kind / f"{key}.json"


def _read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; empty if it cannot be read as one, None if there is no such file."""
    try:
        value = read_json(path)
        digest_of(value)  # what has none, such as NaN, could not have been written: it is damage too
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, entry: Mapping[str, Any]) -> None:
    text = json.dumps(entry, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path.parent, path.name, text.encode())
