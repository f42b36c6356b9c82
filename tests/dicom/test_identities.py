"""Nothing that identifies a patient reaches a cache, a run, a page, a log or a message."""

from __future__ import annotations

import base64
import io
import sqlite3
import traceback
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import Featx, Outcome
from dicom_files import picture, write_dicom
from pipeline_data import small_recipe
from planted import CODE, PERSON, leaks, leaks_in, planted_data, planted_elements, planted_file

from featx import FeatureExtractor
from featx.errors import FeatxError
from featx.recipes import dump_recipe

pytest.importorskip("pydicom")
SECRET = f"{PERSON}7^Zqgiv7"


def saved(folder: Path, kind: str) -> None:
    """Write a planted value as files of featx could hold it."""
    path = folder / f"file.{kind}"
    if kind == "npz":
        np.savez_compressed(path, ids=np.array([SECRET]))
    elif kind == "keras":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", SECRET)
    elif kind == "sqlite":
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE files (path BLOB)")
        database.execute("INSERT INTO files VALUES (?)", (f"/data/{SECRET}".encode(),))
        database.commit()
        database.close()
    elif kind == "parquet":
        pq.write_table(pa.table({"id": [SECRET] * 3}), path, compression="zstd")
    elif kind == "arrow":
        with pa.ipc.new_file(path, pa.schema([("id", pa.string())])) as writer:
            writer.write_table(pa.table({"id": [SECRET]}))
    elif kind == "html":
        inner = io.BytesIO()
        np.savez_compressed(inner, ids=np.array([SECRET]))
        path.write_text(f'<img src="data:x;base64,{base64.b64encode(inner.getvalue()).decode()}">')
    else:
        path.write_text(f"a line\n{SECRET}\n", encoding="utf-8")


@pytest.mark.parametrize("kind", ["csv", "npz", "keras", "sqlite", "parquet", "arrow", "html"])
def test_the_search_finds_what_is_planted(tmp_path: Path, kind: str) -> None:
    saved(tmp_path, kind)
    assert PERSON.lower() in leaks_in(tmp_path)[f"file.{kind}"]


@pytest.mark.parametrize("text", ["born 1876-01-05", "18761105", "1.2.826.0.1.99471.5.9", "zQiD3a0", "05.01.1876"])
def test_the_search_finds_dates_ids_and_uids(text: str) -> None:
    assert leaks(text.encode())
    assert not leaks(b"patient-18f1876 1.2.840.10008.5.1.4 hidden-3f0")


@pytest.fixture
def checked(featx: Featx, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Featx:
    """Run commands whose output must not name anybody, on a cache and a recipe of their own."""
    monkeypatch.setattr("featx.store.stat_cache.SETTLED_NS", 0)  # else the files would be too new for entries
    recipe = tmp_path / "small.toml"
    recipe.write_text(dump_recipe(small_recipe(tiny_model, {"fit.epochs": 1})), encoding="utf-8")

    def run(*words: object, code: int = 0) -> Outcome:
        outcome = featx(*words, "--cache", tmp_path / "written" / "cache")
        said = outcome.out + outcome.err
        assert outcome.code == code, said
        assert leaks(said.encode()) == set(), said
        return outcome

    return run


@pytest.mark.slow  # every command on real files
def test_no_command_lets_an_identity_out(checked: Featx, tmp_path: Path) -> None:
    data, written = planted_data(tmp_path / "data"), tmp_path / "written"
    run, recipe = written / "run", ["--recipe", tmp_path / "small.toml"]
    report = planted_file(data / "train" / "dark", 90, 1, True, name=f"{CODE}1A0 report.pdf")
    report.write_bytes(b"%PDF-1.4")
    ids = [*("--export", written / "rows.npz"), "--json"]
    first = checked("extract", data, *recipe, *ids).json
    assert (first["images"], first["computed"]) == (16, 16)
    assert checked("extract", data, *recipe, "--export", written / "rows.parquet", "--json").json["computed"] == 0
    checked("fit-head", data, *recipe, "--out", run)
    files = [path for path in sorted(data.rglob("*.dcm")) if "test" in path.parts]
    predicted = checked("predict", run, data / "test", "--out", written / "predicted.csv", "--json").json
    assert len(predicted["predictions"]) == 4
    checked("predict", run, *files)
    for method in ("pca", "tsne"):
        checked("visualize", run, "--method", method, "--format", "png,svg,html,csv", "--out", written / "maps")
    checked("visualize", data, *recipe, "--method", "pca", "--by", "PatientAge", "--out", written / "maps of data")
    checked("clusters", run, "--out", written / "clusters")
    compare = ["--classifiers", "knn", "--folds", 2, "--repeats", 1]
    checked("compare", run, *compare, "--out", written / "compared")
    checked("search", run, files[0], "--k", 3, "--html", written / "search.html", "--json")
    checked("report", run, "--out", written / "report.html", "--without", "comparison")
    checked("export", run, "--out", written / "exported.keras", "--format", "keras")
    checked("cache", "explain", files[0], *recipe)
    assert checked("cache", "verify", "--json").json["known_files"] == 16
    assert checked("cache", "gc", "--json").json["forgotten"] == 0
    assert checked("cache", "info", "--json").json["known_files"] == 16
    page = (written / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") > 4, "files were not found again for their thumbnails"
    assert "hidden-" in (run / "predictions.csv").read_text(encoding="utf-8")
    assert leaks_in(written) == {}


@pytest.mark.slow
def test_no_error_lets_an_identity_out(checked: Featx, tmp_path: Path) -> None:
    data, written = planted_data(tmp_path / "data", train=6, test=2), tmp_path / "written"
    recipe = ["--recipe", tmp_path / "small.toml"]
    truncated, header_alone, empty, missing = (
        planted_file(data / "train" / "dark", 50 + number, 30 + number, True) for number in range(4)
    )
    truncated.write_bytes(truncated.read_bytes()[:-700])
    header_alone.write_bytes(header_alone.read_bytes()[:400])
    empty.write_bytes(b"")
    missing.unlink()
    checked("extract", data, *recipe, code=1)
    outcome = checked("extract", data, *recipe, "--on-error", "skip", "--json", code=3)
    assert len(outcome.json["failed"]) == 3
    run = written / "run"
    checked("fit-head", data, *recipe, "--out", run, "--on-error", "skip", code=3)
    for words in (["extract", data, *recipe], ["predict", run, data / "train"], ["predict", run, truncated]):
        with pytest.raises(FeatxError) as caught:
            checked(*words, "--debug")
        assert leaks("".join(traceback.format_exception(caught.value)).encode()) == set()
    # One patient in two splits is refused, with the group's name.
    planted_file(data / "test" / "dark", 70, 1, False)
    checked("fit-head", data, *recipe, "--out", written / "other", "--on-error", "skip", code=4)
    assert leaks_in(written) == {}


def test_the_names_would_leak_without_their_hashes(
    featx: Featx, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = planted_data(tmp_path / "data", train=8, test=2)
    monkeypatch.setattr("featx.store.stat_cache.SETTLED_NS", 0)
    monkeypatch.setattr("featx.data.dicom.without_names", lambda items, headers, salt, others: list(items))
    recipe = tmp_path / "small.toml"
    recipe.write_text(dump_recipe(small_recipe(tiny_model, {"fit.epochs": 1})), encoding="utf-8")
    where = ["--cache", tmp_path / "written" / "cache"]
    assert featx("fit-head", data, "--recipe", recipe, "--out", tmp_path / "written" / "run", *where).code == 0
    found = leaks_in(tmp_path / "written")
    assert "run/predictions.csv" in found
    assert any(name.endswith(".sqlite") for name in found)


def test_a_feature_extractor_keeps_no_name(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.store.stat_cache.SETTLED_NS", 0)
    files = [planted_file(tmp_path / "data", number, number, True) for number in range(3)]
    recipe = small_recipe(tiny_model)
    rows = FeatureExtractor(recipe, cache=tmp_path / "cache").fit_transform(files)
    assert rows.shape[0] == 3
    assert sorted(path.suffix for path in (tmp_path / "cache" / "stat-cache").iterdir()) == [".sqlite"]
    assert leaks_in(tmp_path / "cache") == {}
    files[1].write_bytes(b"")
    with pytest.raises(FeatxError) as caught:
        FeatureExtractor(recipe, cache=tmp_path / "cache").fit_transform(files)
    assert leaks("".join(traceback.format_exception(caught.value)).encode()) == set()


def test_every_frame_of_a_film_is_an_image_without_a_name(checked: Featx, tmp_path: Path) -> None:
    written = tmp_path / "written"
    frames = np.stack([picture(number, number % 2 == 0) for number in range(6)])
    film = tmp_path / "data" / f"{PERSON}3" / "IM1"
    write_dicom(film, frames, kind="US", uid="1.2.826.0.1.99471.3", elements=planted_elements(3))
    recipe = ["--recipe", tmp_path / "small.toml", "--labels", "none"]
    counts = {
        rule: checked("extract", tmp_path / "data", *recipe, "--frames", rule, "--json").json
        for rule in ("first", "middle", "all")
    }
    assert [counts[rule]["images"] for rule in counts] == [1, 1, 6]
    assert [counts[rule]["computed"] for rule in counts] == [1, 1, 4], "frames 0 and 3 are those of first and middle"
    checked("extract", tmp_path / "data", *recipe, "--frames", "all", "--export", written / "rows.csv.parquet")
    words = ["--method", "pca", "--out", written / "maps", "--format", "html,csv"]
    checked("visualize", tmp_path / "data", *recipe, "--frames", "all", *words)
    assert leaks_in(written) == {}
    table = next((written / "maps").glob("*.csv")).read_text(encoding="utf-8")
    assert table.count("/frame-") == 6


@pytest.mark.slow
def test_names_in_a_zip_are_hidden_and_found_again(checked: Featx, tmp_path: Path) -> None:
    data, written = planted_data(tmp_path / "data", train=8, test=2), tmp_path / "written"
    archive, run = tmp_path / "xrays.zip", tmp_path / "written" / "run"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(data.rglob("*.dcm")):
            file.write(path, path.relative_to(data))
    recipe = ["--recipe", tmp_path / "small.toml"]
    checked("fit-head", archive, *recipe, "--out", run)
    checked("report", run, "--out", written / "report.html", "--without", "audit,maps,clusters,comparison")
    checked("visualize", run, "--method", "pca", "--format", "html", "--out", written / "maps")
    checked("export", run, "--out", written / "exported.keras", "--format", "keras")
    assert (written / "report.html").read_text(encoding="utf-8").count("data:image/jpeg") > 4
    assert checked("cache", "gc", "--json").json["forgotten"] == 0
    assert checked("cache", "verify", "--json").json["known_files"] == 10
    archive.unlink()
    assert checked("cache", "gc", "--json").json["forgotten"] == 10
    assert leaks_in(written) == {}
