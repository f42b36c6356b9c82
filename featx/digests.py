"""Digests of bytes and of canonical JSON, the only way in which featx makes a key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from featx.files import open_file


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, Unicode kept.

    Floats are written in their shortest form that reads back to the same number.

    Raises:
        ValueError: A number is NaN or infinite.
        TypeError: The value holds something that JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of the value's canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of_file(path: Path, kind: str = "sha256") -> str:
    """Return the digest of a file's bytes, in hexadecimal, read piece by piece; OSError as from `open_file`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
