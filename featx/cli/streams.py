"""Standard output and standard error: letters that their encoding lacks, and writing where nothing can be written."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from featx.errors import FeatxError

# What a shell shows for a program that ended because nobody read its output: 128 and the number of SIGPIPE.
NOT_READ = 141
# Python's and the user's other ways, such as `replace`, are kept.
STRICT = ("strict", "surrogateescape", "backslashreplace")
# Letters that featx itself prints, and what stands for them in an encoding without them.
PLAIN = {
    **dict.fromkeys("\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}—\N{MINUS SIGN}━╸╺", "-"),
    **dict.fromkeys("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}", " "),
    **dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'"),
    **dict.fromkeys("“”", '"'),
    "\N{MULTIPLICATION SIGN}": "x",
    "…": "...",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "→": "->",
    "↓": "v",
    "↑": "^",
    "•": "*",
    "·": "-",
    "§": "section ",
}


class _NoOutput(io.TextIOBase):
    """Standard output that was closed before featx began."""

    encoding = "utf-8"
    lost = False

    def write(self, text: str) -> int:
        self.lost = self.lost or bool(text)
        return len(text)

    def flush(self) -> None:
        if self.lost:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def prepare() -> None:
    """Let standard output and standard error take every letter, and put something in the place of closed ones."""
    _open_closed()
    codecs.register_error("featx", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in STRICT:
            stream.reconfigure(errors="featx")


def _open_closed() -> None:
    """Open the null device for closed streams; otherwise a file of the cache would get the number of one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, True)
    # Python has None for a stream that was closed, although its types say otherwise.
    if sys.stdout is None:
        sys.stdout = _NoOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Replace letters as an error handler of a codec: by similar ASCII, or by the code of the letter."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(
        PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in letters
    ), error.end


def shown(text: str) -> str:
    """Return a text as standard output will show it, so that the columns of a table are measured rightly."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    errors = getattr(sys.stdout, "errors", None) or "featx"
    return text.encode(encoding, errors).decode(encoding, "replace")


def takes(text: str) -> bool:
    """Tell whether standard output is UTF-8 and can hold a text as it is."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        return codecs.lookup(encoding).name == "utf-8" and bool(text.encode() or True)
    except UnicodeEncodeError:  # half of a letter, from the name of a file
        return False


def write(text: str) -> None:
    """Write on standard output at once.

    Raises:
        FeatxError: It cannot be written.
        SystemExit: Nobody reads it any more, as with `| head -1`.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise _failure(error) from error


def flush() -> None:
    """Write what a library left on standard output; raises what `write` raises."""
    write("")


def complain(text: str) -> None:
    """Write on standard error; if that cannot be written, nobody is there to be told."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _failure(error: OSError) -> BaseException:
    _discard(sys.stdout)
    # Windows has its own number for a pipe that nobody reads.
    if isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL):
        return SystemExit(NOT_READ)
    return FeatxError(
        f"Expected to print on standard output, but it cannot be written ({error.strerror or error}); what was "
        "computed is kept, so run the same command again with another place for its output."
    )


def _discard(stream: TextIO) -> None:
    """Send the rest of a stream nowhere, or Python would try again, and complain, when it ends."""
    if isinstance(stream, _NoOutput):
        stream.lost = False
        return
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
