"""Data in ZIP files, shards and tables: images, classes, splits and columns, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from archive_files import image_table, pictures, write_arrow, write_parquet, write_tar, write_zip

from featx.data import Dataset, read_data, read_paths
from featx.errors import DataError, UsageError
from featx.images import read_bytes

DATA = pictures(8)


def seen(dataset: Dataset) -> list[tuple[str, str, str | None]]:
    """Id, split and label of each image; each can be read by its path, and by the dataset's root and its id."""
    for item in dataset.items:
        assert read_bytes(item.path, item.id) == read_bytes(dataset.root / item.id, item.id)
    return [(item.id, item.split, item.label) for item in dataset.items]


def shard(path: Path, numbers: range, **sidecars: Any) -> Path:
    """A shard with `cls`, `txt` and `json` members as functions of the image's number."""
    members = []
    for i in numbers:
        members.append((f"{i:04d}.png", DATA[i]))
        for ending, make in sidecars.items():
            members.append((f"{i:04d}.{ending}", str(make(i)).encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_tar(path, members)


# --- ZIP files and tar archives that are like folders ---


@pytest.mark.parametrize("top", ["", "xrays/", "a/b/"])
@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_an_archive_is_like_a_folder_also_with_the_folder_itself_in_it(tmp_path: Path, top: str, ending: str) -> None:
    members = {
        f"{top}train/b/1.png": DATA[0],
        f"{top}train/a/2.png": DATA[1],
        f"{top}test/a/3.png": DATA[2],
        "__MACOSX/._x.png": b"",
        f"{top}.hidden/a/4.png": DATA[3],
    }
    archive = tmp_path / f"x.{ending}"
    write_zip(archive, members) if ending == "zip" else write_tar(archive, members.items())
    assert seen(read_data(archive)) == [
        (f"x.{ending}/{top}train/a/2.png", "train", "a"),
        (f"x.{ending}/{top}train/b/1.png", "train", "b"),
        (f"x.{ending}/{top}test/a/3.png", "test", "a"),
    ]


def test_class_folders_flat_archives_and_folders_in_archives(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a/1.png": DATA[0], "b/2.png": DATA[1]})
    assert [row[1:] for row in seen(read_data(archive))] == [("train", "a"), ("train", "b")]
    assert [row[1:] for row in seen(read_data(archive, labels="none"))] == [("train", None)] * 2
    flat = write_zip(tmp_path / "flat.zip", {"1.png": DATA[0], "2.png": DATA[1]})
    assert seen(read_data(flat)) == [("flat.zip/1.png", "train", None), ("flat.zip/2.png", "train", None)]
    inner = write_zip(tmp_path / "in.zip", {"x/a/1.png": DATA[0], "x/b/2.png": DATA[1], "y/3.png": DATA[2]})
    assert seen(read_data(inner / "x")) == [("a/1.png", "train", "a"), ("b/2.png", "train", "b")]


def test_images_in_archives_are_given_by_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_zip(Path("x.zip"), {"a/1.png": DATA[0], "b/2.png": DATA[1]})
    write_parquet(Path("t.parquet"), image_table(DATA[2:4]))
    assert [item.id for item in read_paths(["x.zip/b/2.png", "t.parquet/000001"]).items] == [
        "x.zip/b/2.png",
        "t.parquet/000001",
    ]
    assert seen(read_paths(["x.zip", Path("t.parquet")])) == [
        ("x.zip/a/1.png", "test", None),
        ("x.zip/b/2.png", "test", None),
        ("t.parquet/000000", "test", None),
        ("t.parquet/000001", "test", None),
    ]


def test_the_paths_of_a_manifest_may_lead_into_archives(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"a/1.png": DATA[0]})
    write_parquet(tmp_path / "t.parquet", image_table(DATA[2:4]))
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,label\nx.zip/a/1.png,k\nt.parquet/000001,l\n")
    assert seen(read_data(manifest)) == [("t.parquet/000001", "train", "l"), ("x.zip/a/1.png", "train", "k")]
    manifest.write_text("path,label\nx.zip/a/1.png,k\nx.zip/a/2.png,l\n")
    with pytest.raises(DataError, match=r"found 1 missing \(x.zip/a/2.png\)"):
        read_data(manifest)


def test_archives_beside_images_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(DATA[0])
    write_zip(tmp_path / "x.zip", {"a/2.png": DATA[1]})
    assert len(read_data(tmp_path).items) == 2
    assert "left out (1): x.zip" in caplog.text


def test_a_table_beside_archives_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_zip(tmp_path / "x.zip", {"a/1.png": DATA[0], "b/2.png": DATA[1]})
    (tmp_path / "labels.csv").write_text("path,label\nx.zip/a/1.png,k\n")
    assert len(read_data(tmp_path).items) == 2
    assert "Tables beside archives were left out (1): labels.csv; give a table itself" in caplog.text
    assert len(read_data(tmp_path / "labels.csv").items) == 1


def test_what_of_an_archive_cannot_be_read_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a/1.png": DATA[0], "b/1.png": DATA[1], "../c/2.png": DATA[2]})
    assert len(read_data(archive).items) == 2
    assert "In x.zip there are names that lead out of the archive (1): ../c/2.png" in caplog.text


# --- shards ---


def test_shards_have_classes_captions_and_columns(tmp_path: Path) -> None:
    for name, numbers in (("train-000000", range(3)), ("train-000001", range(3, 6)), ("val-000000", range(6, 8))):
        shard(
            tmp_path / f"{name}.tar",
            numbers,
            cls=lambda i: "ab"[i % 2],
            txt=lambda i: f"image {i}\n",
            json=lambda i: json.dumps({"age": i, "nested": [1], "path": f"old/{i}.png"}),
        )
    dataset = read_data(tmp_path)
    assert seen(dataset)[:1] + seen(dataset)[-1:] == [
        ("train-000000.tar/0000.png", "train", "a"),
        ("val-000000.tar/0007.png", "val", "b"),
    ]
    assert dataset.items[1].extra == {"age": 1, "image_path": "old/1.png", "caption": "image 1"}
    assert [read_bytes(item.path, item.id) for item in dataset.items] == DATA


def test_one_shard_is_for_training_and_its_columns_mean_what_those_of_a_manifest_do(tmp_path: Path) -> None:
    make = lambda i: json.dumps({"dx": "kl"[i % 2], "patient_id": i // 2, "set": ("train", "test")[i > 5]})  # noqa: E731
    path = shard(tmp_path / "test-0.tar", range(8), json=make)
    items = read_data(path).items
    assert {(item.split, item.label) for item in items} == {(s, k) for s in ("train", "test") for k in "kl"}
    assert [item.group for item in items] == ["0", "0", "1", "1", "2", "2", "3", "3"]


def test_of_several_images_of_a_sample_the_plain_one_is_taken(tmp_path: Path) -> None:
    members = [("1.png", DATA[0]), ("1.seg.png", DATA[1]), ("1.cls", b"3"), ("2.left.png", DATA[2])]
    members += [("2.right.png", DATA[3]), ("2.cls", b"4")]
    assert seen(read_data(write_tar(tmp_path / "x.tar", members))) == [
        ("x.tar/1.png", "train", "3"),
        ("x.tar/2.left.png", "train", "4"),
        ("x.tar/2.right.png", "train", "4"),
    ]


def test_masks_of_a_shard_are_left_out_and_lists_are_several_labels(tmp_path: Path) -> None:
    members = [(f"{i}.{ending}", DATA[i]) for i in range(3) for ending in ("png", "seg.png")]
    assert [name for name, *_ in seen(read_data(write_tar(tmp_path / "a.tar", members)))] == [
        *("a.tar/0.png", "a.tar/1.png", "a.tar/2.png")
    ]
    names = [("1.2.840.1.png", DATA[0]), ("1.png", DATA[1])]  # no masks: identifiers of DICOM have points
    assert len(read_data(write_tar(tmp_path / "b.tar", names)).items) == 2
    labels = [["a"], ["a", "b"], []]
    records = [(f"{i}.json", json.dumps({"label": labels[i], "boxes": [[1]]}).encode()) for i in range(3)]
    dataset = read_data(write_tar(tmp_path / "c.tar", [*members, *records]))
    assert dataset.classes == ("a", "b")
    assert [item.targets for item in dataset.items][:2] == [(1.0, 0.0), (1.0, 1.0)]


def test_folders_of_a_shard_are_classes_if_no_member_says_them(tmp_path: Path) -> None:
    members = [("a/1.png", DATA[0]), ("a/1.json", b'{"boxes": []}'), ("b/2.png", DATA[1]), ("b/2.txt", b"0 1 1 2 2")]
    assert [row[2] for row in seen(read_data(write_tar(tmp_path / "x.tar", members)))] == ["a", "b"]
    members = [*members, ("a/1.cls", b"k"), ("b/2.cls", b"l")]
    assert [row[2] for row in seen(read_data(write_tar(tmp_path / "y.tar", members)))] == ["k", "l"]


@pytest.mark.parametrize(
    ("sidecars", "sentence"),
    [
        ({"json": lambda i: "{"}, "Expected in 0000.json of .*x.tar JSON, found other text"),
        ({"json": lambda i: "[1]"}, "Expected in 0000.json of .*x.tar a JSON object, found another value"),
        (
            {"json": lambda i: json.dumps({f"{i}-{k}": k for k in range(9_000)})},
            "Expected at most 10000 columns in .*x.tar, found 18001",
        ),
    ],
)
def test_members_of_a_shard_that_cannot_be_read(tmp_path: Path, sidecars: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_data(shard(tmp_path / "x.tar", range(2), **sidecars))


# --- tables ---


@pytest.mark.parametrize("write", [write_parquet, write_arrow], ids=["parquet", "arrow"])
def test_a_table_of_the_library_datasets(tmp_path: Path, write: Any) -> None:
    ending = "parquet" if write is write_parquet else "arrow"
    for name, numbers in (("train-00000-of-00002", range(3)), ("train-00001-of-00002", range(3, 6))):
        table = image_table(
            [DATA[i] for i in numbers],
            names=["normal", "covid"],
            label=[i % 2 for i in numbers],
            age=list(numbers),
            files=[f"{i}.png" for i in numbers],
        )
        write(tmp_path / "data" / f"{name}.{ending}", table)
    test = image_table(DATA[6:], names=["normal", "covid"], label=[1, -1], age=[6, 7])
    write(tmp_path / "data" / f"test-00000-of-00001.{ending}", test)
    (tmp_path / "README.md").write_text("a card")
    dataset = read_data(tmp_path)
    assert seen(dataset)[3:] == [
        (f"data/train-00001-of-00002.{ending}/000000", "train", "covid"),
        (f"data/train-00001-of-00002.{ending}/000001", "train", "normal"),
        (f"data/train-00001-of-00002.{ending}/000002", "train", "covid"),
        (f"data/test-00000-of-00001.{ending}/000000", "test", "covid"),
        (f"data/test-00000-of-00001.{ending}/000001", "test", None),
    ]
    assert dataset.items[0].extra == {"age": 0, "image_path": "0.png"}
    assert [read_bytes(item.path, item.id) for item in dataset.items] == DATA


def test_splits_may_be_folders_and_without_any_all_is_for_training(tmp_path: Path) -> None:
    for name in ("train/0000", "test/0000"):
        write_parquet(tmp_path / "a" / f"{name}.parquet", image_table(DATA[:2], label=["k", "l"]))
    assert [row[:2] for row in seen(read_data(tmp_path / "a"))] == [
        ("train/0000.parquet/000000", "train"),
        ("train/0000.parquet/000001", "train"),
        ("test/0000.parquet/000000", "test"),
        ("test/0000.parquet/000001", "test"),
    ]
    for number in range(2):
        write_parquet(tmp_path / "b" / f"{number:05d}.parquet", image_table(DATA[:2], label=["k", "l"]))
    assert {row[1] for row in seen(read_data(tmp_path / "b"))} == {"train"}


def test_the_names_of_archives_may_mention_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("xray-train-000000", "xray-train-000001", "xray-val-000000", "xray-dev-test"):
        shard(tmp_path / "a" / f"{name}.tar", range(2), cls=lambda i: i)
    assert {name.partition("/")[0]: split for name, split, _ in seen(read_data(tmp_path / "a"))} == {
        "xray-train-000000.tar": "train",
        "xray-train-000001.tar": "train",
        "xray-val-000000.tar": "val",
    }
    assert "Archives beside those for training were left out (1): xray-dev-test.tar" in caplog.messages
    for name in ("xray", "xray-test"):
        shard(tmp_path / "b" / f"{name}.tar", range(2), cls=lambda i: i)
    assert {split for _, split, _ in seen(read_data(tmp_path / "b"))} == {"train"}
    text = "Archives with the name of a split (1) are for training, because none is named train: xray-test.tar"
    assert text in caplog.messages


def test_texts_and_categories_as_polars_writes_them(tmp_path: Path) -> None:
    import pyarrow as pa

    texts = pa.array(["a", "b"], pa.string_view())
    labels = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1], pa.uint32()), texts)
    columns = {
        "img": pa.array(DATA[:4], pa.binary_view()),
        "label": labels,
        "side": pa.array("llrr", pa.string_view()),
    }
    dataset = read_data(write_arrow(tmp_path / "x.arrow", pa.table(columns)))
    assert [label for *_, label in seen(dataset)] == list("abab")
    assert [item.extra["side"] for item in dataset.items] == list("llrr")
    assert [read_bytes(item.path, item.id) for item in dataset.items] == DATA[:4]


def test_the_only_column_of_classes_has_the_labels_and_columns_can_be_chosen(tmp_path: Path) -> None:
    import pyarrow as pa

    features = {"image": {"_type": "Image"}, "disease": {"names": ["k", "l"], "_type": "ClassLabel"}}
    table = image_table(DATA[:4], disease=[0, 1, 0, 1], side=list("lrlr"), who=[1, 1, 2, 2])
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path = write_parquet(tmp_path / "x.parquet", table)
    assert [item.label for item in read_data(path).items] == ["k", "l", "k", "l"]
    chosen = read_data(path, label_column="side", group_column="who")
    assert [(item.label, item.group) for item in chosen.items] == [("l", "1"), ("r", "1"), ("l", "2"), ("r", "2")]
    two = write_parquet(
        tmp_path / "two.parquet", pa.table({"left": DATA[:2], "right": DATA[2:4], "label": ["a", "b"]})
    )
    with pytest.raises(DataError, match=r"Expected one column of images in .*, found left, right; choose with"):
        read_data(two)
    right = read_data(two, image_column="right")
    assert seen(right)[0] == ("two.parquet/right/000000", "train", "a")
    assert [read_bytes(item.path, item.id) for item in right.items] == DATA[2:4]
    with pytest.raises(DataError, match=r"Expected the column up of bytes in .*, found left, right"):
        read_data(two, image_column="up")


def test_lists_of_classes_are_several_labels(tmp_path: Path) -> None:
    features = {"label": {"feature": {"names": ["e", "f", "g"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    table = image_table(DATA[:3], label=[[0, 2], [], [1]])
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    dataset = read_data(write_parquet(tmp_path / "x.parquet", table))
    assert dataset.classes == ("e", "f", "g")
    assert dataset.items[0].targets == (1, 0, 1)
    assert dataset.items[2].targets == (0, 1, 0)
    as_one = read_data(tmp_path / "x.parquet", label_separator="none")
    assert [item.label for item in as_one.items] == ["e|g", None, "f"]


def test_an_image_that_is_not_in_the_table_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "1.png").write_bytes(DATA[1])
    table = image_table(
        [DATA[0], None, None], files=["files/1.png", "files/1.png", "gone.png"], label=["a", "b", "a"]
    )
    dataset = read_data(write_parquet(tmp_path / "x.parquet", table))
    assert [item.id for item in dataset.items] == ["files/1.png", "x.parquet/000000", "x.parquet/000002"]
    assert [read_bytes(item.path, item.id) for item in dataset.items[:2]] == [DATA[1], DATA[0]]


def test_a_table_of_paths_is_a_manifest_whatever_bytes_are_beside_them(tmp_path: Path) -> None:
    import pyarrow as pa

    (tmp_path / "1.png").write_bytes(DATA[0])
    (tmp_path / "2.png").write_bytes(DATA[1])
    columns = {"path": ["1.png", "2.png"], "label": ["a", "b"], "md5": [b"1", b"2"]}
    path = write_parquet(tmp_path / "x.parquet", pa.table(columns))
    assert [item.id for item in read_data(path).items] == ["1.png", "2.png"]
    both = write_parquet(tmp_path / "y.parquet", image_table(DATA[:2], path=["1.png", "2.png"], label=["a", "b"]))
    assert [item.id for item in read_data(both).items] == ["y.parquet/000000", "y.parquet/000001"]
    assert [item.id for item in read_data(both, path_column="path").items] == ["1.png", "2.png"]


# --- what is refused ---


def test_a_damaged_table_of_a_folder_is_not_missed(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "train-00000-of-00002.parquet", image_table(DATA[:4], label=list("abab")))
    other = tmp_path / "train-00001-of-00002.parquet"
    other.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(
        DataError, match=r"train-00001-of-00002\.parquet cannot be read \(it is damaged or no Parquet"
    ):
        read_data(tmp_path)
    other.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(
        DataError, match=r"00001-of-00002\.parquet cannot be read \(it is what Git LFS has .*lfs pull"
    ):
        read_data(tmp_path)


def test_archives_in_an_archive_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inner = write_zip(tmp_path / "inner.zip", {"a/1.png": DATA[0]})
    path = write_zip(tmp_path / "x.zip", {"b/2.png": DATA[1], "more/inner.zip": inner.read_bytes()})
    assert [name for name, *_ in seen(read_data(path))] == ["x.zip/b/2.png"]
    assert "Archives in x.zip are not read (1: more/inner.zip); unpack it to read them." in caplog.messages


def lists(path: Path) -> None:
    import pyarrow as pa

    write_parquet(path, pa.table({"images": [DATA[:2], DATA[2:4]], "label": ["a", "b"]}))


REFUSED: dict[str, tuple[str, Any, str]] = {
    "gzip": ("x.tar.gz", lambda path: path.write_bytes(b"\x1f\x8b"), "compressed as a whole; run gunzip on it and"),
    "rar": ("x.rar", lambda path: path.write_bytes(b"Rar!"), "unpack it with unrar x and give the folder"),
    "empty ZIP": ("x.zip", lambda path: write_zip(path, {}), "Expected images in .*x.zip, found an empty archive"),
    "text": ("x.zip", lambda path: path.write_text("no"), "x.zip cannot be read \\(it is damaged or no ZIP archive"),
    "no image": ("x.zip", lambda path: write_zip(path, {"a.txt": b"1"}), "in .*x.zip, found none, and no images"),
    "lists": ("x.parquet", lists, "one image in each row of .*, found lists of images in column images"),
    "no rows": (
        "x.arrow",
        lambda path: write_arrow(path, image_table([])),
        "a row for each image in .*, found no",
    ),
    "no Arrow": ("x.arrow", lambda path: path.write_text("no arrow"), "it is damaged or no Arrow file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    name, write, sentence = REFUSED[case]
    write(tmp_path / name)
    with pytest.raises(DataError, match=sentence):
        read_data(tmp_path / name)


def test_tables_with_other_columns_and_archives_without_training_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a" / "0.parquet", image_table(DATA[:2], label=["k", "l"], age=[1, 2]))
    write_parquet(tmp_path / "a" / "1.parquet", image_table(DATA[:2], label=["k", "l"], age=["1", "2"]))
    with pytest.raises(DataError, match=r"same kinds of columns in all tables of .*a, but 1.parquet differs"):
        read_data(tmp_path / "a")
    for name in ("test-0", "val-0"):
        write_parquet(tmp_path / "b" / f"{name}.parquet", image_table(DATA[:2], label=["k", "l"]))
    with pytest.raises(DataError, match=r"archives for training beside test-0.parquet, val-0.parquet, found none"):
        read_data(tmp_path / "b")


def test_folders_are_no_classes_of_tables_and_shards(tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "x.parquet", image_table(DATA[:2], label=["a", "b"]))
    sentence = r"Expected labels=.folder. with a folder, received .*\.(parquet|tar), a table"
    for path in (table, shard(tmp_path / "x.tar", range(2), cls=str)):
        with pytest.raises(UsageError, match=sentence):
            read_data(path, labels="folder")


def test_a_column_of_images_is_chosen_for_new_images(tmp_path: Path) -> None:
    cells = image_table(DATA[:2])["image"]
    table = image_table(DATA[2:4], label=["k", "l"]).rename_columns(["left", "label"]).append_column("right", cells)
    path = write_parquet(tmp_path / "two.parquet", table)
    with pytest.raises(DataError, match=r"found left, right; choose with --image-column"):
        read_paths(path)
    dataset = read_paths(path, image_column="right")
    assert [read_bytes(item.path, item.id) for item in dataset.items] == DATA[:2]
    (tmp_path / "1.png").write_bytes(DATA[0])
    with pytest.raises(UsageError, match=r"--image-column right, received none; leave it out"):
        read_paths(tmp_path / "1.png", image_column="right")


def test_columns_are_for_tables(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a/1.png": DATA[0], "b/2.png": DATA[1]})
    for choice in ({"label_column": "kind"}, {"image_column": "image"}):
        with pytest.raises(UsageError, match=r"Expected no (label_column|image_column) with the folders of .*x.zip"):
            read_data(archive, **choice)  # type: ignore[arg-type]
