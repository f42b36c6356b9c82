"""Which of the packages that featx needs are installed, and in which version."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


@dataclass(frozen=True)
class Package:
    """A package that featx uses.

    Attributes:
        name: As it is installed.
        required: The versions that fit, such as `>=3.10`; empty for any.
        installed: The version that is there, or None.
        extra: The extra of featx that asks for it; None where featx cannot do without.
        fits: The installed version is among those required.
    """

    name: str
    required: str
    installed: str | None
    extra: str | None
    fits: bool

    @property
    def amiss(self) -> bool:
        """It is needed and missing, or there in a version that does not fit."""
        return not self.fits and (self.installed is not None or self.extra is None)


def packages() -> list[Package]:
    """Return what featx's own metadata asks for, by name; what only its developers need is left out.

    Returns:
        Nothing where featx has no metadata, as in a copy of its source that was never installed.
    """
    from packaging.requirements import Requirement

    found = []
    for line in _own_requirements():
        requirement = Requirement(line)
        extra = _extra(str(requirement.marker or ""))
        if extra == "dev":
            continue
        installed = _installed(requirement.name)
        fits = installed is not None and _fits(requirement.specifier, installed)
        found.append(Package(requirement.name, str(requirement.specifier), installed, extra, fits))
    return sorted(found, key=lambda package: (package.extra is not None, package.name))


def _own_requirements() -> list[str]:
    try:
        return requires("featx") or []
    except PackageNotFoundError:
        return []


def _fits(required: SpecifierSet, installed: str) -> bool:
    from packaging.version import InvalidVersion

    try:
        return required.contains(installed, prereleases=True)
    except InvalidVersion:  # metadata that something damaged
        return False


def _extra(marker: str) -> str | None:
    """Return the extra in a marker such as `extra == "openvino"`."""
    _, found, name = marker.partition("extra == ")
    return name.strip("\"' ") if found else None


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
