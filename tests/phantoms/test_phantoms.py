from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.errors import UsageError
from featx.phantoms.anatomy import Lines, Pose, branches, draw, thorax
from featx.phantoms.phantoms import CLASSES, MIN_SIZE, phantom, write_phantoms

Grey = npt.NDArray[np.uint8]
Change = npt.NDArray[np.float64]
PAIRS = 24


@cache
def change(kind: str, seed: int) -> Change:
    """What a finding changes in the image of one patient, in grey levels."""
    return phantom(kind, seed).astype(np.float64) - phantom("normal", seed)


@cache
def sample() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Forty images of each class, each of another patient."""
    images = [phantom(kind, 1000 * label + i) for label, kind in enumerate(CLASSES) for i in range(40)]
    return np.stack(images) / 255, np.repeat(np.arange(len(CLASSES)), 40)


def accuracy(features: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return float(cross_val_score(model, features, labels, cv=5).mean())


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")}


# One image


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("size", [MIN_SIZE, 97, 224])
def test_a_phantom_is_a_square_grey_image_that_uses_the_grey_scale(kind: str, size: int) -> None:
    image = phantom(kind, 5, size)
    assert image.shape == (size, size)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert np.percentile(image, 99) - np.percentile(image, 1) > 100


@pytest.mark.parametrize("kind", CLASSES)
def test_the_same_seed_gives_the_same_image_and_another_seed_another(kind: str) -> None:
    assert np.array_equal(phantom(kind, 3), phantom(kind, 3))
    assert np.abs(phantom(kind, 3).astype(int) - phantom(kind, 4)).mean() > 5


def test_an_image_looks_like_a_chest() -> None:
    mean = np.mean([phantom("normal", seed) for seed in range(PAIRS)], axis=0)
    right_lung, left_lung = mean[70:110, 45:75].mean(), mean[70:90, 150:175].mean()
    mediastinum, abdomen, above_shoulder = (
        mean[90:140, 106:118].mean(),
        mean[190:205, 60:160].mean(),
        mean[6:14, 8:30],
    )
    assert max(right_lung, left_lung) + 60 < min(mediastinum, abdomen)
    assert above_shoulder.mean() + 60 < mediastinum
    # The heart lies to the patient's left, which is the image's right.
    assert mean[125:145, 124:144].mean() > mean[125:145, 80:100].mean() + 20


def test_ribs_show_through_the_lungs() -> None:
    # A column through the outer lung crosses rib after rib: it goes up and down, with a rib's period.
    for seed in range(5):
        column = phantom("normal", seed, 224)[60:130, 50:54].mean(axis=1)
        wave = np.abs(np.fft.rfft((column - np.poly1d(np.polyfit(range(70), column, 2))(range(70))) * np.hanning(70)))
        assert 3 <= wave.argmax() <= 10


@pytest.mark.parametrize("kind", CLASSES)
def test_another_size_shows_the_same_image(kind: str) -> None:
    for seed in range(4):
        large = phantom(kind, seed, 224).reshape(112, 2, 112, 2).mean(axis=(1, 3))
        small = phantom(kind, seed, 112)
        assert np.corrcoef(large.ravel(), small.ravel())[0, 1] > 0.98
        assert abs(large.mean() - small.mean()) < 3


# How the classes differ


@pytest.mark.slow
def test_consolidation_lies_in_one_lung() -> None:
    for seed in range(PAIRS):
        brighter = np.clip(change("pneumonia_bac", seed) - 8, 0, None)
        patient = thorax(np.random.default_rng([seed, 0]), 224)
        one, other = sorted([brighter[patient.u < 0].sum(), brighter[patient.u > 0].sum()])
        assert other > one == 0


@pytest.mark.slow
def test_consolidation_changes_side_and_place() -> None:
    centres = []
    for seed in range(PAIRS):
        rows, columns = np.nonzero(change("pneumonia_bac", seed) > 15)
        centres.append((rows.mean(), columns.mean()))
    rows_of, columns_of = np.array(centres).T
    assert 0.2 < np.mean(columns_of > 112) < 0.8
    assert np.ptp(rows_of) > 50


@pytest.mark.slow
def test_ground_glass_lies_in_both_lungs_and_near_their_rims() -> None:
    shares, depths = [], []
    for seed in range(PAIRS):
        patient = thorax(np.random.default_rng([seed, 0]), 224)
        brighter = np.clip(change("covid", seed), 0, None)
        shares.append(brighter[:, :112].sum() / brighter.sum())
        rim = np.minimum(patient.wall, patient.diaphragm)
        inside = rim > 0
        lung = np.average(rim[inside], weights=patient.lungs[inside])
        depths.append(np.average(rim[inside], weights=brighter[inside]) / lung)
    assert 0.1 < min(shares) < max(shares) < 0.9
    assert np.mean(depths) < 0.6


@pytest.mark.slow
def test_interstitial_change_lies_in_both_lungs_and_is_finer_than_the_others() -> None:
    def fineness(kind: str, seed: int) -> float:
        field = change(kind, seed)
        coarse = field.reshape(28, 8, 28, 8).mean(axis=(1, 3))
        return float(1 - coarse.var() / field.var())

    for seed in range(PAIRS):
        fine = fineness("pneumonia_vir", seed)
        assert fine > max(fineness("covid", seed), fineness("pneumonia_bac", seed))
        amount = np.abs(change("pneumonia_vir", seed))
        assert 0.25 < amount[:, :112].sum() / amount.sum() < 0.75


@pytest.mark.slow
def test_interstitial_change_reaches_lung_far_from_the_hila() -> None:
    amounts = []
    for seed in range(PAIRS):
        patient = thorax(np.random.default_rng([seed, 0]), 224)
        away = np.min([np.hypot(patient.u - hilum.real, patient.v - hilum.imag) for hilum in patient.hila], axis=0)
        amounts.append(np.abs(change("pneumonia_vir", seed))[(patient.lungs > 0.9) & (away > 0.4)].mean())
    assert np.median(amounts) > 2.5


@pytest.mark.slow
def test_findings_run_from_subtle_to_plain() -> None:
    for kind in CLASSES:
        if kind != "normal":
            strength = [np.abs(change(kind, seed)).mean() for seed in range(PAIRS)]
            assert max(strength) > 2 * min(strength) > 0


# How they must not differ


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLASSES)
def test_a_finding_changes_the_lungs_and_nothing_else(kind: str) -> None:
    for seed in range(PAIRS):
        patient = thorax(np.random.default_rng([seed, 0]), 224)
        near = np.abs(change(kind, seed))[patient.lungs < 0.001]
        # What is left is the blur of the lungs' rim and one step of rounding.
        assert near.mean() < 0.1
        assert np.percentile(near, 99.5) <= 1


@pytest.mark.slow
def test_border_brightness_and_contrast_do_not_reveal_the_class() -> None:
    images, labels = sample()
    border = np.ones(images.shape[1:], dtype=bool)
    border[12:-12, 12:-12] = False
    whole = [images.mean(axis=(1, 2)), images.std(axis=(1, 2))]
    edge = [images[:, border].mean(axis=1), images[:, border].std(axis=1)]
    # Chance is 0.25; with 160 images 0.40 is more than four standard errors above it.
    assert accuracy(np.stack(whole + edge, axis=1), labels) < 0.40


@pytest.mark.slow
def test_small_images_reveal_the_class_in_part_only() -> None:
    images, labels = sample()
    tiny = images.reshape(len(images), 16, 14, 16, 14).mean(axis=(2, 4)).reshape(len(images), -1)
    assert 0.35 < accuracy(tiny, labels) < 0.70


# Folders


def test_files_are_named_and_counted_as_asked(tmp_path: Path) -> None:
    root = write_phantoms(tmp_path / "new" / "set", train={"covid": 2, "normal": 1}, test=1, seed=0, size=48)
    assert root == tmp_path / "new" / "set"
    assert set(files(root)) == {
        "train/covid/covid-000.png",
        "train/covid/covid-001.png",
        "train/normal/normal-000.png",
        *(f"test/{kind}/{kind}-000.png" for kind in CLASSES),
    }
    with Image.open(root / "train/covid/covid-001.png") as image:
        assert (image.mode, image.size, image.format) == ("L", (48, 48), "PNG")


def test_classes_choose_what_one_number_stands_for(tmp_path: Path) -> None:
    write_phantoms(tmp_path, train=2, test=0, seed=0, size=32, classes=("normal", "covid"))
    assert {str(Path(name).parent) for name in files(tmp_path)} == {"train/normal", "train/covid"}
    # No empty folder stands for a class or split of which no image was asked.
    assert {path.name for path in tmp_path.iterdir()} == {"train"}


def test_an_image_does_not_depend_on_how_many_others_are_written(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "few", train={"pneumonia_vir": 2}, test=0, seed=7, size=64)
    write_phantoms(tmp_path / "many", train=4, test=2, seed=7, size=64)
    few, many = files(tmp_path / "few"), files(tmp_path / "many")
    assert few.items() <= many.items()


def test_no_image_is_written_twice_and_another_seed_writes_others(tmp_path: Path) -> None:
    written: list[bytes] = []
    for seed in (0, 1):
        written += files(write_phantoms(tmp_path / str(seed), train=3, test=3, seed=seed, size=48)).values()
    assert len(set(written)) == len(written) == 48


def test_the_files_hold_no_time(tmp_path: Path) -> None:
    write_phantoms(tmp_path, train=1, test=0, seed=0, size=32)
    assert all(b"tIME" not in data and b"tEXt" not in data for data in files(tmp_path).values())


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": {"covid": -2}}, "0 or more test images of covid, received -2"),
        ({"train": -1}, "0 or more train images of covid, received -1"),
        ({"train": {"flu": 1}}, "among covid, normal, pneumonia_bac, pneumonia_vir, received 'flu'"),
        ({"classes": ("normal", "flu")}, "received 'flu'"),
        ({"seed": -3}, "seed from 0 to 4294967295, received -3"),
        ({"size": 8}, f"{MIN_SIZE} or more pixels in width, received 8"),
    ],
)
def test_a_wrong_call_writes_nothing(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_phantoms(tmp_path / "set", **{"train": 1, "test": 1, **changes})
    assert not (tmp_path / "set").exists()


# The drawing beneath


def test_patient_points_and_pixels_are_each_other_s_inverse() -> None:
    pose = Pose(100, angle=0.3, shift=0.1 - 0.05j, zoom=1.1)
    u, v = pose.grid()
    pixels = pose.pixels(u + 1j * v.astype(np.float64))
    assert np.allclose(pixels.real, np.arange(100)[None, :] + 0.5, atol=1e-3)
    assert np.allclose(pixels.imag, np.arange(100)[:, None] + 0.5, atol=1e-3)


def test_a_line_is_drawn_where_and_as_wide_as_asked() -> None:
    pose = Pose(100, angle=0.0, shift=0j, zoom=1.0)
    field = draw(pose, [Lines(np.array([[-0.5 + 0.2j, 0.5 + 0.2j]]), width=0.08, strength=0.5)])
    assert field.shape == (100, 100)
    assert field.max() == pytest.approx(0.5, abs=0.01)
    # Width 0.08 of two units on 100 pixels: four rows about row 60.
    assert field[:, 50].sum() == pytest.approx(0.5 * 4, rel=0.15)
    assert abs(np.average(np.arange(100) + 0.5, weights=field[:, 50]) - 60) < 1
    assert field[:, :24].max() == field[:, 77:].max() == 0


def test_a_tree_grows_out_of_its_hilum_into_its_own_lung() -> None:
    for root in (-0.2 + 0j, 0.2 + 0j):
        tree = branches(np.random.default_rng(0), root, stems=6, levels=3, width=0.02)
        assert [len(level.points) for level in tree] == [6, 12, 24]
        tips = tree[-1].points[:, -1]
        assert np.mean(tips.real / root.real > 1) > 0.7
        assert np.abs(tree[0].points[:, 0] - root).max() < 0.15
