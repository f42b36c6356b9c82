from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from pipeline_data import check_same_rows, digest, files_of, small_data

from featx.errors import DataError, ImageError
from featx.features import extraction
from featx.features.extraction import Extraction, extract
from featx.features.hashing import Failure, Image, hash_images
from featx.networks import build as networks
from featx.networks import keras
from featx.recipes import Recipe

N_TRAIN, N_TEST = 6, 4
N = N_TRAIN + N_TEST
BAD = "train/normal/zzz.png"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> tuple[Path, Extraction]:
    """Sound data and its rows."""
    root = tmp_path_factory.mktemp("clean")
    data = small_data(root / "data", train=3, test=2, classes=2)
    return data, extract(data, recipe, cache=root / "cache", batch_size=2)


@pytest.fixture
def data(clean: tuple[Path, Extraction], tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean[0], tmp_path / "data"))


# Files that cannot be read, and files that cannot be decoded.


def empty(path: Path) -> None:
    path.touch()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.png")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def forbidden(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("no permission stops root")
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    path.chmod(0)


def text(path: Path) -> None:
    path.write_text("not an image")


def truncated(path: Path) -> None:
    content = files_of(path.parent)[0].read_bytes()
    path.write_bytes(content[: len(content) // 2])


def too_large(path: Path) -> None:
    Picture.new("1", (10_000, 10_000)).save(path)


BAD_FILES = [
    (empty, "is empty (zero bytes)"),
    (dangling, "does not exist"),
    (link_to_itself, "cannot be read"),
    (pipe, "is not a regular file but a named pipe"),
    (forbidden, "permission denied"),
    (text, "is not an image that featx reads"),
    (truncated, "is truncated, damaged"),
    (too_large, "100.0 megapixels, more than the limit of 89.5"),
]
Damage = Callable[[Path], None]


@pytest.mark.parametrize(("damage", "reason"), BAD_FILES)
def test_a_bad_image_ends_the_run_and_is_named(
    damage: Damage, reason: str, data: Path, tmp_path: Path, recipe: Recipe
) -> None:
    damage(data / BAD)
    with pytest.raises(ImageError) as caught:
        extract(data, recipe, cache=tmp_path / "cache", batch_size=2)
    assert str(caught.value).startswith(f"{BAD} ")
    assert reason in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(("damage", "reason"), BAD_FILES)
def test_a_bad_image_is_skipped_and_the_rest_is_right(
    damage: Damage, reason: str, data: Path, tmp_path: Path, recipe: Recipe, clean: tuple[Path, Extraction]
) -> None:
    damage(data / BAD)
    found = extract(data, recipe, cache=tmp_path / "cache", on_error="skip")
    json = found.to_json()
    assert [(row["path"], reason in row["reason"]) for row in json["failed"]] == [(BAD, True)]
    assert (json["images"], json["rows"], json["computed"]) == (N + 1, N, N)
    check_same_rows(found, clean[1])
    again = extract(data, recipe, cache=tmp_path / "cache", on_error="skip")
    assert (again.computed, again.failed) == (0, found.failed)


def test_rows_computed_before_a_failure_are_kept(
    data: Path, tmp_path: Path, recipe: Recipe, clean: tuple[Path, Extraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    text(data / "test" / "normal" / "zzz.png")
    with pytest.raises(ImageError, match=r"test/normal/zzz\.png"):
        extract(data, recipe, cache=tmp_path / "cache", batch_size=2)
    (data / "test" / "normal" / "zzz.png").unlink()
    found = extract(data, recipe, cache=tmp_path / "cache", batch_size=2)
    # The failure was the last image, and all batches before it were full.
    assert found.computed == 0
    check_same_rows(found, clean[1])


def test_a_copy_of_a_bad_image_fails_too(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    for name in ("one.png", "two.png"):
        text(data / "test" / "covid" / name)
    found = extract(data, recipe, cache=tmp_path / "cache", on_error="skip")
    assert [failure.path for failure in found.failed] == ["test/covid/one.png", "test/covid/two.png"]
    assert (found.rows, found.computed, len(found.images)) == (N, N, N)


def test_a_listed_file_that_is_missing_is_skipped(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    present = files_of(data / "train" / "covid")[0]
    (data / "list.csv").write_text(f"path,label\n{present.relative_to(data)},covid\nlost.png,normal\n")
    with pytest.raises(DataError, match=r"1 missing \(lost.png\)"):
        extract(data / "list.csv", recipe, cache=tmp_path / "cache")
    found = extract(data / "list.csv", recipe, cache=tmp_path / "cache", on_error="skip")
    assert found.failed == (Failure("lost.png", "does not exist"),)
    assert found.table().digests == (digest(present),)


def test_a_pipe_is_not_waited_for(data: Path, tmp_path: Path, tiny_model: Path) -> None:
    pipe(data / BAD)
    script = "import sys; from featx.cli import main; main()"
    arguments = ["extract", data, "--backbone", tiny_model, "--size", "32", "--cache", tmp_path / "cache"]
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(f"{BAD} is not a regular file but a named pipe;")


# Files that change while featx runs.


def change_after_hashing(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    def hash_then_change(*arguments: Any) -> tuple[list[Image], list[Failure]]:
        outcome = hash_images(*arguments)
        change()
        return outcome

    monkeypatch.setattr(extraction, "hash_images", hash_then_change)


def test_a_file_that_changes_after_hashing_is_refused(
    data: Path, tmp_path: Path, recipe: Recipe, clean: tuple[Path, Extraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = files_of(data / "train" / "normal")[:2]
    with monkeypatch.context() as patch:
        change_after_hashing(patch, lambda: one.write_bytes(other.read_bytes()))
        with pytest.raises(ImageError, match=r"train/normal/.* changed while it was being read; run"):
            extract(data, recipe, cache=tmp_path / "cache")
    shutil.copy(clean[0] / one.relative_to(data), one)
    with monkeypatch.context() as patch:
        change_after_hashing(patch, lambda: one.write_bytes(other.read_bytes()))
        found = extract(data, recipe, cache=tmp_path / "cache", on_error="skip")
        assert [failure.path for failure in found.failed] == [one.relative_to(data).as_posix()]
        assert len(found.images) == N - 1
    shutil.copy(clean[0] / one.relative_to(data), one)
    whole = extract(data, recipe, cache=tmp_path / "cache")
    assert whole.computed == 1
    check_same_rows(whole, clean[1])


@pytest.mark.parametrize("change", [Path.unlink, text], ids=["remove", "replace"])
def test_statistics_without_an_image_that_is_gone_are_not_kept(
    change: Damage, data: Path, tmp_path: Path, featurewise: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = extract(data, featurewise, cache=tmp_path / "undisturbed").spec
    gone = files_of(data / "train" / "normal")[0]
    content = gone.read_bytes()
    with monkeypatch.context() as patch:
        change_after_hashing(patch, lambda: change(gone))
        found = extract(data, featurewise, cache=tmp_path / "cache", on_error="skip")
        assert len(found.failed) == 1
        assert found.spec != expected
    gone.write_bytes(content)
    assert extract(data, featurewise, cache=tmp_path / "cache", on_error="skip").spec == expected


def test_statistics_leave_a_corrupt_image_out_and_are_kept(
    data: Path, tmp_path: Path, featurewise: Recipe, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    expected = extract(data, featurewise, cache=tmp_path / "without")
    truncated(data / BAD)
    one = extract(data, featurewise, cache=tmp_path / "cache", on_error="skip")
    decoded.clear()
    two = extract(data, featurewise, cache=tmp_path / "cache", on_error="skip")
    assert one.spec == two.spec == expected.spec
    assert (two.computed, two.failed, decoded) == (0, one.failed, [BAD])
    check_same_rows(one, expected)
    check_same_rows(two, expected)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    with pytest.raises(ImageError, match=BAD):
        extract(data, featurewise, cache=tmp_path / "afresh")


# Nothing is left.


@pytest.mark.parametrize("damage", [empty, text])
@pytest.mark.parametrize("mode", ["rescale", "featurewise"])
def test_without_any_usable_image_there_is_nothing_to_do(
    damage: Damage, mode: str, tmp_path: Path, recipe: Recipe
) -> None:
    for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        damage(tmp_path / "data" / name)
    spec = recipe.replaced({"preprocess.mode": mode})
    with pytest.raises(DataError, match=r"^None of the \d (training )?images could be used; the first: t.*\.$"):
        extract(tmp_path / "data", spec, cache=tmp_path / "cache", on_error="skip")


def test_an_error_in_the_network_keeps_the_rows_before_it(
    data: Path, tmp_path: Path, recipe: Recipe, clean: tuple[Path, Extraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tiring(keras.KerasNetwork):
        calls = 0

        def rows(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
            self.calls += 1
            if self.calls == 4:
                raise MemoryError
            return np.asarray(super().rows(images))

    with monkeypatch.context() as patch:
        patch.setattr(networks, "KerasNetwork", Tiring)
        with pytest.raises(MemoryError):
            extract(data, recipe, cache=tmp_path / "cache", engine="keras", batch_size=2)
    found = extract(data, recipe, cache=tmp_path / "cache", batch_size=2)
    assert found.computed == N - 3 * 2
    check_same_rows(found, clean[1])
