from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featx.classifiers.estimator_files import class_probabilities, load_estimator, save_estimator
from featx.classifiers.tree_bounds import check_trees
from featx.errors import RunError, UntrustedError

WIDTH = 12


def some_rows() -> tuple[Any, Any]:
    y = np.arange(90) % 3
    X = np.random.default_rng(0).normal(size=(90, WIDTH)).astype(np.float32)
    X[:, 0] += y
    return X, y


def boosting() -> Any:
    return make_pipeline(
        StandardScaler(), PCA(5, random_state=0), HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5)
    )


def forest() -> Any:
    return RandomForestClassifier(4, random_state=0)


MAKE: dict[str, Callable[[], Any]] = {
    "logreg": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "svm": lambda: make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(), ensemble=False)),
    "knn": lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="brute")),
    "lda": lambda: make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
    "forest": forest,
    "boosting": boosting,
}


def fitted(make: Callable[[], Any]) -> Any:
    return make().fit(*some_rows())


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_a_classifier_read_back_predicts_the_same(name: str, tmp_path: Path) -> None:
    X, _ = some_rows()
    estimator = fitted(MAKE[name])
    save_estimator(estimator, tmp_path / "c.skops")
    again = load_estimator(tmp_path / "c.skops", WIDTH, 3)
    np.testing.assert_array_equal(class_probabilities(again, X), estimator.predict_proba(X))
    assert class_probabilities(again, X).std() > 0.05


class Own(ClassifierMixin):  # type: ignore[misc]
    """A class of the user's own."""

    def __init__(self) -> None:
        self.n_features_in_ = WIDTH


def test_other_types_are_neither_written_nor_read(tmp_path: Path) -> None:
    import skops.io

    with pytest.raises(UntrustedError, match=r"found .*test_estimator_files\.Own"):
        save_estimator(Own(), tmp_path / "own.skops")
    skops.io.dump(Own(), tmp_path / "own.skops")
    with pytest.raises(UntrustedError, match=r"only scikit-learn's own types.*Own") as caught:
        load_estimator(tmp_path / "own.skops", WIDTH, 3)
    assert caught.value.exit_code == 4


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Write a file again with its parts changed."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        ("os", "system", "FunctionNode"),
        ("builtins", "eval", "FunctionNode"),
        ("subprocess", "Popen", "TypeNode"),
        ("evil", "Model", "ObjectNode"),
    ],
)
def test_a_hostile_file_runs_nothing(
    module: str, name: str, loader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that names what would do harm is refused before it is imported."""
    path = tmp_path / "c.skops"
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: pass\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    save_estimator(fitted(MAKE["logreg"]), path)

    def change(parts: dict[str, bytes]) -> None:
        schema = json.loads(parts["schema.json"])
        schema["content"]["content"]["verbose"] = {
            "__class__": name,
            "__module__": module,
            "__loader__": loader,
            "__id__": 1,
            "content": {"module_path": module, "function": name},
        }
        parts["schema.json"] = json.dumps(schema).encode()

    rewrite(path, change)
    with pytest.raises((UntrustedError, RunError)) as caught:
        load_estimator(path, WIDTH, 3)
    assert "c.skops" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def turned(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - value for value in content[middle : middle + 200]) + content[middle + 200 :]


@pytest.mark.parametrize("spoil", [cut, turned, lambda _: b"", lambda _: b"PK\3\4 nothing", lambda _: b"{}"])
def test_a_damaged_file_is_one_sentence(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "c.skops"
    save_estimator(fitted(MAKE["logreg"]), path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(RunError, match=r"does not load \(.+\); save it again") as caught:
        load_estimator(path, WIDTH, 3)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not load"):
        load_estimator(tmp_path / "nowhere.skops", WIDTH, 3)


def test_other_estimators_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.skops"
    for estimator in (StandardScaler().fit(some_rows()[0]), fitted(lambda: SVC())):
        save_estimator(estimator, path)
        with pytest.raises(RunError, match="found something else"):
            load_estimator(path, WIDTH, 3)
    save_estimator(fitted(MAKE["logreg"]), path)
    for width, classes in ((WIDTH + 1, 3), (WIDTH, 2)):
        with pytest.raises(RunError, match=f"of {width} features in a row and {classes} classes"):
            load_estimator(path, width, classes)


# Trees


def with_nodes(path: Path, field: str, value: int) -> None:
    """Change the first node of the first tree in a file."""

    def change(parts: dict[str, bytes]) -> None:
        for name in [name for name in parts if name.endswith(".npy")]:
            array = np.load(io.BytesIO(parts[name]))
            if field in (array.dtype.names or ()):
                array[field][0] = value
                stream = io.BytesIO()
                np.save(stream, array)
                parts[name] = stream.getvalue()
                return
        pytest.fail(f"no tree has the field {field}")

    rewrite(path, change)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (forest, "left_child", 10**6),
        (forest, "right_child", 10**6),
        (forest, "right_child", 0),
        (forest, "feature", WIDTH),
        (forest, "feature", -5),
        (boosting, "left", 10**6),
        (boosting, "right", 0),
        (boosting, "feature_idx", 5),
        (boosting, "is_categorical", 1),
    ],
)
def test_trees_that_point_outside_themselves_are_refused(
    make: Callable[[], Any], field: str, value: int, tmp_path: Path
) -> None:
    path = tmp_path / "c.skops"
    save_estimator(fitted(make), path)
    load_estimator(path, WIDTH, 3)
    with_nodes(path, field, value)
    with pytest.raises(UntrustedError, match="nodes point to later nodes of their own"):
        load_estimator(path, WIDTH, 3)


def test_trees_are_found_wherever_they_are() -> None:
    estimator = fitted(lambda: CalibratedClassifierCV(make_pipeline(StandardScaler(), forest()), cv=2))
    check_trees(estimator, "it")
    inner = estimator.calibrated_classifiers_[1].estimator.steps[1][1]
    inner.estimators_[3].n_features_in_ = 1
    with pytest.raises(UntrustedError, match="trees in it"):
        check_trees(estimator, "it")
