"""Groups from the names of files and folders, and groups in two splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from archive_files import image_table, pictures, write_parquet

from featx.data import Item, groups_in_two_splits, read_data
from featx.errors import DataError, UsageError

NAMES = (
    *("train/ill/p1/a1_x.png", "train/ill/p1/a1_y.png", "train/ill/p2/a2_x.png", "train/well/p3/a3_x.png"),
    *("train/well/p1/b1_x.png", "test/ill/p2/a2_z.png", "test/well/p4/a4_x.png"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def groups(data: Any, **choice: Any) -> list[str | None]:
    return [item.group for item in read_data(data, **choice).items]


def test_groups_are_found_in_names(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="featx")
    assert [item.id for item in read_data(folder).items] == sorted(NAMES, key=lambda name: (name[:2] == "te", name))
    assert groups(folder, group_from="parent") == ["p1", "p1", "p2", "p1", "p3", "p2", "p4"]
    assert groups(folder, group_from=r"/(a\d)_") == ["a1", "a1", "a2", None, "a3", "a2", "a4"]
    assert groups(folder, group_from=r"(ill|well)/(?P<group>p\d)") == ["p1", "p1", "p2", "p1", "p3", "p2", "p4"]
    assert (
        "Groups from the names of images: 4 groups of 6 images, the largest, a1, of 2 images; 1 image without a "
        "group."
    ) in caplog.messages


def test_rows_of_tables_have_groups_in_the_names_of_their_files(tmp_path: Path) -> None:
    table = image_table(pictures(4), label=list("abab"), files=["p1/1_x.png", "p1/2_y.png", None, "p3/2_z.png"])
    path = write_parquet(tmp_path / "train-00000-of-00001.parquet", table)
    assert groups(path, group_from=r"(\d+)_") == ["1", "2", None, "2"]
    assert groups(path, group_from="parent") == ["p1", "p1", None, "p3"]
    path = write_parquet(tmp_path / "0001.parquet", image_table(pictures(4), label=list("abab")))
    for rule in ("parent", r"(\d+)"):  # the names of the table and of its rows are of no patient
        with pytest.raises(DataError, match=r"group_from, found none in 4 names such as 0001\.parquet/000000"):
            read_data(path, group_from=rule)


def test_groups_of_tables_and_lists(folder: Path) -> None:
    frame = pd.DataFrame({"path": [str(folder / name) for name in NAMES], "label": "x", "group": "g"})
    assert groups(frame, group_from=r"/([ab]\d)_[xyz]")[:3] == ["a1", "a1", "a2"]
    assert groups([str(folder / name) for name in NAMES], group_from="parent")[:3] == ["p1", "p1", "p2"]
    with pytest.raises(UsageError, match="Expected groups from names or from group_column, received both"):
        read_data(frame, group_from="parent", group_column="group")
    with pytest.raises(UsageError, match="Expected groups from names or from groups, received both"):
        read_data([str(folder / NAMES[0])], group_from="parent", groups=["g"])


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        ("(", UsageError, r"Expected a regular expression for group_from, or parent, received '\(' \(missing \)"),
        ("p1", UsageError, "Expected parentheses around what is the group .* received 'p1'; add them"),
        (
            "(p9)",
            DataError,
            r"like '\(p9\)' for group_from, found none in 7 names such as train/ill/p1/a1_x\.png; corr",
        ),
        ("(p9)?", DataError, "found none in 7 names"),
    ],
)
def test_rules_that_cannot_be_used(folder: Path, rule: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_data(folder, group_from=rule)


def test_class_folders_are_no_patients(tmp_path: Path) -> None:
    for name in ("ill/1.png", "well/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(
        DataError, match=r"found those of the classes, such as that of ill/1\.png; give a regular exp"
    ):
        read_data(tmp_path, group_from="parent")
    with pytest.raises(DataError, match=r"a folder around each image for group_from, found none in 1 names"):
        read_data(tmp_path / "ill", group_from="parent")


def test_a_group_is_kept_in_one_split(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read_data(folder, group_from="parent", keep_group_in="train")
    assert sorted(item.id for item in data.items) == sorted(set(NAMES) - {"test/ill/p2/a2_z.png"})
    assert (
        "Left out of other splits, because their group is in train: 1 image of 1 group (test 1)." in caplog.messages
    )
    data = read_data(folder, group_from="parent", keep_group_in="test")
    assert sorted(item.id for item in data.items) == sorted(set(NAMES) - {"train/ill/p2/a2_x.png"})
    caplog.clear()
    assert len(read_data(folder, group_from="parent", keep_group_in="val").items) == len(NAMES)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(read_data(folder, keep_group_in="train").items) == len(NAMES)
    assert 'Images have no groups, so keep_group_in="train" changes nothing; see group_from.' in caplog.messages
    with pytest.raises(UsageError, match="Expected keep_group_in to be train, val or test, received 'all'"):
        groups(folder, keep_group_in="all")


def test_groups_in_two_splits_are_counted() -> None:
    def items(*pairs: str) -> list[Item]:
        return [
            Item(f"{n}.png", Path(f"{n}.png"), "x", pair[1:], pair[0].strip() or None) for n, pair in enumerate(pairs)
        ]

    assert groups_in_two_splits(items("atrain", "btest", " train", " test")) == ""
    assert groups_in_two_splits(items("atrain", "atrain", "atest", "btest", " val")) == (
        "1 of 2 groups (3 of 5 images) is in train and in test"
    )
    assert groups_in_two_splits(items("atrain", "atest", "btrain", "bval", "ctest", "cval", "cval")) == (
        "3 of 3 groups (7 of 7 images) are in train and in test (1), in train and in val (1), in val and in test (1)"
    )
