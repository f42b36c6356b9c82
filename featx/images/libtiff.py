"""What libtiff, which decompresses TIFFs for Pillow, writes to standard error about damaged files."""

from __future__ import annotations

_silent = False


def silence_libtiff() -> None:
    """Let libtiff write nothing to standard error, from the first TIFF on.

    Only for the command line: its messages are those of the whole process. Pillow raises errors of its own.
    """
    global _silent
    _silent = True


def keep_silent() -> None:
    """Silence libtiff, which is loaded by now, if that is wanted."""
    global _silent
    if not _silent:
        return
    import ctypes
    from contextlib import suppress

    from PIL import _imaging

    # Where Pillow is linked with libtiff in another way, messages are seen.
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
    _silent = False
