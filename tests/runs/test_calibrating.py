from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import files_of, read_table, small_data, small_recipe

from featx.errors import RunError
from featx.exporting import export
from featx.prediction import predict
from featx.runs import FitResult, fit_head, read_run
from featx.stats import with_temperature


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    """A run whose head was trained for too long, with 24 validation images."""
    root = tmp_path_factory.mktemp("calibrating")
    small_data(root / "data", train=24, test=4)
    recipe = small_recipe(tiny_model, {"fit.epochs": 40, "fit.learning_rate": 0.01})
    return fit_head(root / "data", recipe, out=root / "run", cache=root / "cache")


def test_the_run_has_the_temperature_of_its_validation_images(fitted: FitResult) -> None:
    assert fitted.calibration is not None
    found = fitted.calibration.fitted
    assert found.n == 24
    assert found.temperature > 1.5  # it was trained for too long
    assert found.loss_before == pytest.approx(fitted.validation.loss, rel=1e-5)
    rows = [row for row in read_table(fitted.run / "predictions.csv") if row["role"] == "validation"]
    classes = sorted({row["label"] for row in rows})
    P = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    y = np.array([classes.index(row["label"]) for row in rows])
    losses = {t: -np.log(with_temperature(P, t)[np.arange(24), y]).mean() for t in np.geomspace(0.2, 50, 200)}
    best = min(losses, key=lambda t: losses[t])
    assert found.temperature == pytest.approx(best, rel=0.03)
    assert found.loss_after == pytest.approx(losses[best], abs=1e-3)
    assert read_run(fitted.run).temperature == found.temperature


def test_it_is_written_beside_scores_that_stay_raw(fitted: FitResult) -> None:
    assert fitted.calibration is not None
    metrics = json.loads((fitted.run / "metrics.json").read_text())
    manifest = json.loads((fitted.run / "manifest.json").read_text())
    assert metrics["calibration"] == json.loads(json.dumps(fitted.calibration.to_json()))
    test = metrics["calibration"].pop("test")
    assert manifest["calibration"] == metrics["calibration"]
    assert test["before"]["log_loss"] == pytest.approx(metrics["test"]["loss"], rel=1e-5)
    assert test["after"]["log_loss"] < test["before"]["log_loss"]
    assert test["after"]["accuracy"] == metrics["test"]["accuracy"]


def test_predict_uses_it_and_changes_no_class(fitted: FitResult) -> None:
    images, cache = files_of(fitted.extraction.dataset.root / "test"), fitted.extraction.store.root
    own, raw = predict(fitted.run, images, cache=cache), predict(fitted.run, images, cache=cache, raw=True)
    temperature = read_run(fitted.run).temperature
    assert [row.label for row in own.rows] == [row.label for row in raw.rows]
    P, Q = (np.array([list(row.probabilities.values()) for row in one.rows]) for one in (own, raw))
    np.testing.assert_allclose(P, with_temperature(Q, temperature), rtol=1e-5, atol=1e-9)
    assert np.abs(P - Q).max() > 0.05
    known = {row["path"]: row for row in read_table(fitted.run / "predictions.csv")}
    for row in raw.rows:
        expected = known[Path(row.path).relative_to(fitted.extraction.dataset.root).as_posix()]
        assert row.probabilities["covid"] == pytest.approx(float(expected["p_covid"]), abs=1e-5)


def test_an_exported_keras_file_has_it(fitted: FitResult, tmp_path: Path) -> None:
    exported = export(fitted.run, tmp_path / "run.keras", cache=fitted.extraction.store.root)
    assert exported.checked == 16
    assert exported.largest_difference < 1e-5


@pytest.mark.slow
def test_an_exported_onnx_file_has_it(fitted: FitResult, tmp_path: Path) -> None:
    for package in ("onnx", "onnxruntime", "skl2onnx", "tf2onnx"):
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    exported = export(fitted.run, tmp_path / "run.onnx", cache=fitted.extraction.store.root)
    assert exported.largest_difference < 1e-5


def test_an_old_run_has_none(fitted: FitResult, tmp_path: Path) -> None:
    for name in ("manifest.json", "recipe.toml"):
        (tmp_path / name).write_bytes((fitted.run / name).read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["calibration"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert read_run(tmp_path).temperature == 1
    for wrong in (0, -1, "2", 1e9, None):
        manifest["calibration"] = {"temperature": wrong}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(RunError, match="calibration"):
            read_run(tmp_path)


def test_without_validation_images_there_is_none(tiny_model: Path, tmp_path: Path) -> None:
    small_data(tmp_path / "data", train=3, test=2)
    recipe = small_recipe(tiny_model, {"fit.validation": 0.0, "fit.epochs": 1})
    result = fit_head(tmp_path / "data", recipe, out=tmp_path / "run", cache=tmp_path / "cache")
    assert result.calibration is None
    assert result.to_json()["calibration"] is None
    assert read_run(result.run).temperature == 1
