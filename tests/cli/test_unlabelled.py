"""Images without labels on the command line: what works, and what each command says that needs labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Featx, Outcome
from PIL import Image
from pipeline_data import small_recipe

from featx import extract
from featx.recipes import dump_recipe

N = 6
Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder of images, whose features are in the cache beside it, and a recipe."""
    root = tmp_path_factory.mktemp("unlabelled")
    (root / "photos").mkdir()
    rng = np.random.default_rng(7)
    for number in range(N):
        pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "photos" / f"{number}.png")
    recipe = small_recipe(tiny_model)
    (root / "small.toml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert extract(root / "photos", recipe, cache=root / "cache").computed == N
    return root / "photos"


@pytest.fixture
def run(featx: Featx, photos: Path) -> Run:
    """Run a command with the recipe and the cache."""

    def run(*words: object) -> Outcome:
        return featx(*words, "--recipe", photos.parent / "small.toml", "--cache", photos.parent / "cache")

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["{}/*.png"],
        ["{}/0.png", "{}/1.png", "{}/2.png", "{}/3.png", "{}/4.png", "{}/5.png"],
        ["{}/0.png", "{}"],
        ["{}", "--labels", "none", "--test", "0.3"],
        ["{}", "--group-from", "([0-9])[.]png"],
    ],
)
def test_ways_to_name_the_same_images(run: Run, photos: Path, words: list[str]) -> None:
    done = run("extract", *(word.format(photos) for word in words), "--json")
    assert done.code == 0, done.err
    document = done.json
    assert (document["images"], document["computed"]) == (N, 0)
    assert document["unlabelled"] == ({"train": 4, "test": 2} if "--test" in words else {"train": N})
    assert f"Data: {N} images without labels" in done.err


def test_exported_features_have_empty_labels(run: Run, photos: Path, tmp_path: Path) -> None:
    for name in ("f.npz", "f.csv"):
        assert run("extract", str(photos), "--export", str(tmp_path / name)).code == 0
    with np.load(tmp_path / "f.npz") as rows:
        assert rows["label"].tolist() == [""] * N
    assert (tmp_path / "f.csv").read_text().splitlines()[1].startswith('"0.png",,"train",,')


def test_several_labels_are_exported(run: Run, photos: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,label\n{photos}/0.png,a|b\n{photos}/1.png,b\n{photos}/2.png,\n")
    for name in ("f.npz", "f.csv"):
        assert run("extract", str(manifest), "--export", str(tmp_path / name)).code == 0
    with np.load(tmp_path / "f.npz") as rows:
        assert np.array_equal(rows["label:a"], [1, 0, np.nan], equal_nan=True)
        assert np.array_equal(rows["label:b"], [1, 1, np.nan], equal_nan=True)
    header, first = (line.replace('"', "").split(",") for line in (tmp_path / "f.csv").read_text().splitlines()[:2])
    assert header[6:8] == ["label:a", "label:b"]
    assert first[6:8] == ["1", "1"]


def test_search_shows_images_without_a_class(run: Run, photos: Path) -> None:
    done = run("search", str(photos), str(photos / "0.png"), "--k", "2", "--json")
    assert done.code == 0, done.err
    (query,) = done.json["results"]
    assert [near["label"] for near in query["neighbours"]] == [None, None]


@pytest.mark.parametrize(
    ("words", "purpose"),
    [
        (["fit-head", "{}", "--out", "{}-run"], "to train a head"),
        (["sweep", "{}", "--batch-size", "2", "--out", "{}-sweep"], "to train a head"),
        (["compare", "{}"], "to compare classifiers"),
    ],
)
def test_what_needs_labels_says_so(run: Run, photos: Path, words: list[str], purpose: str) -> None:
    words = [word.format(photos) for word in words]
    done = run(*words)
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        f"Expected a label for each image {purpose}, found {N} images without labels; put the images into a "
        "folder for each class, or list them in a manifest with a column label (or choose the column with "
        "--label-column, or several with --label-columns)."
    )
    manifest = photos.parent / "some.csv"
    manifest.write_text(f"path,label\n{photos}/0.png,a\n{photos}/1.png,\n{photos}/2.png,b\n")
    done = run(words[0], str(manifest), *words[2:])
    assert done.code == 1
    assert f"{purpose}, found 1 of 3 images without one ({photos}/1.png); give their labels" in done.err


def test_patients_in_two_splits_are_counted_and_can_be_kept_in_one(run: Run, photos: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("train/a/p1_1", "train/b/p2_1", "test/a/p1_2", "test/b/p3_1")):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True)
        shutil.copy(photos / f"{number}.png", path)
    words = [tmp_path / "data", "--group-from", "(p[0-9])_"]
    done = run("fit-head", *words, "--out", tmp_path / "run", "--validation", "0")
    assert done.code == 4
    assert "1 of 3 groups (2 of 4 images) is in train and in test: group 'p1' is " in done.err
    assert "(--keep-group-in train)" in done.err
    assert "1 of 3 groups (2 of 4 images) is in train and in test, such as p1" in run("extract", *words).err
    done = run("extract", *words, "--keep-group-in", "train", "--json")
    assert done.json["splits"] == {"train": {"a": 1, "b": 1}, "test": {"a": 0, "b": 1}}
    assert "unlabelled" not in done.json
    assert "Left out of other splits, because their group is in train: 1 image of 1 group (test 1)." in done.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{}/*.tif"], 1, "Expected files that match {}/*.tif, found none; check the pattern."),
        (["{}", "--labels", "folder"], 1, "use them without labels (--labels none)."),
        (["{}", "--group-from", "["], 2, "Expected a regular expression for --group-from, or parent, received '['"),
        (["{}", "--group-from", "x"], 2, "Expected parentheses around what is the group in the regular expression"),
        (["{}", "--group-from", "(x)"], 1, "for --group-from, found none in 6 names such as 0.png; correct the"),
        (["{}", "--label-columns", "x"], 2, "Expected no --label-columns with a folder, received 'x'; leave it out"),
        (["{}", "--labels", "all"], 2, "'all' is not one of"),
    ],
)
def test_choices_that_do_not_fit(run: Run, photos: Path, words: list[str], code: int, message: str) -> None:
    done = run("extract", *(word.format(photos) for word in words))
    assert done.code == code, done.err
    assert message.format(photos) in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err


def test_a_run_among_images_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "recipe.toml").touch()
    done = run("visualize", str(tmp_path), str(photos), "--out", str(tmp_path / "maps"))
    assert done.code == 2
    assert "Expected one run alone, or images and folders, received the run " in done.err
