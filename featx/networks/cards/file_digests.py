"""SHA-256 of files of networks, each computed once in a process, and compared with what a card says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from featx.digests import digest_of_file
from featx.errors import WeightsError, reason_of
from featx.networks.graphs.onnx_files import external_files
from featx.store import FileState, StatCache, now_ns, state_of, tells_of_changes

MOST_FILES = 1000

# A network of a gigabyte takes a second, and a command looks for it several times.
_known: dict[tuple[Path, FileState], str] = {}


def digest_once(path: Path, root: Path | None = None) -> str:
    """Return the SHA-256 of a file, which is not read again while it certainly has not changed; OSError as usual.

    With `root`, the folder of a cache, this is also remembered there from one process to the next.
    """
    before = now_ns()
    state = state_of(path)
    if state is None or not tells_of_changes(state, before):
        return digest_of_file(path)
    key = (path.absolute(), state)
    if key not in _known:
        digest = digest_of_file(path) if root is None else _remembered(path.absolute(), root)
        if state_of(path) != state:
            return digest
        _known[key] = digest
    return _known[key]


def _remembered(path: Path, root: Path) -> str:
    known = StatCache(root)
    known.load([path])
    digest = known.digest(path, lambda: digest_of_file(path))
    known.save()
    return digest


def inside(name: str) -> str:
    """Return the path of a file in a card, if it stays in the card's folder.

    Raises:
        ValueError: It is absolute, or leads out of the folder.
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if not posix.parts or "\0" in name or len(name) > 4096:
        raise ValueError(f"a file needs a name, received {name[:60]!r}")
    if "\\" in name and not (windows.drive or windows.root or ".." in windows.parts):
        raise ValueError(f"write / between folders, not \\, received {name[:60]!r}")
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise ValueError(f"files must be in the card's folder or below it, received {name[:60]!r}")
    return name


def check_files(folder: Path, files: Mapping[str, str], card: str, root: Path | None = None) -> None:
    """Check that the files of a card are those that it names, with their SHA-256; `card` names it in messages.

    For `root` see `digest_once`.

    Raises:
        WeightsError: A file is missing, cannot be read or is another.
    """
    for name, expected in files.items():
        path = folder / name
        try:
            found = digest_once(path, root)
        except OSError as error:
            raise WeightsError(
                f"Expected the file {name} of {card} at {path}, but it cannot be read: {reason_of(error).lower()}; "
                "put it there, or name the card's new place with --weights."
            ) from None
        if found != expected:
            raise WeightsError(
                f"Expected {path} to be the file that {card} describes (SHA-256 {expected[:12]}…), found another "
                f"({found}); put the right file there, or write this SHA-256 into the card if you changed it."
            )


def check_external(folder: Path, files: Mapping[str, str], card: str) -> None:
    """Check that a card names all files with further weights of its ONNX file.

    Raises:
        WeightsError: It does not, or the file is damaged.
    """
    main = next(iter(files))
    named = {PurePosixPath(name) for name in files}
    for name in external_files(folder / main):
        path = PurePosixPath(main).parent / name
        if path not in named:
            raise WeightsError(
                f"Expected {card} to name all files of its network, but {main} keeps weights in {path.as_posix()}, "
                "which the card does not name; add it with its SHA-256 to [files]."
            )
