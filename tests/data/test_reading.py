from __future__ import annotations

import copy
import logging
import os
import random
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from featx.data.dataset import Item
from featx.data.reading import read_data, read_paths
from featx.errors import DataError


def make(root: Path, *names: str) -> Path:
    """Makes files that are read by nobody here: their names are all that matters."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def ids(items: Iterable[Item]) -> list[str]:
    return [item.id for item in items]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def notices(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is said while data are read, without the line that says what they hold (tests/data/test_survey.py)."""
    caplog.set_level(logging.INFO, logger="featx")

    def is_notice(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Data: ")

    caplog.handler.addFilter(is_notice)
    yield caplog
    caplog.handler.removeFilter(is_notice)


def test_class_folders_are_training_data(tmp_path: Path) -> None:
    make(tmp_path, "normal/b.PNG", "covid/deep/er/a b.jpg", "covid/ž.Tiff")
    data = read_data(tmp_path)
    assert data.root == tmp_path
    assert data.classes == ("covid", "normal")
    assert data.items == (
        Item("covid/deep/er/a b.jpg", tmp_path / "covid/deep/er/a b.jpg", "covid", "train"),
        Item("covid/ž.Tiff", tmp_path / "covid/ž.Tiff", "covid", "train"),
        Item("normal/b.PNG", tmp_path / "normal/b.PNG", "normal", "train"),
    )


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation"])
def test_split_folders(tmp_path: Path, val: str) -> None:
    make(tmp_path, "test/x/1.png", f"{val}/y/1.png", "train/y/2.png", "train/x/1.png", "train/x/0.png")
    data = read_data(tmp_path)
    expected = ["train/x/0.png", "train/x/1.png", "train/y/2.png", f"{val}/y/1.png", "test/x/1.png"]
    assert ids(data.items) == expected
    assert [item.split for item in data.items] == ["train", "train", "train", "val", "test"]
    assert ids(data.split("val")) == [f"{val}/y/1.png"]
    counts = {"train": {"x": 2, "y": 1}, "val": {"x": 0, "y": 1}, "test": {"x": 1, "y": 0}}
    assert data.counts() == counts


def test_all_image_endings_and_no_others(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    endings = ["jpg", "jpeg", "jpe", "jfif", "png", "tif", "tiff", "bmp", "dib", "webp", "gif"]
    endings += ["avif", "heic", "heif", "jp2", "j2k", "jpf", "jpx", "jpc", "j2c", "jxl", "npy"]
    make(
        tmp_path,
        *(f"x/{i}.{e}" for i, e in enumerate(endings)),
        *(f"x/u{i}.{e.upper()}" for i, e in enumerate(endings)),
    )
    make(tmp_path, "x/png", "x/a.png.txt", "x/b.xml")
    assert len(read_data(tmp_path).items) == 2 * len(endings)
    assert notices.messages[0].endswith("left out (3): x/a.png.txt, x/b.xml, x/png")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("training_set", "validation_set", "test_set"),
        ("TRAIN", "VAL", "TEST"),
        ("train_images", "val_images", "test_images"),
        ("Training", "dev", "Testing"),
        ("train2017", "val2017", "test2017"),
        ("TrainSet", "ValSet", "TestSet"),
        ("X_train", "X_valid", "X_test"),
        ("seg_train/seg_train", "validation/validation", "seg_test/seg_test"),
        ("training_set/training_set", "val/valid", "test/test_set/test"),
    ],
)
def test_other_names_of_split_folders(tmp_path: Path, train: str, val: str, test: str) -> None:
    make(tmp_path, *(f"{split}/{label}/1.png" for split in (train, val, test) for label in ("cats", "dogs")))
    data = read_data(tmp_path)
    assert data.classes == ("cats", "dogs")
    assert {item.id.rsplit("/", 2)[0]: item.split for item in data.items} == {
        train: "train",
        val: "val",
        test: "test",
    }
    assert all(item.path.exists() for item in data.items)


def test_names_that_are_splits_only_beside_training(tmp_path: Path) -> None:
    assert read_data(make(tmp_path, "dev/a.png", "prod/a.png", "eval/a.png")).classes == ("dev", "eval", "prod")


def test_a_name_of_two_splits_is_ignored_where_both_are_there(
    tmp_path: Path, notices: pytest.LogCaptureFixture
) -> None:
    read_data(make(tmp_path, "train/x/a.png", "val/x/b.png", "test/x/c.png", "evaluation/x/d.png"))
    assert notices.messages == ["Folders beside train/ were ignored (1): evaluation"]


def test_flat_folders_of_a_split_that_has_another_are_ignored(
    tmp_path: Path, notices: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "train/x/a.png", "train_images/a.png", "seg_pred/b.png")
    assert ids(read_data(tmp_path).items) == ["train/x/a.png"]
    assert notices.messages == ["Folders beside train/ were ignored (2): seg_pred, train_images"]


def test_a_split_without_class_folders_is_left_out(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "train/x/a.png", "train/y/a.png", "test/1.png", "test/2.png")
    (tmp_path / "val").mkdir()
    assert ids(read_data(tmp_path).items) == ["train/x/a.png", "train/y/a.png"]
    assert notices.messages == [
        "Images in test/ were left out (2), because they are in no class folder; move them into test/<class>/ "
        'folders to score them, give them to featx predict, or use all without labels (labels="none").',
        "The folder val/ holds no image and was left out",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__MACOSX", "__pycache__",
        "@Recycle", "@Recently-Snapshot", "found.000", "RECYCLER",
    ],
)  # fmt: skip
def test_folders_of_systems_are_skipped_at_every_level(
    tmp_path: Path, name: str, notices: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "x/a.png", "y/b.png", f"{name}/p/q.png", f"x/{name}/a.png/thumb.jpg", f"y/deep/{name}/c.png")
    assert ids(read_data(tmp_path).items) == ["x/a.png", "y/b.png"]
    skipped = ", ".join(sorted((name, f"x/{name}", f"y/deep/{name}")))
    assert f"Folders of the system were skipped (3): {skipped}" in notices.messages
    assert [item.path for item in read_paths([tmp_path]).items] == [tmp_path / "x/a.png", tmp_path / "y/b.png"]


@pytest.mark.parametrize(
    "files",
    [
        ("run/manifest.json", "run/recipe.toml", "run/confusion.png"),
        ("maps/pca-backbone-train.csv", "maps/pca-backbone-train.png"),
        ("clusters/clusters.csv", "clusters/per_image.csv", "clusters/pairs.png"),
        ("out/comparison.csv", "out/folds.csv", "out/roc.png"),
        ("sweep/sweep.csv", "sweep/summary.csv", "sweep/sweep.png"),
        ("cache/features/a/rows.arrow", "cache/stat-cache/a.sqlite"),
    ],
)
def test_what_featx_wrote_is_no_class(
    tmp_path: Path, files: tuple[str, ...], notices: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "x/a.png", "y/b.png", *files)
    assert read_data(tmp_path).classes == ("x", "y")
    folder = files[0].split("/")[0]
    assert notices.messages == [f"Folders that featx wrote were skipped (1): {folder}"]
    # Asked for by name, its pictures are images like others.
    pictures = [name for name in files if name.endswith(".png")]
    if pictures:
        assert [item.path for item in read_paths([tmp_path / folder]).items] == [tmp_path / pictures[0]]


def test_usual_words_are_classes(tmp_path: Path) -> None:
    names = ("backup", "cache", "features", "recycled", "temporary")
    assert read_data(make(tmp_path, *(f"{name}/a.png" for name in names))).classes == names


def test_order_does_not_depend_on_the_order_of_making(tmp_path: Path) -> None:
    names = [f"{label}/{i}.png" for label in ("x", "y") for i in range(50)]
    shuffled = random.Random(3).sample(names, len(names))
    first = read_data(make(tmp_path / "a", *names))
    second = read_data(make(tmp_path / "b", *shuffled))
    assert ids(first.items) == ids(second.items) == sorted(names)


def test_files_of_other_kinds_give_one_notice(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "train/x/a.png", "train/x/notes.txt", "test/x/a.png", "test/Thumbs.db", "README.md")
    read_data(tmp_path)
    files = "README.md, test/Thumbs.db, train/x/notes.txt"
    assert notices.messages == [f"Files without the ending of an image were left out (3): {files}"]


def test_many_files_of_other_kinds_are_counted(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "x/a.png", *(f"x/{i}.txt" for i in range(7)))
    read_data(tmp_path)
    (message,) = notices.messages
    assert message.endswith("left out (7): x/0.txt, x/1.txt, x/2.txt, x/3.txt, x/4.txt, …")


def test_hidden_files_are_ignored_silently(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path / ".here", "x/a.png", "x/._a.png", "x/.DS_Store", ".git/b.png", ".@__thumb/a.png", "x/.d/c.png")
    data = read_data(tmp_path / ".here")
    assert (ids(data.items), notices.messages) == (["x/a.png"], [])


def test_an_empty_class_folder_is_no_class(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "x/a.png", "y/notes.txt")
    (tmp_path / "z").mkdir()
    assert read_data(tmp_path).classes == ("x",)
    warnings = [r.message for r in notices.records if r.levelname == "WARNING"]
    assert warnings == ["Class folders without an image were left out (2): y, z"]


def test_folders_beside_train_are_named_and_ignored(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "train/x/a.png", "masks/a.png", "raw/x/b.png")
    assert ids(read_data(tmp_path).items) == ["train/x/a.png"]
    assert notices.messages == ["Folders beside train/ were ignored (2): masks, raw"]


def test_images_beside_class_folders_are_named(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "top.png", "train/loose.png", "train/x/a.png")
    assert ids(read_data(tmp_path).items) == ["train/x/a.png"]
    assert [(r.levelname, r.message) for r in notices.records] == [
        ("WARNING", "Images outside of class folders were left out (2): top.png, train/loose.png")
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"Expected a folder for each class in .*, found none, and no images; give a folder with images"),
        (["x/a.txt"], r"in .*, found none among 1 file \(x/a\.txt\); the endings of images are \.jpg"),
        (
            ["train/a.png", "bus/a.png"],  # bus would be left out if train were taken for a split
            r"class in .*train, found 1 image without one; .*; if train is a class here, rename",
        ),
        (["train/x/a.txt", "test/x/a.png"], r"Expected images for training in .*, found none among 1 file"),
        (["test/x/a.png"], r"Expected train/ beside test/ in .*, found none; add train/<class>/"),
        (
            ["test_set/x/a.png", "x/a.png"],
            r"Expected train/ beside test_set/ .*, or rename test_set/ if that is a cl",
        ),
        (["two/train/x/a.png", "two/test/x/a.png"], r"found test/, train/ one level down in two/; give that"),
        (["d/training_set/x/a.png", "d/test_set/x/a.png"], r"found test_set/, training_set/ one level down in d/"),
        (
            ["x/Train/a.png", "x/Test/a.png", "y/Train/b.png"],
            r"found Test/, Train/ within x/; lay",
        ),
        (["train/x/a.png", "eval/x/a.png"], r"found eval/, which could be for validation or for testing; rename"),
        (["train/x/a.png", "hold-out/x/a.png"], r"found hold-out/, which could be for validation or for testing"),
        (
            ["train/x/a.png", "val/x/a.png", "dev/x/a.png"],
            r"Expected one folder for val in .*, found dev, val; put",
        ),
        (
            ["xr_train/x/a.png", "xr_test/x/a.png"],
            r"found xr_test, xr_train, which look like splits and hold folders",
        ),
        (["a/b/train/x/a.png", "a/b/test/x/a.png"], r"found test/, train/ further down in a/b/; give that folder"),
        (
            ["images/train/a.png", "images/val/a.png", "labels/train/a.txt"],
            r"found train/, val/ within images/; lay",
        ),
        (["train/1.png", "masks/1.png", "train.csv"], r"found 1 .* in a manifest \(such as train\.csv, with"),
    ],
)
def test_a_folder_laid_out_in_another_way(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_data(make(tmp_path, *names))


def test_data_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected a folder or file at .*nowhere, found nothing; check the path"):
        read_data(tmp_path / "nowhere")
    make(tmp_path, "m.csv")
    for name in ("m.csv/deeper", "null\0character"):
        with pytest.raises(DataError, match="found nothing"):
            read_data(tmp_path / name)


def test_a_file_that_is_no_manifest(tmp_path: Path) -> None:
    make(tmp_path, "table.xlsx")
    with pytest.raises(DataError, match=r"Expected a folder or a manifest .*, found the file .*table\.xlsx; give"):
        read_data(tmp_path / "table.xlsx")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not stop root")
def test_a_folder_that_must_not_be_read(tmp_path: Path) -> None:
    make(tmp_path, "x/a.png", "y/a.png")
    (tmp_path / "y").chmod(0)
    try:
        with pytest.raises(DataError, match=r"y cannot be read \(Permission denied\)"):
            read_data(tmp_path)
    finally:
        (tmp_path / "y").chmod(0o700)


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    make(tmp_path, "away/1.png", "away/deep/2.png", "data/x/0.png")
    data = tmp_path / "data"
    (data / "y").symlink_to(tmp_path / "away")
    (data / "x" / "up").symlink_to(data / "x")
    (tmp_path / "away" / "deep" / "top").symlink_to(tmp_path / "away")
    (data / "x" / "file.png").symlink_to(tmp_path / "away" / "1.png")
    (data / "x" / "dangling.png").symlink_to(tmp_path / "gone.png")
    (data / "x" / "itself.png").symlink_to(data / "x" / "itself.png")
    expected = ["x/0.png", "x/dangling.png", "x/file.png", "x/itself.png", "y/1.png", "y/deep/2.png"]
    assert ids(read_data(data).items) == expected


def test_one_folder_linked_from_two_places_is_met_twice(tmp_path: Path) -> None:
    make(tmp_path, "away/1.png", "data/train/x/0.png", "data/test/x/0.png")
    for split in ("train", "test"):
        (tmp_path / "data" / split / "y").symlink_to(tmp_path / "away")
    expected = ["train/x/0.png", "train/y/1.png", "test/x/0.png", "test/y/1.png"]
    assert ids(read_data(tmp_path / "data").items) == expected


def test_decomposed_names_are_one_class_and_still_open(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "zdravý") for form in ("NFC", "NFD"))
    make(tmp_path, f"train/{composed}/1.png", f"test/{decomposed}/2.png")
    data = read_data(tmp_path)
    assert data.classes == (composed,)
    assert all(item.path.exists() for item in data.items)


def test_names_that_are_not_utf8_can_be_written_and_opened(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        Path(os.fsdecode(folder)).mkdir()
    except OSError:
        pytest.skip("this file system takes only valid Unicode")
    make(tmp_path, os.fsdecode(b"caf\xe9/\xff.png"))
    (item,) = read_data(tmp_path).items
    assert (item.id.encode(), item.label) == (b"caf\\xe9/\\xff.png", "caf\\xe9")
    assert item.path.exists()


def test_sentences_about_names_that_are_not_utf8_can_be_printed(tmp_path: Path) -> None:
    folder = os.fsdecode(b"caf\xe9")
    try:
        make(tmp_path, f"{folder}/train/x/a.png", f"{folder}/test/x/a.png")
    except OSError:
        pytest.skip("this file system takes only valid Unicode")
    with pytest.raises(DataError, match=r"found test/, train/ one level down in caf\\xe9/; give") as caught:
        read_data(tmp_path)
    assert str(caught.value).encode()


def test_a_run_given_as_data_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"Expected images in .*, found what featx wrote \(.+\); give the folder or manifest"
    ):
        read_data(make(tmp_path, "manifest.json", "recipe.toml", "confusion.png"))


def test_a_relative_folder_stays_found_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "data/x/a.png", "elsewhere/b.png")
    monkeypatch.chdir(tmp_path)
    (item,) = read_data(Path("data")).items
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert (item.id, item.path.exists()) == ("x/a.png", True)


def test_manifest_items(tmp_path: Path) -> None:
    make(tmp_path, "images/a b.png", "images/scan", "far/c.png")
    manifest = write(
        tmp_path / "m.csv",
        "path,label,split,group,age",
        "images/scan,normal,test,,60",
        f"{tmp_path}/far/c.png,covid,Valid,p2,",
        "images/a b.png,covid,train,p1,54",
    )
    data = read_data(manifest)
    assert (data.root, data.classes) == (tmp_path, ("covid", "normal"))
    far = tmp_path / "far/c.png"
    assert data.items == (
        Item("images/a b.png", tmp_path / "images/a b.png", "covid", "train", "p1", {"age": 54}),
        Item(str(far), far, "covid", "val", "p2", {"age": None}),
        Item("images/scan", tmp_path / "images/scan", "normal", "test", None, {"age": 60}),
    )


def test_a_manifest_without_splits_is_training_data_in_any_order_of_rows(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png")
    first = read_data(write(tmp_path / "1.csv", "path,label", "b.png,x", "a.png,01"))
    second = read_data(write(tmp_path / "2.csv", "path,label", "a.png,01", "b.png,x"))
    assert first == second
    assert [(item.id, item.label, item.split) for item in first.items] == [
        ("a.png", "01", "train"),
        ("b.png", "x", "train"),
    ]


def test_missing_images_of_a_manifest(tmp_path: Path) -> None:
    make(tmp_path, "here.png")
    lines = ["here.png,x", *(f"gone{i}.png,x" for i in range(6)), "here.png/below.png,y"]
    manifest = write(tmp_path / "m.csv", "path,label", *lines)
    with pytest.raises(DataError, match=r"found 7 missing \(gone0\.png, .*gone4\.png, …\); correct the paths"):
        read_data(manifest)
    data = read_data(manifest, missing="keep")
    assert len(data.items) == 8
    assert data.items[0].path == tmp_path / "gone0.png"


def test_a_manifest_may_spell_accents_otherwise_than_the_disk(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
    make(tmp_path, f"1/{decomposed}", f"2/{composed}")
    (one, two) = read_data(write(tmp_path / "m.csv", "path,label", f"1/{composed},x", f"2/{decomposed},x")).items
    assert (one.id, two.id) == (f"1/{composed}", f"2/{decomposed}")
    assert one.path.exists()
    assert two.path.exists()


def test_spaces_and_other_ways_to_write_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    make(tmp_path, "img/a.png", "img/b c.png", "img/d.png", "img/ e.png", "home/f.png", "img/g h.png")
    cells = ["  img/a.png\t", "img\\b c.png", ".\\img\\d.png", "img/ e.png", "~/f.png"]
    cells.append((tmp_path / "img/g h.png").as_uri())
    data = read_data(write(tmp_path / "m.csv", "path,label", *(f"{cell},x" for cell in cells)))
    expected = [
        "img/a.png",
        "img/b c.png",
        "./img/d.png",
        "img/ e.png",
        f"{tmp_path}/home/f.png",
        f"{tmp_path}/img/g h.png",
    ]
    assert sorted(ids(data.items)) == sorted(expected)
    assert all(item.path.exists() for item in data.items)


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("C:\\data\\img\\a.png", r"C:\\data\\img\\a\.png may be img/a\.png, so correct the paths"),
        ("/kaggle/input/img/a.png", "may be img/a.png, so correct the paths"),
        ("img/a", "img/a may be img/a.png, so"),
        ("a", "a may be img/a.png, so"),
        ("b", "b may be img/b.JPG, so"),
        ("a.png", "a.png may be img/a.png, so"),
        ("deep.png", r"deep\.png may be images_002/images/deep\.png, so"),
        ("up.png", "up.png may be ../up.png, so"),
        ("s3://bucket/a.png", "featx reads files of this machine only, so download the images and correct the paths"),
        ("file://[bad/x.png", "correct the paths"),
        ("https://[bad/a.png", "so download the images and correct the paths"),
        ("https://x.org/a.png", "so download the images and correct the paths"),
        ("nowhere.png", r"missing \(nowhere\.png\); correct the paths, where relative ones start at"),
        ("n" * 10_000, r"missing \(n{119}…\); correct the paths"),
    ],
)
def test_missing_images_that_are_elsewhere(tmp_path: Path, cell: str, advice: str) -> None:
    make(tmp_path, "up.png", "data/img/a.png", "data/img/b.JPG", "data/images_002/images/deep.png")
    with pytest.raises(DataError, match=advice):
        read_data(write(tmp_path / "data" / "m.csv", "path,label", f"{cell},x"))


def test_rows_listed_twice_count_once(tmp_path: Path) -> None:
    make(tmp_path, "a.png")
    rows = ["a.png,x,p", "./a.png,x,p", f"{tmp_path}/a.png,x,p"]
    assert ids(read_data(write(tmp_path / "m.csv", "path,label,group", *rows)).items) == ["a.png"]


@pytest.mark.parametrize("other", ["y,train,p", "x,test,p", "x,train,q"])
def test_rows_that_contradict_each_other(tmp_path: Path, other: str) -> None:
    make(tmp_path, "a.png", "b.png")
    rows = ["a.png,x,train,p", "b.png,x,train,p", f"a.png,{other}"]
    with pytest.raises(DataError, match=r"Rows 2 and 4 of .*m\.csv both list a\.png, with different labels"):
        read_data(write(tmp_path / "m.csv", "path,label,split,group", *rows))


def test_items_can_be_hashed_and_copied(tmp_path: Path) -> None:
    make(tmp_path, "a.png")
    data = read_data(write(tmp_path / "m.csv", "path,label,age", "a.png,x,5"))
    assert len({*data.items, *data.items}) == 1
    assert copy.deepcopy(data) == data


def test_paths_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "in/b.png", "in/x/deep/a.jpg", "in/.c.png", "one.PNG", "scan", "list/p.png", "list/q.png")
    write(tmp_path / "list" / "m.csv", "path,label,split", "p.png,covid,train", "q.png,,test")
    monkeypatch.chdir(tmp_path)
    data = read_paths([Path("scan"), Path("./one.PNG"), Path("list/m.csv"), Path("in/")])
    assert [(item.id, item.label, item.split) for item in data.items] == [
        ("scan", None, "test"),
        ("one.PNG", None, "test"),
        ("p.png", "covid", "train"),
        ("q.png", None, "test"),
        ("in/b.png", None, "test"),
        ("in/x/deep/a.jpg", None, "test"),
    ]
    assert data.classes == ("covid",)
    assert data.counts()["test"] == {"covid": 0}
    assert all(item.path.is_absolute() and item.path.exists() for item in data.items)
    assert data.root == tmp_path


def test_here_as_a_path_gives_names_without_a_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "x/a.png", "b.png")
    monkeypatch.chdir(tmp_path)
    assert ids(read_paths([Path()]).items) == ["b.png", "x/a.png"]


@pytest.mark.parametrize("turn", [1, -1])
def test_an_image_met_twice_is_taken_once_with_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    make(tmp_path, "in/a.png", "in/b.png")
    write(tmp_path / "m.csv", "path,label", "in/a.png,x")
    monkeypatch.chdir(tmp_path)
    data = read_paths([Path("in"), Path("m.csv"), tmp_path / "in" / "a.png"][::turn])
    assert [(item.id, item.label) for item in data.items] == [("in/a.png", "x"), ("in/b.png", None)]


def test_a_name_for_two_images_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "1/a.png", "2/a.png")
    manifests = [write(tmp_path / folder / "m.csv", "path", "a.png") for folder in "12"]
    with pytest.raises(DataError, match=r"a\.png stands for both .*1/a\.png and .*2/a\.png; give one of them"):
        read_paths(manifests)


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    make(tmp_path, "none/a.txt")
    with pytest.raises(DataError, match=r"Expected images in the folder .*none, found none"):
        read_paths([tmp_path / "none"])
    with pytest.raises(DataError, match=r"nowhere\.png, found nothing"):
        read_paths([tmp_path / "nowhere.png"])
    manifest = write(tmp_path / "m.csv", "path", "gone.png")
    with pytest.raises(DataError, match=r"found 1 missing \(gone\.png\)"):
        read_paths([manifest])
    assert ids(read_paths([manifest], missing="keep").items) == ["gone.png"]


def test_advice_on_missing_images_in_a_working_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write(make(tmp_path, "img/a.png") / "m.csv", "path,label", "/old/img/a.png,x")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(DataError, match=r"/old/img/a\.png may be img/a\.png, so correct"):
        read_data(manifest)


def test_a_table_in_a_folder_may_list_its_images(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "images_001/images/a.png", "images_002/images/b.png")
    write(tmp_path / "Data_Entry.csv", "path,label", "images_001/images/a.png,x|y")
    read_data(tmp_path)
    assert "If Data_Entry.csv lists the images and their labels, give it instead of the folder." in notices.messages
