from __future__ import annotations

from pathlib import Path

import pytest
from disks import read_only
from run_files import manifest_of

from featx import files
from featx.errors import RecipeError, RunError
from featx.files import write_csv, write_json, write_text
from featx.recipes import dump_recipe, load_recipe
from featx.runs import folder as runs
from featx.runs.folder import RunImage, check_out, read_run
from featx.stats import Score

HEADER = ["path", "split", "role", "label", "predicted", "p_no", "p_yes", "sha256"]
ROWS = [
    ["train/no/été, 1.png", "train", "fit", "no", "no", "0.75", "0.25", "a" * 64],
    ["test/yes/2.png", "test", "test", "yes", "no", "0.5", "0.5", "b" * 64],
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run, as far as it is read back."""
    folder = tmp_path / "run"
    write_text(folder / runs.RECIPE, dump_recipe(load_recipe("covid2-vgg16")))
    write_csv(folder / runs.PREDICTIONS, HEADER, ROWS)
    write_json(folder / runs.MANIFEST, manifest_of(["no", "yes"]))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Runs of earlier versions.


def test_scores_of_a_run_without_its_best_epoch_are_read(run: Path) -> None:
    score = {"n": 4, "correct": 3, "loss": 0.5}
    parameters = {"total": 3, "trainable": 2, "non_trainable": 1}
    document = {
        "steps": 3,
        "train": score,
        "validation": score,
        "test": score,
        "parameters": parameters,
        "seconds": {"extract": 1.0, "fit": 1.0},
        "engine": "fused",
        "epochs": 30,
    }
    write_json(run / runs.METRICS, document)
    found = read_run(run).metrics
    assert (found["best_epoch"], found["kept_epoch"], found["stopped"]) == (None, None, False)
    write_json(run / runs.METRICS, {**document, "best_epoch": 0})
    with pytest.raises(RunError, match="best_epoch: input should be greater than or equal to 1"):
        _ = read_run(run).metrics
    write_json(run / runs.METRICS, {**document, "test": {**score, "groups": 2, "effective_n": 2.5}})
    assert Score.from_json(read_run(run).metrics["test"]) == Score(4, 3, 0.5, groups=2, effective=2.5)
    for wrong in ({"effective_n": 0.0}, {"effective_n": -1.0}, {"groups": 5}, {"effective_n": 4.5}):
        write_json(run / runs.METRICS, {**document, "test": {**score, **wrong}})
        with pytest.raises(RunError, match="test"):
            _ = read_run(run).metrics


# Where a run may go.


def test_a_run_goes_to_a_new_or_empty_folder_or_replaces_a_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new" / "folder", tmp_path / "empty", run):
        check_out(folder)
    assert names(tmp_path) == ["empty", "run"]


def test_a_run_does_not_go_where_nothing_may_be_written(tmp_path: Path) -> None:
    with (
        read_only(tmp_path),
        pytest.raises(RunError, match=r"run that may be written, but .* may only be read; choose another --out\.$"),
    ):
        check_out(tmp_path / "new" / "run")


def test_a_run_does_not_go_where_other_files_are(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(RunError, match=r"holds other files; choose another --out\.$"):
        check_out(tmp_path)


def test_a_run_does_not_go_onto_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match=r"Expected a folder for the run, but .*run is a file; choose"):
        check_out(tmp_path / "run")
    with pytest.raises(RunError, match=r"Expected a folder for the run, but .*run is a file; choose"):
        check_out(tmp_path / "run" / "below" / "it")


def test_a_run_that_was_interrupted_may_be_replaced(run: Path) -> None:
    """It has lost its manifest, so it is no run, but its head shows that it was one."""
    (run / runs.HEAD).write_bytes(b"")
    (run / f"{files.TEMPORARY}left").mkdir()
    runs.withdraw(run)
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        read_run(run)
    check_out(run)
    runs.withdraw(run)  # there is nothing left to remove


def test_what_a_killed_writer_left_is_no_other_file(tmp_path: Path) -> None:
    (tmp_path / f"{files.TEMPORARY}left").mkdir()
    check_out(tmp_path)


# Reading back.


def test_a_run_is_read_back(run: Path) -> None:
    found = read_run(str(run))
    assert (found.path, found.classes, found.manifest["data"]["root"]) == (run, ("no", "yes"), "data")
    assert found.recipe == load_recipe("covid2-vgg16")
    assert found.images == [
        RunImage("train/no/été, 1.png", "train", "fit", "no", "no", (0.75, 0.25), "a" * 64),
        RunImage("test/yes/2.png", "test", "test", "yes", "no", (0.5, 0.5), "b" * 64),
    ]


def test_a_folder_that_is_missing_or_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"written by featx fit-head, but .*nowhere does not exist; fit a head first"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"written by featx fit-head, but .* has no manifest\.json; fit a head first"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"name": "an app"}', b'{"classes": null}', b"\xff\xfe", b"7"]
)
def test_a_manifest_that_is_damaged_or_of_another_program(run: Path, content: bytes) -> None:
    (run / runs.MANIFEST).write_bytes(content)
    with pytest.raises(RunError, match=r"^The run's .*manifest\.json cannot be read \(.*\); fit the head again\.$"):
        read_run(run)


def test_a_run_without_its_recipe(run: Path) -> None:
    (run / runs.RECIPE).unlink()
    with pytest.raises(RecipeError, match=r"Expected a recipe in TOML at .*recipe\.toml"):
        read_run(run)


LINE = ",".join(HEADER)
AA = "a" * 64


@pytest.mark.parametrize(
    "content",
    [
        "a.png\nb.png\n",
        "path,split\na.png,train\n",
        f"{LINE}\na.png,train,fit,no,no,half,0.5,{AA}\n",
        f"{LINE}\na.png,train,fit,no,no,0.5,0.5\n",
        f"{LINE}\na.png,train,fit,no,no\n",
        f'{LINE}\n"a.png,train,fit,no,no,0.5,0.5,{AA}\n',
        f'{LINE}\na.png,train,fit,no,no,0.5,0.5,"{AA}\n',
        f"{LINE}\na.png,train,fit,no,no,0.5,0.4,{AA}\n",
        f"{LINE}\na.png,train,fit,no,no,nan,nan,{AA}\n",
        f"{LINE}\na.png,train,fit,no,no,inf,-inf,{AA}\n",
        f"{LINE}\na.png,train,fit,no,no,1.5,-0.5,{AA}\n",
        f"{LINE}\na.png,train,fit,no,perhaps,0.5,0.5,{AA}\n",
        f"{LINE}\na.png,train,fit,perhaps,no,0.5,0.5,{AA}\n",
        f"{LINE}\na.png,holiday,fit,no,no,0.5,0.5,{AA}\n",
        f"{LINE}\na.png,train,sleep,no,no,0.5,0.5,{AA}\n",
        f"{LINE}\na.png,train,fit,no,no,0.5,0.5,aa\n",
        f"{LINE}\na.png,train,fit,no,no,0.5,0.5,{AA},more\n",
        f"{LINE}\n,train,fit,no,no,0.5,0.5,{AA}\n",
        f"{LINE}\na\0.png,train,fit,no,no,0.5,0.5,{AA}\n",
        f"{LINE},p_maybe\na.png,train,fit,no,no,0.5,0.5,{AA},0\n",
        f"{LINE},label\na.png,train,fit,no,no,0.5,0.5,{AA},yes\n",
        f"{LINE}\n",
        f"{LINE.replace('p_yes', 'p_maybe')}\na.png,train,fit,no,no,0.5,0.5,{AA}\n",
    ],
)
def test_predictions_that_are_damaged(run: Path, content: str) -> None:
    (run / runs.PREDICTIONS).write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"^Expected the run's images in .*predictions\.csv, but .*; fit again\.$"):
        _ = read_run(run).images


def test_predictions_that_are_missing_or_not_text(run: Path) -> None:
    (run / runs.PREDICTIONS).write_bytes(b"\xff\x00\xfe")
    with pytest.raises(RunError, match=r"predictions\.csv, but it cannot be read"):
        _ = read_run(run).images
    (run / runs.PREDICTIONS).unlink()
    with pytest.raises(RunError, match=r"predictions\.csv, but it cannot be read"):
        _ = read_run(run).images


def test_maps_and_reports_of_an_earlier_head_are_removed_and_other_files_stay(tmp_path: Path) -> None:
    ours = [
        "report.html",
        "tsne-penultimate-train.npz",
        "umap-backbone-all-by-site-added.html",
        "tsne2020-backbone-test.svg",
    ]
    theirs = ["notes.txt", "tsne.png", "my-tsne-backbone-train.png", "figure-tsne-backbone-train.csv"]
    for name in (runs.MANIFEST, *ours, *theirs):
        (tmp_path / name).touch()
    runs.withdraw(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(theirs)
    runs.withdraw(tmp_path / "absent")


def test_a_folder_of_a_map_is_removed_unless_it_holds_other_files(tmp_path: Path) -> None:
    names = runs.MAP_FOLDER_FILES
    ours, mixed, theirs = "pca-penultimate-train-added-projector", "tsne-backbone-train-projector", "my-projector"
    for folder in (ours, mixed, theirs):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    (tmp_path / mixed / "notes.txt").touch()
    runs.withdraw(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {f"{mixed}/notes.txt", *(f"{theirs}/{name}" for name in names)}
    assert not (tmp_path / ours).exists()
