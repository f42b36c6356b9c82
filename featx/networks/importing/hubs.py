"""What goes wrong while a framework fetches a network from its hub, in one sentence each."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout, suppress
from pathlib import Path

from featx.errors import FeatxError, UsageError, WeightsError, reason_of
from featx.files import read_file
from featx.networks.framework import environment

# Names of errors in huggingface_hub, its HTTP libraries, and urllib.
GATED = {"GatedRepoError"}
ABSENT = {"RepositoryNotFoundError", "RevisionNotFoundError", "RemoteEntryNotFoundError", "UnknownModelError"}
OFFLINE = {
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "TransportError",
    "ConnectionError",
    "URLError",
    "Timeout",
    "TimeoutError",
    "ProxyError",
    "MaxRetryError",
}
NO_SAFE_FILE = re.compile(r"no file named[^.]*\.safetensors|not appear to have a file named[^.]*\.safetensors")
LICENCE = re.compile(r"^license:\s*[\"']?([\w.+-]+)", re.MULTILINE)
LICENCE_NAME = re.compile(r"^license_name:\s*[\"']?([\w.+-]+)", re.MULTILINE)


@contextmanager
def fetching(source: str) -> Iterator[None]:
    """Let a framework build a network with its weights; what it says goes to standard error.

    Args:
        source: What the user named, such as `timm:resnet18`.

    Raises:
        UsageError: There is no such network.
        WeightsError: Its weights cannot be had, or are not in a safe format.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except FeatxError:
        raise
    except Exception as error:
        sentence = _sentence(source, error)
        if sentence is None:
            raise
        raise sentence from error


def local_folder(name: str) -> Path | None:
    """Return the folder that a hub's name means on this machine, or None."""
    with suppress(OSError, ValueError):
        if Path(name).is_dir():
            return Path(name).absolute()
    return None


def licence_in(readme: Path) -> str:
    """Return the licence in the first lines of a model's README.md as hubs keep it, or an empty text."""
    try:
        text = read_file(readme).decode("utf-8", "replace")[:20_000]
    except OSError:
        return ""
    found = LICENCE.search(text)
    if found and found[1] == "other" and LICENCE_NAME.search(text):
        found = LICENCE_NAME.search(text)
    return found[1] if found else ""


def _sentence(source: str, error: Exception) -> FeatxError | None:
    kinds = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    texts = " ".join(str(one) for one in _chain(error))
    name = source.partition(":")[2]
    if kinds & GATED or "gated repo" in texts:
        return WeightsError(
            f"Expected access to {source}, which its owners give only to people who accept its terms; open its page "
            "on the hub, accept them, log in here with: hf auth login, and run the command again."
        )
    if NO_SAFE_FILE.search(texts):
        return WeightsError(
            f"Expected the weights of {source} as safetensors, but there are none; featx loads no pickle, which can "
            "run code: ask its owners for safetensors, or convert the weights yourself where you trust them."
        )
    if "trust_remote_code" in texts or "custom code" in texts:
        return WeightsError(
            f"Expected a network whose code is in the installed package, but {source} brings code of its own, which "
            "featx does not run; export it to ONNX yourself, and use: featx backbones import FILE.onnx"
        )
    if kinds & ABSENT or "Unknown model" in texts or "is not a valid model identifier" in texts:
        return UsageError(f"There is no network {name!r} where {source} was looked for; check the spelling.")
    if kinds & OFFLINE or "connect to" in texts:
        folder = " For hf, a folder with the files does, too: hf:FOLDER." if source.startswith("hf:") else ""
        return WeightsError(
            f"Expected to download the weights of {source}, but the hub cannot be reached; run the command where it "
            f"can, and copy the folder of --out here.{folder}"
        )
    if isinstance(error, OSError | RuntimeError | ValueError | LookupError | TypeError | ImportError):
        return WeightsError(f"Expected a network at {source}, but it could not be built: {reason_of(error)}")
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def quiet_hub() -> AbstractContextManager[None]:
    """Return a block in which hubs get no reports of use."""
    return environment("HF_HUB_DISABLE_TELEMETRY", "1")
