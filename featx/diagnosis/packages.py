"""The packages that featx needs, and which of them are installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from featx.diagnosis.problems import Problem
from featx.networks import TENSORFLOW_PACKAGES, tensorflow_package

if TYPE_CHECKING:
    from packaging.requirements import Requirement

TENSORFLOW = "tensorflow"


@dataclass(frozen=True)
class Package:
    """A package that featx needs here, always or for an extra; `fits` if the installed version does."""

    name: str
    required: str
    installed: str | None
    extra: str | None
    fits: bool


def find_packages() -> tuple[Package, ...]:
    """Return the packages that featx's metadata names for this machine, with those of its packages' extras."""
    packages = (package for line in _requirements_of("featx") for package in _packages(line))
    return tuple(sorted(packages, key=lambda package: (package.extra or "", package.name)))


def _requirements_of(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def _packages(line: str) -> Iterator[Package]:
    """Yield what a line of the metadata requires; nothing if that is for other machines."""
    from packaging.requirements import Requirement

    requirement = Requirement(line)
    extra = _extra_of(requirement)
    if requirement.marker is None or requirement.marker.evaluate({"extra": extra or ""}):
        yield _package(requirement, extra)
        for inner in map(Requirement, _requirements_of(requirement.name) if requirement.extras else ()):
            within = _extra_of(inner)
            if within in requirement.extras and inner.marker and inner.marker.evaluate({"extra": within}):
                yield _package(inner, extra)


def _extra_of(requirement: Requirement) -> str | None:
    extra = re.search(r"""extra == ["']([\w-]+)""", str(requirement.marker))
    return extra[1] if extra else None


def _package(requirement: Requirement, extra: str | None) -> Package:
    from packaging.version import InvalidVersion

    name, fits = requirement.name, False
    if name == TENSORFLOW and not requirement.extras:
        name = tensorflow_package()
    installed = _version_of(name)
    with suppress(InvalidVersion):  # its metadata is damaged
        fits = installed is not None and requirement.specifier.contains(installed, prereleases=True)
    return Package(name, str(requirement.specifier), installed, extra, fits)


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


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


def tensorflow_problems() -> Iterator[Problem]:
    """Yield a problem if TensorFlow is installed under both of its names, which have the same files."""
    if None not in map(_version_of, TENSORFLOW_PACKAGES):
        both = " and ".join(TENSORFLOW_PACKAGES)
        what = f"{both} are both installed, and each has overwritten files of the other"
        yield Problem(what, f"pip uninstall {' '.join(TENSORFLOW_PACKAGES)}, then pip install {TENSORFLOW}")


def missing_of_extras(packages: tuple[Package, ...]) -> dict[str, list[str]]:
    """Return for each extra the packages that it adds and that are not installed, or not in a version that fits."""
    missing: dict[str, list[str]] = {package.extra: [] for package in packages if package.extra is not None}
    for package in packages:
        if package.extra is not None and not package.fits:
            missing[package.extra].append(package.name)
    return missing
