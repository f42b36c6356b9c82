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


@options.command
def command(*, cache: options.Cache = options.CACHE_DEFAULT, output: options.Output) -> console.Result:
    """Check versions, devices, engines, weights and the cache; list problems and how to fix them."""
    with _broken_installation(ImportError, AttributeError, ValueError):
        from featx.diagnosis import doctor
    with _broken_installation(ImportError):
        diagnosis = doctor(cache=cache)
    return console.Result(diagnosis.to_json(), lambda: _show(diagnosis))


def _show(diagnosis: Diagnosis) -> None:
    _print_machine(diagnosis)
    _print_packages(diagnosis)
    _print_engines_and_weights(diagnosis)
    _print_cache(diagnosis)
    _print_folders(diagnosis)
    for problem in diagnosis.problems:
        console.print_lines([f"Problem: {problem.what.rstrip('.')}.", f"  Fix: {problem.fix}"])
    if not diagnosis.problems:
        console.print_lines(["No problems were found."])


@contextmanager
def _broken_installation(*kinds: type[Exception]) -> Iterator[None]:
    """Report in one sentence a package that the diagnosis itself needs and that does not load."""
    try:
        yield
    except kinds as error:
        name = getattr(error, "name", None)
        raise FeatxError(
            f"Expected all packages that featx needs, but one does not load ({name or error}); install featx again "
            "with pip install --upgrade --force-reinstall featx."
        ) from error


def _print_machine(diagnosis: Diagnosis) -> None:
    machine = diagnosis.machine
    console.print_lines(
        [
            f"{machine.processor}, {machine.cpus} processors, {machine.system}",
            f"memory     {machine.memory / GIGA:.1f} GB, {machine.available / GIGA:.1f} GB of it free",
            f"devices    {', '.join(diagnosis.devices) or 'TensorFlow lists none'}",
            f"GPUs       {', '.join(machine.gpus) or 'nvidia-smi lists none'}",
            *(f"setting    {name}={value}" for name, value in machine.settings.items()),
        ]
    )


def _print_packages(diagnosis: Diagnosis) -> None:
    from featx.diagnosis import missing_of_extras

    console.print_lines(["", f"featx {__version__}, Python {platform.python_version()}"])
    packages = diagnosis.packages
    there = [f"{each.name} {each.installed}" for each in packages if each.installed is not None]
    _print_list("packages   ", list(dict.fromkeys(there)))
    _print_list("missing    ", [each.name for each in packages if each.installed is None and each.extra is None])
    for extra, missing in missing_of_extras(packages).items():
        named = ", ".join(missing[:5]) + f" and {len(missing) - 5} more" * (len(missing) > 5)
        lacks = f"lacks {named}: pip install 'featx[{extra}]'" if missing else "is installed"
        console.print_lines([f"extra      {extra} {lacks}"])


def _print_list(start: str, items: list[str]) -> None:
    """Print items in lines of equal indent, and break none of them."""
    fill = textwrap.TextWrapper(100, start, " " * len(start), break_on_hyphens=False, break_long_words=False)
    text = ", ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in items)
    console.print_lines([line.replace("\N{NO-BREAK SPACE}", " ") for line in fill.wrap(text)])


def _print_engines_and_weights(diagnosis: Diagnosis) -> None:
    trials = [
        (trial.engine, trial.does, trial.state, f"{trial.seconds:.1f} s" if trial.seconds else "-")
        for trial in diagnosis.engines
    ]
    files = [
        (
            file.backbone,
            "comes with featx" if file.packaged else file.path or "not here; downloaded when first needed",
            (file.sha256 or "")[:12],
        )
        for file in diagnosis.weights
    ]
    console.print_lines([""])
    console.print_table(trials, ("engine", "for", "state", "tried in"))
    console.print_lines([""])
    console.print_table(files, ("ImageNet weights of", "file", "SHA-256"))
    folders = dict.fromkeys(
        str(Path(place).parent) for file in diagnosis.weights if not file.packaged for place in file.looked
    )
    _print_list("looked in  ", list(folders))


def _print_cache(diagnosis: Diagnosis) -> None:
    cache = diagnosis.cache
    free = "free space unknown" if cache.free_bytes is None else f"{cache.free_bytes / GIGA:,.1f} GB free on its disk"
    held: str = cache.state
    if cache.rows is not None and cache.bytes is not None:
        shards = f"{cache.shards} shard{'s' * (cache.shards != 1)}"
        held = f"{cache.rows:,} rows in {shards}, all verified, {cache.bytes / 1e6:,.1f} MB"
    console.print_lines(["", f"cache      {cache.root}: {held}; {free}"])


def _print_folders(diagnosis: Diagnosis) -> None:
    rows = [
        (folder.what, folder.path or "no folder", "" if folder.writable else "cannot be written")
        for folder in diagnosis.folders
    ]
    console.print_lines([""])
    console.print_table(rows, ("folder for", "place", ""))
    console.print_lines([""])
