"""The packages that featx needs, and which of them are installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from featx.diagnosis.problems import Problem


@dataclass(frozen=True)
class Package:
    """A package that featx needs here, always or for an extra; `fits` if the installed version does."""

    name: str
    required: str
    installed: str | None
    extra: str | None
    fits: bool


def find_packages() -> tuple[Package, ...]:
    """Return the packages that featx's metadata names for this machine, without those for its developers."""
    try:
        requirements = requires("featx") or []
    except PackageNotFoundError:
        return ()
    packages = [package for line in requirements if (package := _package(line)) and package.extra != "dev"]
    return tuple(sorted(packages, key=lambda package: (package.extra or "", package.name)))


def _package(line: str) -> Package | None:
    """Return what a line of the metadata requires; None if that is for other machines."""
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion

    requirement = Requirement(line)
    extra = re.search(r"""extra == ["'](\w+)""", str(requirement.marker))
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra[1] if extra else ""}):
        return None
    installed, fits = None, False
    with suppress(PackageNotFoundError, InvalidVersion):  # not installed, or its metadata is damaged
        installed = version(requirement.name)
        fits = requirement.specifier.contains(installed, prereleases=True)
    return Package(requirement.name, str(requirement.specifier), installed, extra[1] if extra else None, fits)


def package_problems(packages: tuple[Package, ...]) -> Iterator[Problem]:
    """Yield the packages that are missing, unless they are for an extra, and those in a version that does not fit."""
    if not packages:
        yield Problem("featx is not installed, so the packages that it needs are unknown", "pip install featx")
    faulty = [one for one in packages if not one.fits and (one.installed is not None or one.extra is None)]
    # Two extras may need the same.
    for package in {(one.name, one.required): one for one in faulty}.values():
        state = "is not installed" if package.installed is None else f"is {package.installed}"
        what = f"the package {package.name} {state}, and featx needs {package.required or 'it'}"
        yield Problem(what, f"pip install '{package.name}{package.required}'")


def missing_of_extras(packages: tuple[Package, ...]) -> dict[str, list[str]]:
    """Return for each extra the packages that it adds and that are not installed, or not in a version that fits."""
    missing: dict[str, list[str]] = {package.extra: [] for package in packages if package.extra is not None}
    for package in packages:
        if package.extra is not None and not package.fits:
            missing[package.extra].append(package.name)
    return missing
