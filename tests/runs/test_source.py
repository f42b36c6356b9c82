from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pipeline_data import (
    digest,
    expected_rows,
    files_of,
    read_table,
    resized,
    small_data,
    small_recipe,
    write_manifest,
)

from featx.errors import DataError, RunError, UsageError
from featx.runs import folder as runs
from featx.runs.fitting import FitResult, fit_head
from featx.runs.source import read_source


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    """A run on a manifest with groups and a column of the user's own."""
    root = tmp_path_factory.mktemp("sources")
    data = small_data(root / "data", train=6, test=2, classes=2)
    number = {path: number for number, path in enumerate(files_of(data))}
    columns = {
        "group": lambda path: f"{path.parts[-3]} patient {number[path] // 2}",
        "scanner": lambda path: f"scanner {number[path] % 2}" if number[path] else "",
        "predicted": lambda _: "mine",
    }
    listed = write_manifest(root / "manifest.csv", data, number, columns)
    return fit_head(listed, small_recipe(tiny_model), out=root / "run", cache=root / "cache")


@pytest.fixture
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


def test_the_rows_of_a_run_are_those_of_its_images(fitted: FitResult, cache: Path, tiny_model: Path) -> None:
    found = read_source(fitted.run, layer="backbone", cache=cache)
    assert len(found.table) == 16
    for path, row, known in zip(found.files, found.table.X, found.table.digests, strict=True):
        assert digest(path) == known
        np.testing.assert_allclose(row, expected_rows(tiny_model, [resized(path)])[0], rtol=1e-4, atol=1e-5)
    assert read_source(fitted.run, cache=cache).table.X.shape == (16, 16)


def test_data_gives_the_same_rows_as_the_run_on_it(fitted: FitResult, cache: Path, tiny_model: Path) -> None:
    run = read_source(fitted.run, layer="backbone", cache=cache)
    data = read_source(fitted.extraction.dataset.root / "manifest.csv", recipe=small_recipe(tiny_model), cache=cache)
    assert (data.layer, data.feature_set, data.predicted) == ("backbone", run.feature_set, None)
    np.testing.assert_array_equal(data.table.X, run.table.X)
    for name in ("ids", "labels", "splits", "groups", "digests"):
        assert getattr(data.table, name) == getattr(run.table, name)
    assert data.files == run.files
    for name in ("predicted", "scanner"):
        assert data.column(name) == run.column(name)


def test_penultimate_features_of_data_are_refused_without_printing_it(fitted: FitResult, cache: Path) -> None:
    place = fitted.extraction.dataset
    with pytest.raises(
        UsageError, match="Penultimate features are a fitted head's, and data in memory is not a run;"
    ):
        read_source(place, layer="penultimate", cache=cache)
    with pytest.raises(UsageError, match=f"and {place.root} is not a run;"):
        read_source(place.root, layer="penultimate", cache=cache)


def test_columns_of_the_manifest_stay_with_their_images(fitted: FitResult, cache: Path) -> None:
    found = read_source(fitted.run, cache=cache)
    rows = {row["path"]: row for row in read_table(fitted.extraction.dataset.root / "manifest.csv")}
    for name, group, scanner in zip(found.table.ids, found.table.groups, found.column("scanner"), strict=True):
        assert (group, scanner) == (rows[name]["group"], rows[name]["scanner"])
    # A column of the user's may have the name of one of featx's.
    assert set(found.column("predicted")) == {"mine"}
    assert found.column("label") == found.table.labels
    with pytest.raises(DataError, match=r"column 'site' in the manifest of run, found predicted, scanner;"):
        found.column("site")


def test_images_of_a_group_have_one_id(fitted: FitResult, cache: Path) -> None:
    found = read_source(fitted.run, cache=cache)
    pairs = set(zip(found.group_ids(), found.table.groups, strict=True))
    assert len(pairs) == len({group_id for group_id, _ in pairs}) == len({group for _, group in pairs}) == 8


def test_predictions_are_in_the_order_of_the_rows(fitted: FitResult, cache: Path) -> None:
    found = read_source(fitted.run, cache=cache)
    assert found.predicted is not None
    rows = {row["path"]: row for row in read_table(fitted.run / runs.PREDICTIONS)}
    of_images = zip(
        found.table.ids, found.predicted.labels, found.predicted.probabilities, found.predicted.roles, strict=True
    )
    for name, label, shares, role in of_images:
        assert (label, role) == (rows[name]["predicted"], rows[name]["role"])
        np.testing.assert_allclose(shares, [float(rows[name][f"p_{c}"]) for c in found.predicted.classes])


def test_a_split_keeps_all_columns_of_its_images(fitted: FitResult, cache: Path) -> None:
    found = read_source(fitted.run, cache=cache)
    test = found.of_split("test")
    assert test.table.splits == ("test",) * 4
    assert found.of_split("all").table.ids == found.table.ids
    places = [found.table.ids.index(name) for name in test.table.ids]
    np.testing.assert_array_equal(test.table.X, found.table.X[places])
    assert test.files == tuple(found.files[place] for place in places)
    assert test.column("scanner") == tuple(found.column("scanner")[place] for place in places)
    assert test.predicted is not None
    assert found.predicted is not None
    assert test.predicted.labels == tuple(found.predicted.labels[place] for place in places)
    with pytest.raises(DataError, match="run has no images of the split 'val', only of train and test; choose"):
        found.of_split("val")
    with pytest.raises(UsageError, match="received 'tset'"):
        found.of_split("tset")


def test_the_order_is_that_of_the_content(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    """Another order of the run's table, as after renaming, gives the same rows in the same order."""
    found = read_source(fitted.run, cache=cache)
    assert list(found.table.digests) == sorted(found.table.digests)
    lines = (fitted.run / runs.PREDICTIONS).read_text("utf-8").splitlines()
    other = tmp_path / "run"
    other.mkdir()
    for name in (runs.RECIPE, runs.MANIFEST):
        (other / name).write_bytes((fitted.run / name).read_bytes())
    (other / runs.PREDICTIONS).write_text("\n".join([lines[0], *reversed(lines[1:])]), "utf-8")
    again = read_source(other, cache=cache)
    np.testing.assert_array_equal(again.table.X, found.table.X)


def test_what_does_not_exist_is_refused(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    data = fitted.extraction.dataset.root / "manifest.csv"
    with pytest.raises(UsageError, match="is not a run; pass a folder that featx fit-head"):
        read_source(data, layer="penultimate", cache=cache)
    with pytest.raises(UsageError, match="which has its own"):
        read_source(fitted.run, recipe="covid2-vgg16", cache=cache)
    with pytest.raises(RunError, match="are not all in the cache"):
        read_source(fitted.run, cache=tmp_path)
    with pytest.raises(UsageError, match="received 'last'"):
        read_source(fitted.run, layer="last", cache=cache)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", ["head", "features"])
def test_a_manifest_that_lacks_an_entry_is_refused_in_a_sentence(
    fitted: FitResult, cache: Path, tmp_path: Path, entry: str
) -> None:
    other = tmp_path / "run"
    other.mkdir()
    for name in (runs.RECIPE, runs.PREDICTIONS):
        (other / name).write_bytes((fitted.run / name).read_bytes())
    manifest = json.loads((fitted.run / runs.MANIFEST).read_text("utf-8"))
    del manifest[entry]
    # Without penultimate features, the rows are those that the entry `features` names.
    if entry != "head":
        manifest["head"]["penultimate"] = None
    (other / runs.MANIFEST).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(RunError, match=rf"cannot be read \({entry}: field required\); fit the head again"):
        read_source(other, cache=cache)


def test_missing_labels_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("L", (8, 8), 80 * number).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match="label for each image to compare classifiers, found 3 images without labels"):
        read_source(tmp_path, labels_for="to compare classifiers", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_column_of_data_without_any_is_refused_with_what_there_is(tmp_path: Path, tiny_model: Path) -> None:
    source = read_source(np.zeros((2, 8, 8), np.uint8), recipe=small_recipe(tiny_model), cache=tmp_path / "cache")
    with pytest.raises(DataError, match="found no further column; add it to a manifest, or use group or split"):
        source.column("camera")
