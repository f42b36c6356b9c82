from __future__ import annotations

import csv
import json
import math
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx import files
from featx.errors import RecipeError, RunError, StoreError
from featx.files import finite, write_csv, write_file, write_json, write_text
from featx.recipes import dump_recipe, load_recipe
from featx.runs import folder as runs
from featx.runs.folder import RunImage, check_out, read_run

HEADER = ["path", "split", "role", "label", "predicted", "p_no", "p_yes", "sha256"]
ROWS = [
    ["train/no/été, 1.png", "train", "fit", "no", "no", "0.75", "0.25", "aa"],
    ["test/yes/2.png", "test", "test", "yes", "no", "0.5", "0.5", "bb"],
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run, as far as it is read back."""
    folder = tmp_path / "run"
    write_text(folder / runs.RECIPE, dump_recipe(load_recipe("covid2-vgg16")))
    write_csv(folder / runs.PREDICTIONS, HEADER, ROWS)
    write_json(folder / runs.MANIFEST, {"classes": ["no", "yes"], "device": "cpu"})
    return folder


# --- writing ---


def fill(text: str) -> Callable[[Path], None]:
    def write(draft: Path) -> None:
        draft.write_text(text, encoding="utf-8")

    return write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "new.txt"
    assert write_file(path, fill("été")) == path
    assert path.read_bytes() == "été".encode()
    assert names(path.parent) == ["new.txt"]


def test_the_writer_sees_the_files_ending_and_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    path.write_text("old")
    seen: list[tuple[str, str]] = []

    def write(draft: Path) -> None:
        draft.write_text("half of the n")
        # Whoever reads now reads the old file.
        seen.append((draft.name, path.read_text()))
        draft.write_text("new")

    write_file(path, write)
    assert seen == [("curves.png", "old")]
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError("bad value"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device"), StoreError),
    ],
)
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, raised: BaseException, expected: type[BaseException]
) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    def write(draft: Path) -> None:
        draft.write_text("half")
        raise raised

    with pytest.raises(expected):
        write_file(path, write)
    assert names(tmp_path) == ["metrics.json"]
    assert path.read_text() == "old"


def test_a_full_disk_is_told_in_one_sentence(tmp_path: Path) -> None:
    def write(draft: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"^.*head\.keras cannot be written: No space left on device; choose"):
        write_file(tmp_path / "head.keras", write)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"cannot be written: .*; choose another place"):
        write_text(tmp_path / "file" / "run" / "metrics.json", "")


def test_others_may_read_what_they_may_read_elsewhere(tmp_path: Path) -> None:
    """The temporary folder is the owner's alone; the file that comes out of it is an ordinary one."""
    (tmp_path / "ordinary").write_text("")
    path = write_text(tmp_path / "run.txt", "")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_json_is_valid_whatever_the_numbers(tmp_path: Path) -> None:
    document = {
        "loss": math.nan,
        "rates": [1.5, math.inf],
        "at": {"low": (-math.inf, 2)},
        "name": "été",
        "none": None,
    }
    text = write_json(tmp_path / "m.json", document).read_text("utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "loss": None,
        "rates": [1.5, None],
        "at": {"low": [None, 2]},
        "name": "été",
        "none": None,
    }
    assert "été" in text
    assert text.endswith("}\n")
    assert math.isnan(document["loss"])  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, 1, True, "nan", None, [], {}])
def test_what_is_finite_stays(value: Any) -> None:
    assert finite(value) == value
    assert type(finite(value)) is type(value)


def test_csv_is_read_back_as_written(tmp_path: Path) -> None:
    rows: list[list[object]] = [["a,b", 'say "c"', "line\nbreak"], ["été", "", 0.1]]
    path = write_csv(tmp_path / "t.csv", ["x", "y", "z"], rows)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["x", "y", "z"], ["a,b", 'say "c"', "line\nbreak"], ["été", "", "0.1"]]
    assert b"\r" not in path.read_bytes()


# --- where a run may go ---


def test_a_run_goes_to_a_new_or_empty_folder(tmp_path: Path) -> None:
    check_out(tmp_path / "new" / "folder")
    check_out(tmp_path)
    assert names(tmp_path) == []


def test_a_run_replaces_a_run(run: Path) -> None:
    before = names(run)
    check_out(run)
    assert names(run) == before


def test_a_run_does_not_go_where_other_files_are(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(RunError, match=r"holds other files; choose another --out\.$"):
        check_out(tmp_path)


def test_a_run_does_not_go_onto_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match=r"Expected a folder for the run, but .*run is a file; choose"):
        check_out(tmp_path / "run")


def test_a_run_that_was_interrupted_may_be_replaced(run: Path) -> None:
    """It has lost its manifest, and so is no run, but its head says what it was."""
    (run / runs.HEAD).write_bytes(b"")
    (run / f"{files.TEMPORARY}left").mkdir()
    runs.withdraw(run)
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        read_run(run)
    check_out(run)
    runs.withdraw(run)  # a second time there is nothing to take away


def test_what_a_killed_writer_left_is_no_other_file(tmp_path: Path) -> None:
    (tmp_path / f"{files.TEMPORARY}left").mkdir()
    check_out(tmp_path)


# --- reading back ---


def test_a_run_is_read_back(run: Path) -> None:
    found = read_run(str(run))
    assert found.path == run
    assert found.classes == ("no", "yes")
    assert found.manifest["device"] == "cpu"
    assert found.recipe == load_recipe("covid2-vgg16")
    assert found.images == [
        RunImage("train/no/été, 1.png", "train", "fit", "no", "no", (0.75, 0.25), "aa"),
        RunImage("test/yes/2.png", "test", "test", "yes", "no", (0.5, 0.5), "bb"),
    ]


def test_a_folder_that_is_missing_or_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"written by featx fit-head, but .*nowhere does not exist; fit a head first"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"written by featx fit-head, but .* has no manifest\.json; fit a head first"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"name": "an app"}', b'{"classes": null}', b"\xff\xfe", b"7"]
)
def test_a_manifest_that_is_damaged_or_anothers(run: Path, content: bytes) -> None:
    (run / runs.MANIFEST).write_bytes(content)
    with pytest.raises(RunError, match=r"^The run's .*manifest\.json cannot be read \(.*\); fit the head again\.$"):
        read_run(run)


def test_a_run_without_its_recipe(run: Path) -> None:
    (run / runs.RECIPE).unlink()
    with pytest.raises(RecipeError, match=r"Expected a recipe in TOML at .*recipe\.toml"):
        read_run(run)


LINE = ",".join(HEADER)


@pytest.mark.parametrize(
    "content",
    [
        "a.png\nb.png\n",
        "path,split\na.png,train\n",
        f"{LINE}\na.png,train,fit,no,no,half,0.5,aa\n",
        f"{LINE}\na.png,train,fit,no,no,0.5,0.5\n",
        f"{LINE}\na.png,train,fit,no,no\n",
        f'{LINE}\n"a.png,train,fit,no,no,0.5,0.5,aa\n',
        f'{LINE}\na.png,train,fit,no,no,0.5,0.5,"aa\n',
        f"{LINE.replace('p_yes', 'p_maybe')}\na.png,train,fit,no,no,0.5,0.5,aa\n",
    ],
)
def test_predictions_that_are_damaged(run: Path, content: str) -> None:
    (run / runs.PREDICTIONS).write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"^Expected the run's images in .*predictions\.csv, but .*; fit again\.$"):
        read_run(run).images


def test_predictions_that_are_missing_or_not_text(run: Path) -> None:
    (run / runs.PREDICTIONS).write_bytes(b"\xff\x00\xfe")
    with pytest.raises(RunError, match=r"predictions\.csv, but it cannot be read"):
        read_run(run).images
    (run / runs.PREDICTIONS).unlink()
    with pytest.raises(RunError, match=r"predictions\.csv, but it cannot be read"):
        read_run(run).images


def test_maps_and_reports_of_an_earlier_head_go_and_the_users_own_files_stay(tmp_path: Path) -> None:
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


def test_a_map_s_folder_goes_with_it_but_for_what_is_not_of_the_map(tmp_path: Path) -> None:
    names = runs.MAP_FOLDER_FILES
    ours, mixed, theirs = "pca-penultimate-train-added-projector", "tsne-backbone-train-projector", "my-projector"
    for folder in (ours, mixed, theirs):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
    (tmp_path / mixed / "notes.txt").touch()
    runs.withdraw(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {f"{mixed}/notes.txt", *(f"{theirs}/{name}" for name in names)}
    assert not (tmp_path / ours).exists()
