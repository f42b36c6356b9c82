"""Converted networks in the cache, checked against their digests.

`<root>/openvino/<key>.json` names the files of a network, which are in `<root>/openvino/<key>/` under the SHA-256
of their content. `compiled/` beside them is OpenVINO's own cache of networks that it compiled on this machine.
"""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from featx.digests import digest_of_file, sha256
from featx.files import TEMPORARY, names_in, write_atomically, write_failure
from featx.store.documents import load_document, save_document
from featx.store.index import SET_ASIDE

log = logging.getLogger("featx")

KIND = "openvino"
SEAL = ".sha256"
_TOPOLOGY, _WEIGHTS = "network.xml", "network.bin"


class NetworkFiles(NamedTuple):
    """A network in OpenVINO's format."""

    model: Path  # topology (.xml); the weights (.bin) are beside it under the same name
    compiled: Path  # the folder in which OpenVINO keeps it compiled


def load_network(root: Path, key: str) -> NetworkFiles | None:
    """Return the files of a converted network in the cache at `root`; None if they are missing, or damaged.

    Damaged files are moved into the folder `set-aside`, with a warning. A compiled network that has changed since it
    was made is removed, because OpenVINO itself would not notice.

    Raises:
        StoreError: The cache cannot be read, or a damaged file cannot be moved.
    """
    document = load_document(root, KIND, key)
    if document is None:
        return None
    folder = root / KIND / key
    digests, model = document.get("files"), str(document.get("model"))
    if not isinstance(digests, dict) or model not in digests or any(Path(name).name != name for name in digests):
        return None
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            return None
        if digest_of_file(path) != digest:
            _set_aside(root, path)
            return None
    files = NetworkFiles(folder / model, folder / "compiled")
    _check_compiled(files.compiled)
    return files


def save_network(root: Path, key: str, about: Mapping[str, Any], write: Callable[[Path], None]) -> NetworkFiles:
    """Keep a converted network under `<root>/openvino`.

    Args:
        root: The cache's folder.
        key: The name to find it by.
        about: JSON values that describe it, as in the description of a feature space.
        write: Writes the topology to the path that it is given, and the weights beside it (.bin).

    Raises:
        StoreError: The cache cannot be written.
    """
    folder = root / KIND / key
    temporary = root / KIND / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        temporary.mkdir(parents=True)
        try:
            write(temporary / _TOPOLOGY)
            digests = {name: digest_of_file(temporary / name) for name in (_TOPOLOGY, _WEIGHTS)}
            # One name for both, since OpenVINO looks for the weights beside the topology; another process
            # that converts the same network need not come to the same bytes.
            stem = sha256("".join(digests.values()).encode())
            folder.mkdir(exist_ok=True)
            for name in digests:
                (temporary / name).replace(folder / f"{stem}{Path(name).suffix}")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise write_failure(error, root) from error
    files = {f"{stem}{Path(name).suffix}": digest for name, digest in digests.items()}
    save_document(root, KIND, key, {"network": dict(about), "model": f"{stem}.xml", "files": files})
    return NetworkFiles(folder / f"{stem}.xml", folder / "compiled")


def seal_compiled(root: Path, files: NetworkFiles) -> None:
    """Record the digests of what OpenVINO has compiled, which `load_network` checks.

    Raises:
        StoreError: The cache cannot be written.
    """
    for path in _blobs(files.compiled):
        if not path.with_name(path.name + SEAL).exists():
            try:
                write_atomically(path.parent, path.name + SEAL, f"{digest_of_file(path)}\n".encode())
            except FileNotFoundError:
                continue  # another process has removed what it found without a seal
            except OSError as error:
                raise write_failure(error, root) from error


def stored_networks(root: Path) -> dict[str, dict[str, Any]]:
    """The description of each network on disk, by key; empty if its document is damaged."""
    folders = [name for name in names_in(root / KIND) if name != SET_ASIDE and not name.startswith(TEMPORARY)]
    keys = sorted({name.removesuffix(".json") for name in folders})
    return {key: (load_document(root, KIND, key) or {}).get("network", {}) for key in keys}


def _check_compiled(folder: Path) -> None:
    for path in _blobs(folder):
        seal = path.with_name(path.name + SEAL)
        sealed = seal.read_text("ascii", "replace").strip() if seal.is_file() else None
        if sealed != digest_of_file(path):
            if sealed is not None:
                log.warning("%s does not match its checksum and is compiled again", path)
            path.unlink(missing_ok=True)
            seal.unlink(missing_ok=True)


def _blobs(folder: Path) -> list[Path]:
    return [folder / name for name in names_in(folder) if name.endswith(".blob")]


def _set_aside(root: Path, path: Path) -> None:
    target = root / KIND / SET_ASIDE
    log.warning(
        "the cache's network %s does not match its checksum and was moved into the folder %s; it is made again",
        path,
        SET_ASIDE,
    )
    try:
        target.mkdir(exist_ok=True)
        path.replace(target / f"{secrets.token_hex(4)}-{path.name}")
    except FileNotFoundError:
        return  # another process was quicker
    except OSError as error:
        raise write_failure(error, root) from error
