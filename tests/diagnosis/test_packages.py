from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import pytest

from featx.diagnosis import packages
from featx.diagnosis.packages import (
    Package,
    find_packages,
    missing_of_extras,
    package_problems,
    tensorflow_problems,
)
from featx.networks import framework


def test_the_packages_that_featx_needs_are_installed_here() -> None:
    found = {package.name: package for package in find_packages()}
    assert found["numpy"].installed == version("numpy")
    assert found["numpy"].extra is None
    assert found["onnxruntime"].extra == "onnx"
    assert list(package_problems(tuple(found.values()))) == []
    assert "mypy" not in found  # for developers
    assert found["nvidia-cudnn-cu12"].extra == "gpu"


def test_a_version_that_does_not_fit_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["alpha>=2", "beta>=2", "gamma", 'delta>=2; extra == "more"', "epsilon<3,>=1"]
    there = {"alpha": "1.9", "beta": "10.0rc1", "epsilon": "2.5"}

    def installed(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(packages, "requires", lambda _: lines)
    monkeypatch.setattr(packages, "version", installed)
    found = {package.name: package for package in find_packages()}
    assert found["alpha"] == Package("alpha", ">=2", "1.9", None, fits=False)
    assert found["delta"].extra == "more"
    problems = list(package_problems(tuple(found.values())))
    assert [problem.fix for problem in problems] == ["pip install 'alpha>=2'", "pip install 'gamma'"]
    assert "featx is not installed" in str(list(package_problems(())))


def test_packages_for_other_machines_are_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = "python_version >= '3'"
    lines = [
        "numpy>=1",
        f"scipy>=1; {here}",
        "pillow>=99; python_version < '3'",
        f'gone>=1; ({here}) and extra == "x"',
    ]
    monkeypatch.setattr(packages, "requires", lambda _: [*lines, 'scipy>=1; extra == "x"'])
    found = find_packages()
    assert [(package.name, package.extra) for package in found] == [
        ("numpy", None),
        ("scipy", None),
        ("gone", "x"),
        ("scipy", "x"),
    ]
    assert list(package_problems(found)) == []
    assert missing_of_extras(found) == {"x": ["gone"]}
    assert missing_of_extras(found[:2]) == {}


def test_an_extra_of_a_package_needs_that_package_s_own_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {
        "featx": ["tensorflow>=2", "tensorflow[and-cuda]>=2; extra == 'gpu'"],
        "tensorflow": ["numpy>=1", 'cudnn>=9; extra == "and-cuda"', "cudnn; extra == 'other'"],
    }
    versions = {"tensorflow": "2.21", "tensorflow-cpu": None, "cudnn": None}
    installed_are(versions, monkeypatch)
    monkeypatch.setattr(packages, "requires", lines.__getitem__)
    assert missing_of_extras(find_packages()) == {"gpu": ["cudnn"]}
    versions["cudnn"] = "8.9"
    assert missing_of_extras(find_packages()) == {"gpu": ["cudnn"]}
    versions["cudnn"] = "9.3.1"
    assert missing_of_extras(find_packages()) == {"gpu": []}


def test_tensorflow_for_processors_serves_as_well_but_not_beside_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    versions: dict[str, str | None] = {"tensorflow": None, "tensorflow-cpu": "2.21"}
    installed_are(versions, monkeypatch)
    monkeypatch.setattr(packages, "requires", lambda _: ["tensorflow>=2", "tensorflow[and-cuda]; extra == 'gpu'"])
    found = find_packages()
    assert [(package.name, package.extra, package.fits) for package in found] == [
        ("tensorflow-cpu", None, True),
        ("tensorflow", "gpu", False),
    ]
    assert [*package_problems(found), *tensorflow_problems()] == []
    versions["tensorflow"] = "2.21"
    [problem] = tensorflow_problems()
    assert problem.fix == "pip uninstall tensorflow tensorflow-cpu, then pip install tensorflow"


def installed_are(versions: Mapping[str, str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    def version_of(name: str) -> str:
        found = versions[name]
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(packages, "version", version_of)
    monkeypatch.setattr(framework, "version", version_of)
