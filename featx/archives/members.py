"""Which part of a path is an archive, and the bytes of a member."""

from __future__ import annotations

from pathlib import Path

ENDINGS = (".zip", ".tar", ".parquet", ".pq")


def is_archive(path: Path) -> bool:
    """Tell whether a file can hold images, by its ending: .zip, .tar, .parquet or .pq, in any case.

    Args:
        path: The file, which need not exist.
    """
    return path.suffix.lower() in ENDINGS


def archive_of(path: Path) -> tuple[Path, str] | None:
    """Return the archive in which a path's image is, and the image's name there; None for a plain file.

    The path of an image in an archive goes on behind the archive's: `xrays.zip/normal/1.png`.

    Args:
        path: The path of an image.
    """
    if path.is_file():
        return None
    for parent in path.parents:
        if is_archive(parent) and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def read_member(path: Path, limit: int) -> bytes:
    """Return the bytes of an image in an archive.

    Args:
        path: See `archive_of`.
        limit: The most bytes that it may have.

    Raises:
        OSError: The archive or the member cannot be read.
    """
    raise NotImplementedError
