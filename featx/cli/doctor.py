"""`featx doctor`."""

from __future__ import annotations

import platform
import textwrap
from typing import TYPE_CHECKING

from featx import __version__
from featx.cli import console, options
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.pipeline.diagnosing import Diagnosis

GIGA = 1e9
WIDTH = 100
MEGA = 1e6


def command(
    cache: options.Cache = options.CACHE_DEFAULT,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Look at versions, devices, engines, weights and the cache, and say what mends what is amiss."""
    console.start(quiet=quiet, debug=debug)
    try:
        from featx.pipeline.diagnosing import doctor
    except ImportError as error:
        raise FeatxError(
            f"Expected all packages that featx needs, but {error.name or error} does not load; install featx again "
            "with pip install --upgrade --force-reinstall featx."
        ) from error
    with console.progress_bars(quiet=quiet) as progress:
        found = doctor(cache=cache, progress=progress)
    if json:
        console.print_json(found.to_json())
        return
    _tell_machine(found)
    _tell_packages(found)
    _tell_engines(found)
    _tell_weights(found)
    _tell_cache(found)
    _tell_amiss(found)


def _tell_machine(found: Diagnosis) -> None:
    machine = found.machine
    console.print_lines([f"{machine.processor}, {machine.cpus} processors, {machine.system}"])
    if machine.memory is not None and machine.available is not None:
        console.print_lines(
            [f"memory     {machine.memory / GIGA:.1f} GB, of which {machine.available / GIGA:.1f} GB free"]
        )
    console.print_lines([f"devices    {', '.join((*found.devices, *machine.gpus)) or 'TensorFlow does not load'}"])
    console.print_lines([f"setting    {name}={value}" for name, value in machine.settings.items()])


def _tell_packages(found: Diagnosis) -> None:
    have = [f"{package.name} {package.installed}" for package in found.packages if package.installed is not None]
    console.print_lines(["", f"featx {__version__}, Python {platform.python_version()}"])
    console.print_lines(_wrapped("packages   ", have))
    absent = [f"{package.name} (extra {package.extra})" for package in found.packages if package.installed is None]
    if absent:
        console.print_lines(_wrapped("not there  ", absent))


def _wrapped(start: str, words: list[str]) -> list[str]:
    text = textwrap.fill(", ".join(words), WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
    return text.splitlines()


def _tell_engines(found: Diagnosis) -> None:
    rows = [
        (trial.engine, trial.does, "runs" if trial.runs else str(trial.reason), f"{trial.seconds:.1f} s")
        for trial in found.engines
    ]
    console.print_lines([""])
    console.print_table(rows, ("engine", "does", "", "tried in"))


def _tell_weights(found: Diagnosis) -> None:
    rows = [
        (one.backbone, one.path or "not here; downloaded when first needed", (one.sha256 or "")[:12])
        for one in found.weights
    ]
    console.print_lines([""])
    console.print_table(rows, ("ImageNet weights of", "file", "SHA-256"))


def _tell_cache(found: Diagnosis) -> None:
    free = f"{found.free_bytes / GIGA:,.1f} GB free on its disk"
    console.print_lines([""])
    if found.cache is None:
        console.print_lines([f"cache      {found.cache_root}: none yet, {free}"])
        return
    size = found.cache.bytes + found.cache.network_bytes + found.cache.known_files_bytes
    health = f"{found.cache.set_aside} damaged files set aside" if found.cache.set_aside else "every file sound"
    rows = f"{found.cache.rows:,} rows, {size / MEGA:,.1f} MB"
    console.print_lines([f"cache      {found.cache_root}: {rows}, {health}, {free}"])


def _tell_amiss(found: Diagnosis) -> None:
    console.print_lines([""])
    if not found.amiss:
        console.print_lines(["Nothing is amiss."])
    for item in found.amiss:
        console.print_lines([f"Amiss: {item.what}.", f"  To mend it: {item.mend}"])
