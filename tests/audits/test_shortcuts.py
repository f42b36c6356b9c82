from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit_data import audit_data_of, previews_from
from numpy.typing import NDArray

from featx.audits.probes.results import PROBES, ProbeResult
from featx.audits.probes.shortcuts import Shortcuts, examine_shortcuts
from featx.errors import DataError
from featx.pages import Figure, Page, Section, Table, render

N = 120
Y = np.random.default_rng(1).permutation(N) % 2
LABELS = [("ill", "well")[number] for number in Y]


def pictures(seed: int = 0) -> NDArray[Any]:
    """Smooth grey pictures that have nothing to do with the class."""
    return 110 + np.kron(np.random.default_rng(seed).normal(0, 15, (N, 8, 8)), np.ones((4, 4)))


def examined(tmp_path: Path, pixels: NDArray[Any], **facts: Any) -> Shortcuts:
    return examine_shortcuts(audit_data_of(tmp_path, LABELS, previews=previews_from(pixels, **facts)))


def probes(part: Shortcuts) -> dict[str, ProbeResult]:
    (pair,) = part.pairs
    return {one.probe: one for one in pair.probes}


def test_without_a_shortcut_there_is_no_alarm(tmp_path: Path) -> None:
    part = examined(tmp_path, pictures())
    assert part.alarms() == ()
    assert list(probes(part)) == list(PROBES)
    for one in probes(part).values():
        assert one.area.interval[0] < 0.5 < one.area.interval[1]
    assert probes(part)["file_facts"].constant
    assert probes(part)["file_facts"].area.auc == 0.5


def test_how_files_were_compressed_is_found_and_named(tmp_path: Path) -> None:
    quality = np.where(Y == 1, 10.0, np.where(np.arange(N) % 5 == 0, 10.0, 20.0))
    part = examined(tmp_path, pictures(), luma_quantisation=quality, luma_00=quality, bits=np.full(N, 8))
    own = probes(part)["file_facts"]
    assert own.most is not None
    assert own.most[0] == "compression"
    assert 0.8 < own.area.auc < 0.95
    (sentence,) = part.alarms()
    assert "ill can be told from well by facts of the file (most by compression) with AUC 0." in sentence
    assert "outside the middle" not in sentence


def test_the_number_of_bytes_is_content_and_no_fact(tmp_path: Path) -> None:
    assert examined(tmp_path, pictures(), bytes=1000 + 500 * Y).alarms() == ()


def test_a_format_and_a_size_are_found(tmp_path: Path) -> None:
    previews = previews_from(pictures())
    kinds = replace(previews, formats=tuple(("PNG", "JPEG")[number] for number in Y))
    part = examine_shortcuts(audit_data_of(tmp_path, LABELS, previews=kinds))
    assert "most by file format" in part.alarms()[0]
    part = examined(tmp_path, pictures(), width=200 + 30 * Y + np.arange(N) % 7)
    assert "most by width and height" in part.alarms()[0]


def test_a_mark_in_a_corner_is_read_outside_the_middle(tmp_path: Path) -> None:
    marked = pictures()
    marked[Y == 1, 1:3, 1:4] = 240
    part = examined(tmp_path, marked)
    own = probes(part)
    assert own["border"].alarm
    assert own["corners"].alarm
    assert own["corners"].area.auc > 0.95
    assert not own["file_facts"].alarm
    assert "the class can be read outside the middle of the image" in part.alarms()[0]


def test_a_mark_in_the_middle_is_not(tmp_path: Path) -> None:
    marked = pictures()
    marked[Y == 1, 12:20, 12:20] += 40
    own = probes(examined(tmp_path, marked))
    assert own["thumbnail"].area.auc > 0.95
    assert not own["border"].clear
    assert not own["corners"].clear


def test_brightness_is_seen_wherever_it_is(tmp_path: Path) -> None:
    own = probes(examined(tmp_path, pictures() + 12 * Y[:, None, None]))
    assert own["brightness"].alarm
    weaker = probes(examined(tmp_path, pictures() + 2.5 * Y[:, None, None]))["brightness"]
    assert weaker.clear
    assert not weaker.alarm


def test_images_of_a_patient_count_as_one(tmp_path: Path) -> None:
    """Eight images of each patient look alike, so eight times as many tell no more than one of each."""
    generator = np.random.default_rng(2)
    patient = np.repeat(np.arange(20), 8)
    labels = [("ill", "well")[number] for number in generator.permutation(20)[patient] % 2]
    pixels = pictures()[patient] + generator.normal(0, 3, (160, 32, 32))
    groups = [f"patient {number}" for number in patient]
    grouped = examine_shortcuts(audit_data_of(tmp_path, labels, groups=groups, previews=previews_from(pixels)))
    alone = examine_shortcuts(audit_data_of(tmp_path, labels, previews=previews_from(pixels)))
    assert grouped.alarms() == ()
    assert probes(alone)["thumbnail"].area.auc > 0.99  # a copy of each image is in training
    low, high = probes(grouped)["thumbnail"].area.interval
    assert high - low > 0.3


def test_the_json_and_the_page_have_every_pair(tmp_path: Path) -> None:
    labels = [("a", "b", "c")[number % 3] for number in range(N)]
    data = audit_data_of(tmp_path, labels, previews=previews_from(pictures()))
    part = examine_shortcuts(data)
    rows = part.to_json()
    assert len(rows) == 3 * len(PROBES)
    assert {tuple(row["classes"]) for row in rows} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert list(rows[0])[:6] == ["probe", "classes", "auc", "interval", "p_value", "alarm"]
    blocks = part.blocks(data, "s-")
    assert isinstance(blocks[0], Figure)
    assert isinstance(blocks[1], Table)
    assert "a against b" in render(Page("t", (), (Section("s", "s", blocks),), ()))


def test_of_many_classes_each_is_told_from_the_rest(tmp_path: Path) -> None:
    labels = [f"class {number % 6}" for number in range(N)]
    part = examine_shortcuts(audit_data_of(tmp_path, labels, previews=previews_from(pictures())))
    assert [pair.contrast.names for pair in part.pairs] == [(f"class {k}", "the rest") for k in range(6)]


def test_of_several_labels_each_is_told_from_its_absence(tmp_path: Path) -> None:
    targets = np.stack([Y, np.arange(N) % 2], axis=1).astype(np.float32)
    marked = pictures()
    marked[Y == 1, 1:3, 1:4] = 240
    data = audit_data_of(
        tmp_path, [None] * N, previews=previews_from(marked), targets=targets, label_names=("tag", "other")
    )
    (sentence,) = examine_shortcuts(data).alarms()
    assert sentence.startswith("tag can be told from not tag by the border alone")


def test_what_is_needed_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least two classes"):
        examine_shortcuts(audit_data_of(tmp_path, ["a"] * 9))
    few = audit_data_of(tmp_path, ["a"] * 9 + ["b"] * 4, previews=previews_from(pictures()[:13]))
    with pytest.raises(DataError, match="images of five groups"):
        examine_shortcuts(few)
    gone = replace(previews_from(pictures()), there=np.arange(N) > 70)
    with pytest.raises(DataError, match="71 images of 120 are gone"):
        examine_shortcuts(audit_data_of(tmp_path, LABELS, previews=gone))
