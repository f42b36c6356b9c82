from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from altered_copies import ALTERATIONS, picture
from audit_data import audit_data_of
from PIL import Image

from featx.audits import AuditData
from featx.audits.duplicates import Duplicates, examine_duplicates
from featx.duplicates import copies
from featx.errors import DataError
from featx.images import content_digest
from featx.pages import Gallery, Page, Section, render
from featx.runs import Predicted

N = 20
CLASSES = ("cat", "dog")
# Copies: of the first training image and of the second in the test, of the third under another label.
COPIED = {
    N: ("mirrored", 0, "test", "cat"),
    N + 1: ("cropped", 1, "test", "dog"),
    N + 2: ("brighter", 2, "train", "dog"),
}


def data_of(tmp_path: Path, copied: dict[int, tuple[str, int, str, str]], **more: Any) -> AuditData:
    images = [picture(seed) for seed in range(N)]
    labels = [CLASSES[k % 2] for k in range(N)]
    splits = ["test" if k >= 16 else "train" for k in range(N)]
    X = np.random.default_rng(0).normal(size=(N + len(copied), 30)) + 1
    for number, (change, original, split, label) in copied.items():
        images.append(ALTERATIONS[change](images[original]))
        labels.append(label)
        splits.append(split)
        X[number] = X[original] + 0.02 * X[number]
    data = audit_data_of(tmp_path, labels, X=X, splits=splits, **more)
    files, digests = [], []
    for name, image in zip(data.source.table.ids, images, strict=True):
        image.save(tmp_path / name)
        files.append(tmp_path / name)
        digests.append(content_digest((tmp_path / name).read_bytes()))
    table = replace(data.source.table, digests=tuple(digests))
    return replace(data, source=replace(data.source, table=table, files=tuple(files)))


def section(part: Duplicates, data: AuditData) -> str:
    return render(Page("t", part.summary(), (Section("s", "s", part.blocks(data, "s-")),), ()))


def test_planted_copies_are_found_and_alarm(tmp_path: Path) -> None:
    data = data_of(tmp_path, COPIED)
    part = examine_duplicates(data)
    assert {(pair.a, pair.b) for pair in part.pairs} == {
        ("0000.png", "0020.png"),
        ("0001.png", "0021.png"),
        ("0002.png", "0022.png"),
    }
    document = next(pair for pair in part.to_json() if pair["b"] == "0020.png")
    assert document["splits"] == ["train", "test"]
    assert document["how"] == "mirrored"
    assert document["cosine"] > 0.99
    leaks, labels = part.alarms()
    assert leaks.startswith("2 of 6 test images are copies of images for training")
    assert "0002.png (cat) and 0022.png (dog)" in labels
    assert part.summary()[0] == "6 of 23 images are copies of one another, in 3 groups."
    column = part.columns()["duplicate_group"]
    assert [number for number, group in enumerate(column) if group] == [0, 1, 2, 20, 21, 22]
    assert column[0] == column[20] != column[1]


def test_groups_are_pictures_side_by_side(tmp_path: Path) -> None:
    data = data_of(tmp_path, COPIED)
    part = examine_duplicates(data)
    galleries = [block for block in part.blocks(data, "s-") if isinstance(block, Gallery)]
    assert [len(gallery.pictures) for gallery in galleries] == [2, 2, 2]
    assert all(picture.source for gallery in galleries for picture in gallery.pictures)
    assert section(part, data).count("data:image/jpeg") == 6
    header, rows = part.table()
    assert len(rows) == 3
    assert header[:3] == ("group", "a", "b")


def test_pictures_of_a_group_begin_with_the_training_image(tmp_path: Path) -> None:
    data = data_of(tmp_path, {N: ("mirrored", 17, "train", "dog")})
    (gallery,) = (block for block in examine_duplicates(data).blocks(data, "s-") if isinstance(block, Gallery))
    assert [picture.name for picture in gallery.pictures] == ["0020.png", "0017.png"]


def test_a_runs_accuracy_is_given_without_copies(tmp_path: Path) -> None:
    # Of the test images 16 to 19, the last is wrong; both copies are right.
    probabilities = np.array([[0.9, 0.1] if k % 2 == 0 else [0.1, 0.9] for k in range(N)] + [[0.9, 0.1], [0.1, 0.9]])
    probabilities[19] = [0.9, 0.1]
    roles = ("fit",) * 16 + ("test",) * 6
    copied = {number: COPIED[number] for number in (N, N + 1)}
    part = examine_duplicates(data_of(tmp_path, copied, predicted=Predicted(CLASSES, probabilities, roles)))
    assert part.score is not None
    assert part.without is not None
    assert (part.score.correct, part.score.n) == (5, 6)
    assert (part.without.correct, part.without.n) == (3, 4)
    assert "the accuracy is 83.3 % with them and 75.0 % on the 4 test images without" in part.alarms()[0]


def test_without_copies_all_is_well(tmp_path: Path) -> None:
    data = data_of(tmp_path, {})
    part = examine_duplicates(data)
    assert (part.pairs, part.alarms()) == ((), ())
    assert part.summary() == ("None of 20 images is a copy of another.",)
    assert "Candidates are" in section(part, data)


def test_copies_within_a_split_and_under_one_label_are_no_alarm(tmp_path: Path) -> None:
    copied = {N: ("mirrored", 0, "train", "cat")}
    groups = [f"patient {k}" for k in range(N + 1)]
    part = examine_duplicates(data_of(tmp_path, copied, groups=groups))
    assert part.alarms() == ()
    assert part.summary()[1].startswith("The images of 1 of 1 pairs are in different groups")


def test_images_whose_files_are_gone_are_counted(tmp_path: Path) -> None:
    data = data_of(tmp_path, {})
    (tmp_path / "0003.png").unlink()
    assert examine_duplicates(data).summary()[-1].startswith("1 image could not be compared")


def test_too_many_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST_ROWS", 10)
    with pytest.raises(DataError, match="too many"):
        examine_duplicates(data_of(tmp_path, {}))


def test_images_in_memory(tmp_path: Path) -> None:
    data = data_of(tmp_path, COPIED)
    pixels = tuple(np.asarray(Image.open(path)) for path in data.source.files)
    gone = tuple(tmp_path / "nowhere" for _ in pixels)
    held = replace(data, source=replace(data.source, files=gone, pixels=pixels))
    part = examine_duplicates(held)
    assert len(part.pairs) == 3
    assert section(part, held).count("data:image/jpeg") == 6
