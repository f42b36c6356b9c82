"""Images without labels: folders, manifests, patterns and lists of paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from featx.data import Dataset, check_for_fit, check_labelled, read_data
from featx.errors import DataError, UsageError


def make(root: Path, *names: str) -> Path:
    """Makes files that are read by nobody here: their names are all that matters."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def splits(data: Dataset) -> dict[str, str]:
    assert (data.classes, data.multilabel) == ((), False)
    assert {item.label for item in data.items} == {None}
    return {item.id: item.split for item in data.items}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", logger="featx")
    return caplog


def test_a_flat_folder_has_no_labels(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    data = read_data(make(tmp_path, "b.png", "a.jpg"))
    assert splits(data) == {"a.jpg": "train", "b.png": "train"}
    assert said.messages == ["Data: 2 images without labels."]
    assert data.headline() == f"2 images of {tmp_path.name}, without labels"
    assert data.overview() == (("", "train"), [["images", "2"]])


def test_folders_are_no_classes_where_more_images_are_beside_them(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "1.png", "2.png", "edited/deep/3.png")
    assert list(splits(read_data(tmp_path))) == ["1.png", "2.png", "edited/deep/3.png"]
    assert said.messages == ["Data: 3 images without labels (more images are beside its folders than in them)."]
    # As many in folders as beside them: these are classes, as they are in any case with `folder`.
    make(tmp_path, "edited/4.png")
    assert read_data(tmp_path).classes == ("edited",)
    (tmp_path / "edited/4.png").unlink()
    assert [item.label for item in read_data(tmp_path, labels="folder").items] == ["edited"]


def test_split_folders_without_classes(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    data = read_data(make(tmp_path, "train/1.png", "train/2.png", "test_images/3.png", "val/x/4.png", "top.png"))
    assert splits(data) == {
        "train/1.png": "train",
        "train/2.png": "train",
        "val/x/4.png": "val",
        "test_images/3.png": "test",
    }
    assert said.messages[-1] == "Data: 4 images without labels; train 2, val 1, test 1."
    assert "Images outside of class folders were left out (1): top.png" in said.messages


def test_no_labels_are_taken_from_folders_if_that_is_chosen(tmp_path: Path) -> None:
    make(tmp_path / "a", "x/1.png", "y/z/2.png", "3.png")
    assert splits(read_data(tmp_path / "a", labels="none")) == dict.fromkeys(
        ["3.png", "x/1.png", "y/z/2.png"], "train"
    )
    make(tmp_path / "b", "train/x/1.png", "test/2.png", "masks/3.png")
    assert splits(read_data(tmp_path / "b", labels="none")) == {"train/x/1.png": "train", "test/2.png": "test"}
    # Without a folder for training, a folder called test may be anything.
    make(tmp_path / "c", "test/1.png", "other/2.png")
    assert splits(read_data(tmp_path / "c", labels="none")) == {"other/2.png": "train", "test/1.png": "train"}


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (
            ["a.png"],
            "folder",
            r"Expected a folder for each class in .*, found 1 image without one; .* use them without",
        ),
        (["notes.txt"], "none", r"Expected images in .*, found none among 1 file \(notes\.txt\)"),
        ([], "none", r"Expected images in .*, found none; the endings"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, names: list[str], labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_data(make(tmp_path, *names), labels=labels)


def test_a_manifest_without_labels_keeps_splits_and_groups(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "a.png", "b.png", "c.png")
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,split,patient_id,age\na.png,train,1,30\nb.png,train,1,40\nc.png,test,2,50\n")
    data = read_data(manifest)
    assert splits(data) == {"a.png": "train", "b.png": "train", "c.png": "test"}
    assert [item.extra["age"] for item in data.items] == [30, 40, 50]
    assert said.messages[-1].startswith("Data: 3 images without labels; train 2, test 1")
    manifest.write_text("path,diagnosis_code\na.png,x\n")
    assert not read_data(manifest).classes


@pytest.mark.parametrize(
    ("columns", "notice"),
    [
        (
            {"klass": ["x", "y"]},
            "The table m.csv has no column label; choose klass with label_column if it has the classes.",
        ),
        ({"class": ["x", "y"], "dx": ["a", "b"]}, "choose class or dx with label_column if it has the classes."),
        (
            {"covid": [0, 1], "normal": [1, None], "age": [1, 50]},
            "columns of 0 and 1 (covid,normal); name them with label_columns if each is for one label.",
        ),
        ({"scanner": ["A", "B"]}, None),
    ],
)
def test_columns_that_may_have_the_labels_are_named(
    tmp_path: Path, said: pytest.LogCaptureFixture, columns: dict[str, list[Any]], notice: str | None
) -> None:
    make(tmp_path, "a.png", "b.png")
    pd.DataFrame({"path": ["a.png", "b.png"], **columns}).to_csv(tmp_path / "m.csv", index=False)
    assert not read_data(tmp_path / "m.csv").classes
    warnings = [record.message for record in said.records if record.levelname == "WARNING"]
    assert len(warnings) == (notice is not None)
    assert notice is None or warnings[0].endswith(notice)


def test_labels_of_a_table_are_left_aside(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png")
    frame = pd.DataFrame({"path": [str(tmp_path / "a.png"), str(tmp_path / "b.png")], "label": ["x", "y"]})
    data = read_data(frame, labels="none")
    assert not data.classes
    assert [item.extra for item in data.items] == [{"label": "x"}, {"label": "y"}]
    assert not read_data(
        frame.rename(columns={"label": "label:x"}).assign(**{"label:x": [1, 0]}), labels="none"
    ).classes
    assert not read_data(frame.rename(columns={"label": "class"}), labels="none").classes
    with pytest.raises(UsageError, match=r"Expected no column of labels with labels=.none"):
        read_data(frame, labels="none", label_column="label")


def test_one_image_patterns_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make(tmp_path, "p/1.png", "p/2.jpg", "p/notes.txt", "p/deep/3.png", "q/[4].png", "q/.5.png"))
    assert splits(read_data("p/1.png")) == {"1.png": "train"}
    assert list(splits(read_data("p/*"))) == ["p/1.png", "p/2.jpg", "p/deep/3.png"]
    assert list(splits(read_data("p/**/*.png"))) == ["p/1.png", "p/deep/3.png"]
    assert list(splits(read_data(str(tmp_path / "p" / "?.png")))) == [f"{tmp_path}/p/1.png"]
    assert splits(read_data("q/[4].png")) == {"[4].png": "train"}  # a file of this name goes before the pattern
    assert list(splits(read_data(["p/deep", "q", "p/2.jpg", "p/*.jpg"]))) == ["p/deep/3.png", "q/[4].png", "p/2.jpg"]
    assert read_data("p/*", group_from="parent").items[2].group == "deep"
    with pytest.raises(DataError, match=r"Expected files that match p/\*\.tif, found none; check the pattern"):
        read_data("p/*.tif")
    with pytest.raises(UsageError, match="with a folder, received an image; leave it out"):
        read_data("p/1.png", labels="folder")
    with pytest.raises(UsageError, match="with a folder, received a pattern or several paths; leave it out"):
        read_data(["p", "q"], labels="folder")


def test_what_a_pattern_matches_is_listed_once_and_left_out_if_it_is_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "p/1.png", "p/a/2.png", "p/empty/notes.txt", "p/maps/tsne-backbone-train.csv", "p/maps/m.png")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p" / "gone.png").symlink_to("nowhere")
    for pattern in ("p/*", "p/**"):
        assert sorted(splits(read_data(pattern))) == ["p/1.png", "p/a/2.png", "p/gone.png"], pattern
    assert "Files without the ending of an image were left out (1): p/empty/notes.txt" in said.messages
    assert "Folders that featx wrote were skipped (1): p/maps" in said.messages


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("p/*.PNG", "in upper and lower case as in p/1.png"),
        ("p/*.{png,jpg}", "one pattern for each of the names in {}"),
        ("p/*.tif", "check the pattern"),
        ("p/e*", "found none among 1 file (p/empty/notes.txt); the endings"),
    ],
)
def test_a_pattern_without_images_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, advice: str
) -> None:
    monkeypatch.chdir(make(tmp_path, "p/1.png", "p/empty/notes.txt"))
    with pytest.raises(DataError, match=re.escape(advice)):
        read_data(pattern)


def test_kinds_of_files_that_are_not_read_name_a_tool(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "mixed/1.png", "mixed/2.MOV", "mixed/3.mp4", "mixed/4.svg", "raw/a.CR2", "raw/b.nef")
    assert list(splits(read_data(tmp_path / "mixed"))) == ["1.png"]
    assert "featx does not read video (2: 2.MOV, 3.mp4); convert it into frames first, for example with ffmpeg." in (
        said.messages
    )
    for data in (tmp_path / "raw", tmp_path / "raw" / "*", tmp_path / "raw" / "a.CR2"):
        with pytest.raises(DataError, match=r"a camera raw file, .*convert it to TIFF first, .*darktable-cli"):
            read_data(data)


def test_addresses_are_told_from_paths() -> None:
    with pytest.raises(DataError, match=r"machine, received the address https:/example\.org/photos; download"):
        read_data("https://example.org/photos")


def test_labels_that_are_no_way(tmp_path: Path) -> None:
    make(tmp_path, "a.png")
    for data in (tmp_path, [tmp_path / "a.png"]):
        with pytest.raises(UsageError, match=r"Expected labels to be auto, .* received the text 'all'"):
            read_data(data, labels="all")


def test_what_needs_labels_says_so_in_one_sentence(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png", "c.png")
    with pytest.raises(DataError) as caught:
        check_for_fit(read_data(tmp_path), 0.2)
    assert str(caught.value) == (
        "Expected a label for each image to train a head, found 3 images without labels; put the images into a "
        "folder for each class, or list them in a manifest with a column label (or choose the column with "
        "--label-column, or several with --label-columns)."
    )
    (tmp_path / "m.csv").write_text("path,label\na.png,x\nb.png,\nc.png,y\n")
    with pytest.raises(DataError, match=r"found 1 of 3 images without one \(b\.png\); give their labels, or leave"):
        check_for_fit(read_data(tmp_path / "m.csv"), 0.2)
    check_labelled(["x", "y"], "to compare classifiers")
    with pytest.raises(DataError, match="compare classifiers, found 1 of 2 images without one;"):
        check_labelled(["x", None], "to compare classifiers")


def test_a_list_is_named_by_the_folder_that_its_images_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("photos/a/1.png", "photos/b/2.png", "3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert read_data("photos/a/*.png").name == "a"
    assert read_data(["photos/a", "photos/b"]).name == "photos"
    assert read_data(["photos/a/1.png", "3.png"]).name == tmp_path.name
    assert read_data([str(tmp_path / "photos/b/2.png")]).name == "b"
