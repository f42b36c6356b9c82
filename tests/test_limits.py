"""Work that is too much for a machine, and the argument that permits it."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from featx import limits
from featx.errors import ResourcesError
from featx.limits import Pace, bytes_in_words, check_disk, check_memory, permitted, permitting, time_in_words

GB = 10**9
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def four_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 4 GB of free memory and of disk."""
    monkeypatch.setattr(limits, "available_memory", lambda: 4 * GB)
    monkeypatch.setattr(limits, "gpu_memory", lambda: 0)
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(9 * GB, 5 * GB, 4 * GB))


@pytest.mark.usefixtures("four_gigabytes")
def test_memory_that_is_not_there_is_refused_in_a_sentence() -> None:
    check_memory(4 * GB, "it", "less")
    with pytest.raises(ResourcesError) as refusal:
        check_memory(4 * GB + 1, "training the head", "lower fit.batch_size")
    assert str(refusal.value) == (
        "Expected work that fits into the free memory of 4.0 GB, but training the head takes about 4.0 GB; lower "
        "fit.batch_size, or do it all the same with --yes."
    )
    assert refusal.value.exit_code == 1


@pytest.mark.usefixtures("four_gigabytes")
def test_the_memory_of_a_gpu_counts_for_work_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "gpu_memory", lambda: 80 * GB)
    check_memory(79 * GB, "it", "less", on_gpu=True)
    for on_gpu, needed in ((True, 81 * GB), (False, 5 * GB)):
        with pytest.raises(ResourcesError):
            check_memory(needed, "it", "less", on_gpu=on_gpu)


@pytest.mark.usefixtures("four_gigabytes")
def test_a_disk_that_is_too_small_is_refused_also_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    check_disk(int(3.7 * GB), folder, "it", "less")
    with pytest.raises(ResourcesError, match=r"disk of .*yet, which has 4\.0 GB free, but storing takes about 3\.9"):
        check_disk(int(3.9 * GB), folder, "storing", "less")
    assert not folder.exists()


def test_little_is_not_refused_on_a_full_disk_or_without_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: 0)
    monkeypatch.setattr("featx.limits.shutil.disk_usage", lambda path: Usage(1, 1, 0))
    check_disk(10**7, tmp_path, "the row of an image", "less")
    check_memory(10**8, "it", "less")


@pytest.mark.usefixtures("four_gigabytes")
def test_what_is_permitted_is_done(tmp_path: Path) -> None:
    with permitting(True), permitting(False):
        check_memory(10**30, "it", "less")
        check_disk(10**30, tmp_path, "it", "less")
        assert permitted()
    assert not permitted()


def steps(monkeypatch: pytest.MonkeyPatch, total: int, seconds: list[float]) -> int:
    """How many steps are done, the time of each given, before the work is stopped."""
    times = iter([sum(seconds[: number + 1]) for number in range(len(seconds))])
    monkeypatch.setattr("featx.limits.time.monotonic", lambda: next(times))
    pace = Pace(total, "training", "lower --epochs")
    for number in range(len(seconds)):
        try:
            pace.step()
        except ResourcesError:
            return number + 1
    return len(seconds)


def test_work_of_more_than_a_day_stops_when_its_pace_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first step, in which work compiles, is no measure.
    assert steps(monkeypatch, 10_000, [3600, *[1.0] * 30]) == 31
    assert steps(monkeypatch, 100_000, [0.1, *[1.0] * 30]) == 11
    assert steps(monkeypatch, 10**400, [0.1, *[1.0] * 30]) == 11
    # A step that takes longer than the measure is enough; the last one is never refused.
    assert steps(monkeypatch, 30, [3600.0, 3600.0, 3600.0]) == 2
    assert steps(monkeypatch, 2, [1.0, 2e5]) == 2
    # A computer that sleeps for a day later on has done work that is worth keeping.
    assert steps(monkeypatch, 1000, [1.0, *[1.0] * 20, 86400.0, 1.0]) == 23


def test_the_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 20.0])
    monkeypatch.setattr("featx.limits.time.monotonic", lambda: next(times))
    pace = Pace(10**6, "training for 500,000 epochs", "lower --epochs")
    pace.step()
    with pytest.raises(ResourcesError) as refusal:
        pace.step()
    assert str(refusal.value) == (
        "Expected work that is done within a day, but at its pace training for 500,000 epochs takes about 231 days; "
        "lower --epochs, or do it all the same with --yes."
    )


def test_numbers_of_any_size_have_words() -> None:
    sizes = (0, 1500, 2_345_678, 10**9, 128 * 10**9, 10**15, 10**20, 10**400)
    words = ["0.0 kB", "1.5 kB", "2.3 MB", "1.0 GB", "128.0 GB", "1.0 PB", "100.0 EB", "1,000 EB or more"]
    assert [bytes_in_words(size) for size in sizes] == words
    times = (30 * 3600, 12 * 86400, 3 * 366 * 86400, 10**400)
    assert [time_in_words(time) for time in times] == ["30 hours", "12 days", "3 years", "millions of years"]
