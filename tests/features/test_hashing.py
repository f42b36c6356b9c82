from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import featx
from featx.data import HeldOutTest, Item
from featx.errors import DataError, UsageError
from featx.features import Extraction, Image, data_digest, extract_dataset
from featx.recipes import Recipe

N = 10


@pytest.fixture(scope="module")
def pixels() -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (2 * N, 6, 6, 3), np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, pixels: list[NDArray[np.uint8]]) -> Path:
    """Ten images of each of two classes, and no test split."""
    root = tmp_path_factory.mktemp("photos")
    for number, image in enumerate(pixels):
        path = root / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Pillow.fromarray(image).save(path)
    return root


def for_test(extraction: Extraction) -> set[str]:
    """The digests of the images for testing."""
    return {image.digest for image in extraction.select("test")}


def by_class(extraction: Extraction, split: str = "test") -> Counter[str | None]:
    return Counter(image.item.label for image in extraction.select(split))


def test_a_share_of_each_class_is_set_aside_whatever_names_and_order(
    photos: Path, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="featx")
    first = featx.extract(photos, recipe, cache=tmp_path / "cache", test=0.3)
    assert by_class(first) == {"a": 3, "b": 3}
    assert by_class(first, "train") == {"a": 7, "b": 7}
    assert first.dataset.counts() == {"train": {"a": 7, "b": 7}, "test": {"a": 3, "b": 3}}
    assert "Set aside for testing: 6 of 20 images (share 0.3, split seed 0); 14 are for training." in caplog.messages

    renamed = tmp_path / "renamed"
    files = sorted(photos.rglob("*.png"))
    for number, path in enumerate(reversed(files)):
        (renamed / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, renamed / path.parent.name / f"{number:03}.png")
    listed = pd.DataFrame({"path": files[::-1], "label": [path.parent.name for path in files[::-1]]})
    for data in (renamed, listed):
        assert for_test(featx.extract(data, recipe, cache=tmp_path / "cache", test=0.3)) == for_test(first)
    # The network does not move it, another seed does.
    other = recipe.replaced({"preprocess.mode": "featurewise"})
    assert for_test(featx.extract(photos, other, cache=tmp_path / "cache", test=0.3)) == for_test(first)
    assert for_test(featx.extract(photos, recipe, cache=tmp_path / "cache", test=0.3, split_seed=1)) != for_test(
        first
    )


def test_groups_and_copies_stay_together(photos: Path, recipe: Recipe, tmp_path: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    copy = tmp_path / "copy.png"
    shutil.copy(files[0], copy)
    frame = pd.DataFrame(
        {
            "path": [*files, copy],
            "label": [*(path.parent.name for path in files), files[0].parent.name],
            # Pairs of patients; the copy is of another patient than its original.
            "patient": [*(f"p{number // 2}" for number in range(len(files))), "p9"],
        }
    )
    for seed in range(5):
        extraction = featx.extract(
            frame, recipe, cache=tmp_path / "cache", group_column="patient", test=0.4, split_seed=seed
        )
        splits: dict[str, set[str]] = {}
        for image in extraction.images:
            for key in (image.item.group or "", image.digest):
                splits.setdefault(key, set()).add(image.item.split)
        assert {len(names) for names in splits.values()} == {1}
        assert splits["p0"] == splits["p9"]


def test_validation_images_stay_for_validation(photos: Path, recipe: Recipe, tmp_path: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    split = ["val" if number % 5 == 0 else "train" for number in range(len(files))]
    frame = pd.DataFrame({"path": files, "label": [path.parent.name for path in files], "split": split})
    extraction = featx.extract(frame, recipe, cache=tmp_path / "cache", test=0.25)
    assert by_class(extraction, "val") == {"a": 2, "b": 2}
    assert by_class(extraction) == {"a": 2, "b": 2}
    assert [image.item.id for image in extraction.images] == list(map(str, files))


def test_an_image_that_is_skipped_counts_for_nothing(photos: Path, recipe: Recipe, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(photos, data)
    (data / "a" / "empty.png").touch()
    extraction = featx.extract(data, recipe, cache=tmp_path / "cache", test=0.3, on_error="skip")
    assert [failure.path for failure in extraction.failed] == ["a/empty.png"]
    assert for_test(extraction) == for_test(featx.extract(photos, recipe, cache=tmp_path / "cache", test=0.3))


@pytest.mark.parametrize(
    ("labels", "share", "message"),
    [
        (["a"] * 5 + ["b"], 0.2, "images of b both for training and for testing, but there is only one; add images"),
        (["a"] * 8 + ["b"] * 2, 0.2, "a share of 0.2 of its 2 images is none of them; choose another share"),
        (["a"] * 3 + ["b"] * 3, 0.9, "a share of 0.9 of its 3 images is all of them; choose another share"),
    ],
)
def test_classes_too_small_to_be_divided(
    labels: list[str], share: float, message: str, pixels: list[NDArray[np.uint8]], recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        featx.extract(pixels[: len(labels)], recipe, cache=tmp_path, labels=labels, test=share)


def test_data_with_a_test_split_refuses_another(photos: Path, recipe: Recipe, tmp_path: Path) -> None:
    dataset = featx.read_data(photos, test=0.3)
    assert dataset.test == HeldOutTest(0.3, 0)
    extraction = extract_dataset(dataset, recipe, cache=tmp_path)
    # What was divided once stays as it is.
    assert for_test(extract_dataset(extraction.dataset, recipe, cache=tmp_path)) == for_test(extraction)
    with pytest.raises(
        UsageError, match=r"without a test split for a share of 0\.3 .* 6 images of .* are for testing"
    ):
        featx.extract(extraction.dataset, recipe, cache=tmp_path, test=0.3)
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(UsageError, match="above 0 and below 1"):
            featx.read_data(photos, test=share)
    with pytest.raises(UsageError, match=r"with the split seed 3; add test=0\.2"):
        featx.read_data(photos, split_seed=3)


def test_the_digest_of_data_has_targets_by_name_and_no_other_change() -> None:
    def image(name: str, label: str | None, targets: tuple[float, ...] | None = None) -> Image:
        return Image(Item(name, Path(name), label, "train", targets=targets), name)

    # SHA-256 of [["1","x","train"],["2",null,"train"]], as it was before images could have several labels.
    plain = hashlib.sha256(b'[["1","x","train"],["2",null,"train"]]').hexdigest()
    assert data_digest([image("2", None), image("1", "x")]) == plain
    nan = float("nan")
    several = data_digest([image("1", None, (1, 0)), image("2", None, (nan, 1))], ("a", "b"))
    assert several == data_digest([image("2", None, (nan, 1)), image("1", None, (1, 0))], ("a", "b"))
    others = [
        data_digest([image("1", None, (1, 0)), image("2", None, (0, 1))], ("a", "b")),
        data_digest([image("1", None, (1, 0)), image("2", None, (nan, 1))], ("a", "c")),
    ]
    assert len({several, *others}) == 3
    assert data_digest([image("1", None, (0, nan))], ("a", "b")) == data_digest([image("1", None, (0,))], ("a",))
