from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audit_data import audit_data_of
from numpy.typing import NDArray

from featx.audits.atypical import Atypical, examine_atypical
from featx.errors import DataError
from featx.pages import Gallery


def rows_of(n: int, seed: int = 0) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).normal(size=(n, 16)) * np.linspace(1, 3, 16)
    return np.asarray(np.maximum(drawn, 0))


def examined(folder: Path, X: NDArray[np.float64], test: int = 0, groups: list[str | None] | None = None) -> Atypical:
    """The strange images among rows whose last `test` are test images."""
    splits = ["train"] * (len(X) - test) + ["test"] * test
    return examine_atypical(audit_data_of(folder, ["a"] * len(X), X=X, splits=splits, groups=groups))


def test_planted_strangers_are_listed_first_and_raise_an_alarm(tmp_path: Path) -> None:
    strangers = -rows_of(4, seed=1)
    found = examined(tmp_path, np.vstack([rows_of(150), strangers]))
    planted = [f"{number:04d}.png" for number in range(150, 154)]
    assert {image.path for image in found.outside[:4]} == set(planted)
    assert {image.path for image in found.off_topic} <= set(planted)
    (alarm,) = found.alarms()
    assert "lie far away from the training images" in alarm
    assert len(found.columns()["typicality"]) == 154
    header, rows = found.table() or ((), ())
    assert [row[0] for row in rows] == [image["path"] for image in found.to_json()]
    assert len(header) == len(rows[0])


def test_images_of_one_kind_raise_no_alarm(tmp_path: Path) -> None:
    for seed in range(8):
        found = examined(tmp_path, rows_of(160, seed), test=40)
        assert found.alarms() == ()
        assert len(found.outside) <= 5
        assert found.test == 40


def test_test_images_of_another_kind_raise_an_alarm(tmp_path: Path) -> None:
    other = rows_of(20, seed=2)[:, ::-1]
    found = examined(tmp_path, np.vstack([rows_of(150), other]), test=20)
    assert len(found.of_test) >= 3
    assert any("of 20 test images" in alarm and "where chance gives" in alarm for alarm in found.alarms())
    assert all(near < "0150" for image in found.outside for near in image.neighbours)


def test_images_of_one_patient_do_not_make_each_other_typical(tmp_path: Path) -> None:
    # Ten strange images of one patient, which are near to each other alone.
    strange = -rows_of(1, seed=3) + 0.01 * np.random.default_rng(0).normal(size=(10, 16))
    X = np.vstack([rows_of(150), strange])
    groups: list[str | None] = [None] * 150 + ["patient"] * 10
    found = examined(tmp_path, X, groups=groups)
    assert {image.path for image in found.outside[:10]} == {f"{number:04d}.png" for number in range(150, 160)}
    for image in found.outside[:10]:  # those of the same patient are no neighbours of it
        assert all(near < "0150" for near in image.neighbours)


def test_the_order_of_percentiles_is_that_of_distances(tmp_path: Path) -> None:
    found = examined(tmp_path, rows_of(300, seed=4), test=50)
    distances = [image["relative_distance"] for image in found.to_json()]
    assert distances == sorted(distances, reverse=True)
    assert all(image["percentile"] > 99 for image in found.to_json())


def test_of_many_training_images_some_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.audits.atypical.MOST_COMPARED", 100)
    strangers = -rows_of(2, seed=1)
    groups: list[str | None] = [f"patient {number // 2}" for number in range(302)]
    found = examined(tmp_path, np.vstack([rows_of(300), strangers]), groups=groups)
    assert {"0300.png", "0301.png"} == {image.path for image in found.outside[:2]}


def test_the_section_shows_the_images(tmp_path: Path) -> None:
    data = audit_data_of(tmp_path, ["a"] * 40, X=rows_of(40))
    found = examine_atypical(data)
    assert not any(isinstance(block, Gallery) for block in Atypical((), (), 40, 0, None, 0.01).blocks(data, "x-"))
    assert found.summary()[0].startswith(f"{len(found.outside)} of 40 images")


def test_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 20 training images"):
        examined(tmp_path, rows_of(12))
