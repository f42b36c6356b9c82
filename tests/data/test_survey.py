from __future__ import annotations

import re
from pathlib import Path

import pytest

from featx.data.dataset import Dataset, Item
from featx.data.reading import read_data
from featx.data.survey import summary


def make(root: Path, *names: str, size: int = 0) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    return root


def manifest(folder: Path, *labels: str) -> Path:
    make(folder, *(f"{number}.png" for number in range(len(labels))))
    rows = "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels))
    (folder / "m.csv").write_text(f"path,label\n{rows}", encoding="utf-8")
    return folder / "m.csv"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", logger="featx")
    return caplog


def test_a_folder_is_summed_up_in_one_line(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    read_data(make(tmp_path, *(f"train/{label}/{i}.png" for label in "ab" for i in range(3)), "test/a/1.png"))
    assert said.messages == ["Data: 7 images, 2 classes; train: a 3, b 3; test: a 1, b 0."]


def test_the_summary_has_groups_and_the_first_of_many_classes() -> None:
    labels = [f"c{number}" for number in range(7)]
    items = [Item(f"{label}.png", Path(f"/{label}.png"), label, "train", "p1") for label in labels]
    items += [Item("x.png", Path("/x.png"), None, "train")]
    assert summary(Dataset(Path("/"), tuple(items), tuple(labels))) == (
        "Data: 8 images, 7 classes; train: c0 1, c1 1, c2 1, c3 1, c4 1, … (7 in all); 1 group, 1 image without one; "
        "1 without a label."
    )


@pytest.mark.parametrize(
    ("names", "warning"),
    [
        (["dev/1", "dev/2", "x/1", "x/2"], r"Classes are named like splits \(dev\); if they are"),
        (["train_cats/1", "train_cats/2", "test_cats/1", "test_cats/2"], r"like splits \(test_cats, train_cats\)"),
        (["trainA/1", "trainA/2", "testA/1", "testA/2"], r"like splits \(testA, trainA\)"),
        (["run/1", "run/2", "x/1", "x/2"], r"Classes are named like what featx writes \(run\); move"),
        (["x/1", "x/2", "masks/1", "masks/2"], r"named like kinds of files, such as masks or thumbnails \(masks\)"),
        (["Covid/1", "covid/2", "x/1"], r"Some classes differ in spelling only \(1\), such as 'Covid' and 'covid'"),
        (["no finding/1", "no_finding/2", "x/1"], r"such as 'no finding' and 'no_finding'; give them one name"),
        (
            [f"{i}/a" for i in range(12)],
            r"12 images have 12 different labels, so these may be numbers to predict and",
        ),
        ([f"n{i}/a" for i in range(12)], r"12 different labels, so these may be names of the images and not classes"),
        (["a;b/1", "c/1"], r"Labels name several classes at once \(1\), such as a;b; each combination"),
        (["a/1", "b/1", "a, b/1"], r"Labels name several classes at once \(1\), such as a, b; each combination"),
        (["a/1", "b/1", "b+a/1", "b+c/1"], r"Labels name several classes at once \(1\), such as b\+a; each"),
        (["x/1", "x/2", "y/1"], r"Classes with a single image \(1\): y"),
        (["train/x/1", "train/y/1", "test/x/1", "test/x/2"], r"Split test has no images of y"),
        (["x/images/1", "x/images/2", "x/lung masks/1", "y/1"], r"masks or .* \(1\), such as x/lung masks/; move"),
        (["x/1", "x/masks/p1/1", "y/1", "y/masks/p2/1"], r"masks or thumbnails \(2\), such as x/masks/p1/; move"),
        (
            ["x/p1/1", "x/p1/2", "x/p2/1", "x/p2/2", "y/p1/1", "y/p1/2", "y/p2/1"],
            r"same names \(2\), x/p1/ and x/p2/",
        ),
        (["fold1/1", "fold1/2", "fold2/1", "fold2/2"], r"Classes are named like folds \(fold1, fold2\)"),
        (["images/1", "images/2"], r"Classes are named like kinds of files"),
        (
            ["d/covid/1", "d/covid/2", "d/normal/3"],
            r"All images are below the one class folder d, in 2 folders \(covid",
        ),
        (["x/a", "x/a_mask", "x/b", "x/b_mask_1", "y/1"], r"named like masks or .* \(2\), such as x/a_mask\.png"),
        (["x/benign (1)", "x/benign (1)_mask", "y/1"], r"named like masks or .* \(1\), such as x/benign \(1\)_mask"),
    ],
)
def test_what_looks_odd_is_said(
    tmp_path: Path, said: pytest.LogCaptureFixture, names: list[str], warning: str
) -> None:
    read_data(make(tmp_path, *(f"{name}.png" for name in names)))
    assert [text for text in said.messages if re.search(warning, text)], said.messages


@pytest.mark.parametrize(
    "names",
    [
        ["covid/1", "covid/2", "normal/1", "normal/2"],
        [f"{label}/{i}" for label in ("Smith, J", "a+b", "c") for i in range(2)],
        ["with_mask/with_mask_1", "with_mask/with_mask_2", "without_mask/1", "without_mask/2"],
        ["train/x/1", "train/y/1", "train/x/2", "train/y/2", "test/x/1", "test/y/1"],
        ["x/p1/1", "x/p1/2", "x/p2/1", "x/p2/2", "y/p3/1", "y/p3/2"],
        ["valid_scan/1", "valid_scan/2", "invalid_scan/1", "invalid_scan/2"],
        [f"{label}/{i}" for label in ("-1", "1", "HER2", "HER2-") for i in range(2)],
        [f"{label}/patient{n}/{i}" for label in ("ill", "well") for n in range(5) for i in range(3)],
        ["with_mask/simple/1", "with_mask/simple/2", "without_mask/images/1", "without_mask/images/2"],
    ],
)
def test_usual_data_are_not_warned_of(tmp_path: Path, said: pytest.LogCaptureFixture, names: list[str]) -> None:
    read_data(make(tmp_path, *(f"{name}.png" for name in names)))
    assert [record.message for record in said.records if record.levelname == "WARNING"] == []


def test_names_of_classes_stay_on_the_line(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    read_data(make(tmp_path, "a\nb/1.png", f"{'c' * 200}/1.png"))
    assert said.messages == [f"Data: 2 images, 2 classes; train: a b 1, {'c' * 119}… 1."]


def test_small_files_beside_large_ones_in_a_class(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    make(tmp_path, *(f"x/{i}.png" for i in range(4)), "y/1.png", "y/2.png", size=90_000)
    make(tmp_path, *(f"x/small/t{i}.png" for i in range(4)), size=1_500)
    read_data(tmp_path)
    assert (
        "Files in x/small/ are much smaller than those in x/, about 1.5 and 90.0 kB; if they are masks or "
        "thumbnails, move them out of the data."
    ) in said.messages


def test_images_in_sub_folders_have_the_class_above(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    data = read_data(make(tmp_path, "plane/military/a.png", "plane/civil/b.png", "car/a.png", "car/b.png"))
    assert data.classes == ("car", "plane")
    assert said.messages[1:] == [
        "Images in folders below a class folder have its class, such as those in plane/civil/"
    ]


def test_labels_of_a_table_that_are_no_classes(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    read_data(manifest(tmp_path, "Effusion", "Effusion", "Effusion;Mass", "Effusion;Mass", "Mass", "Mass"))
    assert said.messages[1:] == [
        "Labels name several classes at once (1), such as Effusion;Mass; each combination is taken as a class of its "
        "own, so choose what is between the names (label_separator)."
    ]
    said.clear()
    read_data(manifest(tmp_path, "0", "0.0", "1", "1", "0", "0.0"))
    assert said.messages[1:] == [
        "Some classes differ in spelling only (1), such as '0' and '0.0'; give them one name if they are one class."
    ]
    said.clear()
    read_data(manifest(tmp_path, "a/x.png", "a/x.png", "b/c", "b/c"))
    assert said.messages[1:] == ["Labels look like files (1), such as a/x.png; check the column label."]
