from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from featx.diagnosis import packages as module
from featx.diagnosis.packages import Package, packages


def test_what_is_needed_is_installed_here() -> None:
    found = {package.name: package for package in packages()}
    assert found["numpy"].installed == version("numpy")
    assert found["numpy"].extra is None
    assert found["openvino"].extra == "openvino"
    assert not [package for package in found.values() if package.amiss]
    # Those of developers are nobody else's.
    assert "mypy" not in found


def test_a_version_that_does_not_fit_is_amiss(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["alpha>=2", "beta>=2", "gamma", 'delta>=2; extra == "more"', "epsilon<3,>=1"]
    there = {"alpha": "1.9", "beta": "10.0rc1", "epsilon": "2.5"}

    def installed(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(module, "requires", lambda _: lines)
    monkeypatch.setattr(module, "version", installed)
    found = {package.name: package for package in packages()}
    assert found["alpha"] == Package("alpha", ">=2", "1.9", None, fits=False)
    assert {name for name, package in found.items() if package.amiss} == {"alpha", "gamma"}
    assert found["delta"].extra == "more"
