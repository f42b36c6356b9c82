"""`featx doctor`."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from featx import __version__
from featx.cli import console, options
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.diagnosis import Diagnosis

GIGA = 1e9
WIDTH = 100
MEGA = 1e6
BOUND = "\N{NO-BREAK SPACE}"


def command(
    cache: options.Cache = options.CACHE_DEFAULT,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Look at versions, devices, engines, weights and the cache, and say what mends what is amiss."""
    console.start(quiet=quiet, debug=debug)
    with _importing(ImportError, AttributeError, ValueError):
        from featx.diagnosis import doctor
    with console.progress_bars(quiet=quiet), _importing(ImportError):
        found = doctor(cache=cache)
    if json:
        console.print_json(found.to_json())
        return
    _tell_machine(found)
    _tell_packages(found)
    _tell_engines(found)
    _tell_weights(found)
    _tell_cache(found)
    _tell_amiss(found)


@contextmanager
def _importing(*kinds: type[Exception]) -> Iterator[None]:
    """Tell of a package that is so broken that not even the diagnosis can be made."""
    try:
        yield
    except kinds as error:
        name = getattr(error, "name", None)
        raise FeatxError(
            f"Expected all packages that featx needs, but one does not load ({name or error}); install featx again "
            "with pip install --upgrade --force-reinstall featx."
        ) from error


def _tell_machine(found: Diagnosis) -> None:
    machine = found.machine
    console.print_lines([f"{machine.processor}, {machine.cpus} processors, {machine.system}"])
    if machine.memory is not None:
        free = "" if machine.available is None else f", of which {machine.available / GIGA:.1f} GB free"
        console.print_lines([f"memory     {machine.memory / GIGA:.1f} GB{free}"])
    devices = f"{', '.join(found.devices)}, as TensorFlow sees them" if found.devices else "TensorFlow tells none"
    console.print_lines([f"devices    {devices}"])
    gpus = ", ".join(machine.gpus) or ", ".join(f"one of {maker}'s" for maker in machine.gpu_makers) or "none"
    console.print_lines([f"GPUs       {gpus}" + (f"; {machine.gpu_fault}" if machine.gpu_fault else "")])
    if found.threads:
        console.print_lines(_wrapped("threads    ", [f"{name} {number}" for name, number in found.threads]))
    console.print_lines([f"setting    {name}={value}" for name, value in machine.settings.items()])


def _tell_packages(found: Diagnosis) -> None:
    console.print_lines(["", f"featx {__version__}, Python {platform.python_version()}"])
    have = [f"{package.name} {package.installed}" for package in found.packages if package.installed is not None]
    absent = [
        package.name if package.extra is None else f"{package.name} (only for featx[{package.extra}])"
        for package in found.packages
        if package.installed is None
    ]
    for start, words in (("packages   ", have), ("not there  ", absent)):
        if words:
            console.print_lines(_wrapped(start, words))


def _wrapped(start: str, words: list[str]) -> list[str]:
    """Return lines of words, of which none is broken, also where it has a blank or a hyphen."""
    text = ", ".join(word.replace(" ", BOUND) for word in words)
    after = " " * len(start)
    fill = textwrap.TextWrapper(WIDTH, start, after, break_on_hyphens=False, break_long_words=False)
    return [line.replace(BOUND, " ") for line in fill.wrap(text)]


def _tell_engines(found: Diagnosis) -> None:
    rows = [
        (trial.engine, trial.does, trial.state, f"{trial.seconds:.1f} s" if trial.seconds else "-")
        for trial in found.engines
    ]
    console.print_lines([""])
    console.print_table(rows, ("engine", "does", "state", "tried in"))


def _tell_weights(found: Diagnosis) -> None:
    rows = [
        (one.backbone, one.path or "not here; downloaded when first needed", (one.sha256 or "")[:12])
        for one in found.weights
    ]
    console.print_lines([""])
    console.print_table(rows, ("ImageNet weights of", "file", "SHA-256"))
    folders = dict.fromkeys(str(Path(place).parent) for one in found.weights for place in one.looked)
    console.print_lines(_wrapped("looked in  ", list(folders)))


def _tell_cache(found: Diagnosis) -> None:
    cache = found.cache
    free = "free space unknown" if cache.free_bytes is None else f"{cache.free_bytes / GIGA:,.1f} GB free on its disk"
    console.print_lines([""])
    if cache.info is None:
        console.print_lines([f"cache      {cache.root}: {cache.state}, {free}"])
        return
    held = cache.info
    size = held.bytes + held.network_bytes + held.known_files_bytes
    console.print_lines([f"cache      {cache.root}: {held.rows:,} rows, {size / MEGA:,.1f} MB, {free}"])
    health = f"{held.shards} shards and {held.networks} converted networks hashed"
    wrong = [
        f"{count} {what}"
        for count, what in ((held.set_aside, "damaged files set aside"), (len(cache.unused), "files not used"))
        if count
    ]
    console.print_lines([f"           {health}: {', '.join(wrong) or 'none damaged'}"])


def _tell_amiss(found: Diagnosis) -> None:
    console.print_lines([""])
    if not found.amiss:
        console.print_lines(["Nothing is amiss."])
    for item in found.amiss:
        console.print_lines([f"Amiss: {item.what.rstrip('.')}.", f"  To mend it: {item.mend}"])
