"""The house's rules, read from the code: who may import whom, and what is written nowhere."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_data import small_data
from run_files import manifest_of

import featx
from featx import files
from featx.recipes import dump_recipe, load_recipe
from featx.runs import folder as runs
from featx.store import RowKey, Store

ROOT = Path(featx.__file__).parent


def module_name(path: Path) -> str:
    """`cli.cache` of featx/cli/cache.py, `cli` of featx/cli/__init__.py, and an empty name of featx/__init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}

PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.pyi")}


def imports_of(name: str) -> set[str]:
    """The modules of featx that a module imports anywhere in it, also inside functions and for types alone."""
    found: set[str] = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            # `from featx import plots` names a package, `from featx.plots import save` does not.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {path for path in inner if path.removeprefix("featx.") in TREES}
            found |= modules or {str(node.module)}
    return {path.removeprefix("featx.") for path in found if path.startswith("featx.")}


def exported(package: str) -> dict[str, str]:
    """The names of a package's face, and the module of the package that each lives in."""
    stub = ast.parse((ROOT / package / "__init__.pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


# --- who imports whom; the floors themselves are the contract of import-linter in pyproject.toml ---


def test_packages_are_entered_by_their_faces() -> None:
    """`from featx.store import Store`, not `from featx.store.store import Store`, but within the package."""
    inner = {
        (name, other)
        for name in TREES
        for other in imports_of(name)
        if "." in other and (package := other.split(".")[0]) in PACKAGES and package != name.split(".")[0]
    }
    assert inner == set()
    assert len(PACKAGES) > 12


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_what_a_face_shows_is_there_and_is_no_module(package: str) -> None:
    """A name that is a module's, too, would mean the one or the other, by what was imported before."""
    face = import_module(f"featx.{package}")
    names = exported(package)
    assert face.__all__ == sorted(names)
    modules = {path.stem if path.suffix else path.name for path in (ROOT / package).iterdir()}
    assert not set(names) & modules
    for name, module in names.items():
        assert getattr(face, name) is getattr(import_module(f"featx.{package}.{module}"), name)


def used_outside(package: str) -> str:
    """All that may use a package's face: the other packages, the benchmarks and the documentation."""
    modules = [
        path for path in ROOT.rglob("*.py*") if path.suffix in (".py", ".pyi") and path.parent != ROOT / package
    ]
    pages = [path for folder in ("docs", "benchmarks") for path in (ROOT.parent / folder).glob("*.*")]
    return "\n".join(path.read_text("utf-8") for path in [*modules, *pages] if path.suffix in (".py", ".pyi", ".md"))


@pytest.mark.slow
@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_face_shows_what_nobody_uses(package: str) -> None:
    text = used_outside(package)
    assert [name for name in exported(package) if not re.search(rf"\b{name}\b", text)] == []


def test_no_package_is_called_like_a_verb() -> None:
    """`featx.clusters` is a function; were it a package, too, importing the package would hide the function."""
    modules = {path.stem if path.suffix else path.name for path in ROOT.iterdir()}
    assert not set(featx.__all__) & modules


def test_commands_import_no_science_at_their_top() -> None:
    """Else every `--help` would wait for it. Modules of the command line are looked at themselves."""
    for name in (name for name in TREES if name.split(".")[0] == "cli"):
        for node in TREES[name].body:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("featx"):
                module = str(node.module)
                assert module in ("featx", "featx.errors") or module.split(".")[1] == "cli", name


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: imports_of(name) for name in TREES if name}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)


@pytest.mark.slow
def test_tests_enter_packages_by_their_faces_but_for_the_package_they_test() -> None:
    inner = set()
    for path in (ROOT.parent / "tests").rglob("*.py"):
        own = path.relative_to(ROOT.parent / "tests").parts[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = str(node.module).split(".") if isinstance(node, ast.ImportFrom) else []
            if len(parts) > 2 and parts[0] == "featx" and parts[1] in PACKAGES - {own}:
                names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
                inner |= {(path.name, name) for name in names & set(exported(parts[1]))}
    assert inner == set()


# --- what is loaded when ---

HEAVY = ("tensorflow", "keras", "sklearn", "umap", "matplotlib", "openTSNE", "pandas", "pyarrow", "scipy", "numba")


def loaded_by(script: str) -> set[str]:
    """The top packages that a fresh process has loaded after a script."""
    tell = "\nimport sys; print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", script + tell], check=True, capture_output=True, text=True)
    return set(run.stdout[run.stdout.index("LOADED") :].split())


@pytest.mark.parametrize("arguments", [[], ["visualize"], ["clusters"], ["fit-head"], ["cache"]])
def test_help_is_cheap(arguments: list[str]) -> None:
    script = (
        f"import sys; sys.argv = ['featx', *{arguments!r}, '--help']\n"
        "from featx.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
    )
    loaded = loaded_by(script)
    assert "typer" in loaded
    assert not loaded & set(HEAVY)


def test_importing_featx_is_cheap() -> None:
    loaded = loaded_by("import featx; assert featx.__version__; assert 'extract' in dir(featx)")
    assert not loaded & {*HEAVY, "numpy", "typer", "pydantic"}


def test_every_public_name_is_there() -> None:
    assert featx.__all__ == sorted(featx.__all__)
    assert all(getattr(featx, name).__name__ == name for name in featx.__all__)
    with pytest.raises(AttributeError, match="No featx attribute fitt"):
        getattr(featx, "fitt")  # noqa: B009


def write_run(tmp_path: Path) -> Path:
    """A run of 12 images and, in the folder cache, their backbone features."""
    keys: list[RowKey] = [(hashlib.sha256(bytes([i])).hexdigest(), 0) for i in range(12)]
    space = Store(tmp_path / "cache").space({"kind": "backbone"})
    with space.writer() as writer:
        writer.add(keys, np.random.default_rng(0).normal(size=(12, 5)))
    run = tmp_path / "run"
    files.write_text(run / runs.RECIPE, dump_recipe(load_recipe("covid2-vgg16")))
    files.write_json(run / runs.MANIFEST, manifest_of("ab", backbone=space.id))
    rows = [[f"{i}.png", "train", "fit", "ab"[i % 2], "a", 1, 0, digest] for i, (digest, _) in enumerate(keys)]
    header = ["path", "split", "role", "label", "predicted", "p_a", "p_b", "sha256"]
    files.write_csv(run / runs.PREDICTIONS, header, rows)
    return run


@pytest.mark.slow
def test_clusters_are_measured_without_tensorflow(tmp_path: Path) -> None:
    loaded = loaded_by(
        f"import featx\nfeatx.clusters({str(write_run(tmp_path))!r}, layer='backbone', "
        f"cache={str(tmp_path / 'cache')!r}, out={str(tmp_path / 'out')!r}, permutations=3)\n"
    )
    assert {"sklearn", "matplotlib"} <= loaded
    assert not loaded & {"tensorflow", "keras", "umap"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "library"), [("tsne", "openTSNE"), ("umap", "umap"), ("pca", "sklearn")], ids=["tsne", "umap", "pca"]
)
def test_a_map_is_drawn_without_tensorflow(tmp_path: Path, method: str, library: str) -> None:
    run = write_run(tmp_path)
    loaded = loaded_by(
        "from featx.maps.mapping import visualize\n"
        f"visualize({str(run)!r}, method={method!r}, layer='backbone', cache={str(tmp_path / 'cache')!r})\n"
    )
    assert {library, "matplotlib"} <= loaded
    assert not loaded & ({"tensorflow", "keras", "openTSNE", "umap"} - {library})
    assert len(list(run.glob(f"{method}-*"))) == 5


@pytest.mark.slow
def test_rows_that_are_cached_are_transformed_without_tensorflow(tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=2, test=0, classes=2)
    given: dict[str, Any] = {"backbone": str(tiny_model), "size": 32, "cache": str(tmp_path / "cache")}
    featx.FeatureExtractor(**given).fit(sorted(data.rglob("*.png")))
    loaded = loaded_by(
        "from pathlib import Path\nfrom featx import FeatureExtractor\n"
        f"rows = FeatureExtractor(**{given!r}).fit_transform(sorted(Path({str(data)!r}).rglob('*.png')))\n"
        "assert len(rows) == 4\n"
    )
    assert "sklearn" in loaded
    assert not loaded & {"tensorflow", "keras", "openvino", "umap", "matplotlib"}


# --- what is written nowhere ---


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield name, node


def called(node: ast.AST) -> str:
    """`print` of `print(x)`, `np.load` of `np.load(x)`."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


@pytest.mark.slow
def test_users_are_told_by_errors_and_the_log() -> None:
    assert not [(name, node.lineno) for name, node in nodes(ast.Assert) if isinstance(node, ast.Assert)]
    assert not [name for name, node in nodes(ast.Call) if called(node) == "print"]


# Each looks at what it caught and raises it again, or something that says more.
CATCHES_ALL = {
    ("networks.weights", "download"),
    ("networks.framework", "_native_stderr_held"),
    ("networks.importing.hubs", "fetching"),
}
# A diagnosis reports whatever error a broken library raises.
TELLS_ALL = {("diagnosis.engine_trials", "_try_engine"), ("diagnosis.diagnosing", "_devices")}


def test_no_error_is_swallowed() -> None:
    handlers = [(name, node) for name, node in nodes(ast.ExceptHandler) if isinstance(node, ast.ExceptHandler)]
    assert len(handlers) > 20
    broad = [(name, node) for name, node in handlers if caught(node) & {"", "Exception", "BaseException"}]
    assert {(name, function_around(name, node)) for name, node in broad} == CATCHES_ALL | TELLS_ALL
    for name, node in broad:
        assert (name, function_around(name, node)) in TELLS_ALL or any(
            isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node)
        )


def function_around(name: str, node: ast.ExceptHandler) -> str:
    """The innermost function that a handler stands in, an empty name for none."""
    functions = [one for one in ast.walk(TREES[name]) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    around = [one for one in functions if one.lineno <= node.lineno <= (one.end_lineno or 0)]
    return max(around, key=lambda one: one.lineno).name if around else ""


def caught(handler: ast.ExceptHandler) -> set[str]:
    """The names of the errors that a handler takes; an empty one for all."""
    if handler.type is None:
        return {""}
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(one) for one in types}


UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# joblib reads and writes pickles; these do neither.
HARMLESS = {"joblib": {"Parallel", "cpu_count", "delayed"}}


def test_nothing_that_is_read_can_run_code() -> None:
    for name, node in nodes(ast.AST):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & UNSAFE, name
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            assert names <= HARMLESS.get(str(node.module), set()) or str(node.module).split(".")[0] not in UNSAFE, (
                name
            )
        elif isinstance(node, ast.Call):
            assert called(node) not in ("eval", "exec"), name
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert given.get("allow_pickle", "False") == "False", name
            assert given.get("safe_mode", "True") == "True", name


def test_warnings_are_held_back_only_in_a_block() -> None:
    """A filter that outlives its call would change what the user's own code is told."""
    blocks = [node for _, node in nodes(ast.With) if "catch_warnings" in ast.unparse(node).split("\n")[0]]
    within = {id(inner) for block in blocks for inner in ast.walk(block)}
    filters = ("warnings.filterwarnings", "warnings.simplefilter")
    assert not [name for name, node in nodes(ast.Call) if called(node) in filters and id(node) not in within]


def test_modules_can_be_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert {module_name(path): length for path, length in lengths.items() if length > 400} == {}


def test_modules_are_named_for_what_they_do() -> None:
    words = {word for name in TREES for part in name.split(".") for word in part.split("_")}
    assert not words & {"utils", "util", "helpers", "helper", "misc", "common"}


def public_definitions(
    body: list[ast.stmt], prefix: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Functions and classes without a leading underscore, and the methods of those classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, f"{prefix}.{node.name}")


def test_all_that_is_public_is_documented() -> None:
    assert [name for name, tree in TREES.items() if not ast.get_docstring(tree)] == []
    definitions = [pair for name, tree in TREES.items() for pair in public_definitions(tree.body, name)]
    assert len(definitions) > 100
    assert [name for name, node in definitions if not ast.get_docstring(node)] == []
