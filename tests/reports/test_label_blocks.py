"""Maps and clusters of a run whose images may have several labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import files_of, small_data, small_recipe
from sklearn.metrics import roc_auc_score

from featx.pages import Figure, Interactive, Table, Text
from featx.reports.clusters import clusters_blocks
from featx.reports.labels import wrong_labels
from featx.reports.maps import maps_blocks
from featx.reports.opened import OpenedRun, open_runs
from featx.reports.side_by_side import models_section, paired, paired_areas
from featx.runs import fit_head


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> OpenedRun:
    root = tmp_path_factory.mktemp("labels")
    data = small_data(root / "data", train=6, test=2)
    lines = ["path,split,label:bright,label:sick"]
    for image in files_of(data):
        split, label, _ = image.relative_to(data).parts
        lines.append(f"{image.relative_to(root).as_posix()},{split},{int(label == 'covid')},{int(label != 'normal')}")
    (root / "manifest.csv").write_text("\n".join(lines), "utf-8")
    run = fit_head(root / "manifest.csv", small_recipe(tiny_model), out=root / "run", cache=root / "cache").run
    return open_runs([run], root / "cache")[0]


def test_maps_have_the_colours_of_the_most_frequent_label(opened: OpenedRun) -> None:
    blocks, silhouettes = maps_blocks(opened, {}, seed=0, heading=3)
    assert silhouettes == {"backbone": None, "penultimate": None, "map": None}
    said = " ".join(block.text for block in blocks if isinstance(block, Text))
    assert "--by label:NAME" in said
    drawings = [block for block in blocks if isinstance(block, Figure)]
    assert len(drawings) == len(opened.layers) == 2
    for drawing in drawings:
        assert "coloured by label sick" in drawing.caption
        assert "not there 8, there 24" in drawing.alt
    assert sum(isinstance(block, Interactive) for block in blocks) == 2


def test_clusters_are_those_of_the_images_themselves(opened: OpenedRun) -> None:
    clusters, tried, *_ = clusters_blocks(opened, seed=0)
    assert isinstance(clusters, Table)
    assert isinstance(tried, Table)
    assert sum(int(row[1]) for row in clusters.rows) == 24
    assert "The backbone features of 24 training images" in clusters.caption
    assert [row[0] for row in tried.rows] == [str(k) for k in range(2, 11)]


def test_only_images_with_the_same_known_labels_are_compared(opened: OpenedRun) -> None:
    """Another run knows nothing of one test image and lacks a label of another."""
    tested = [image for image in opened.run.images if image.role == "test"]
    less = {tested[0].path: (np.nan, np.nan), tested[1].path: (np.nan, 1.0)}
    run = replace(opened.run)
    vars(run)["images"] = [replace(each, targets=less.get(each.path, each.targets)) for each in opened.run.images]
    compared, same = paired(opened, replace(opened, run=run)), paired(opened, opened)
    assert same is not None
    assert compared is not None
    assert same[0] == len(tested)
    assert compared[0] == len(tested) - 2


def test_runs_of_several_labels_are_compared_by_their_mean_areas(opened: OpenedRun) -> None:
    """A run that ranks all test images rightly is compared with one that ranks them all wrongly, and with chance."""
    tested = [image for image in opened.run.images if image.role == "test"]

    def run_with(shares: dict[str, tuple[float, ...]]) -> OpenedRun:
        run = replace(opened.run)
        vars(run)["images"] = [replace(image, probabilities=shares[image.path]) for image in tested]
        return replace(opened, run=run)

    right = {image.path: tuple(0.6 + 0.3 * target for target in image.targets or ()) for image in tested}
    wrong = {path: tuple(1 - share for share in shares) for path, shares in right.items()}
    areas = paired_areas(run_with(right), run_with(wrong))
    assert areas is not None
    # All of the resamples have the same difference, so the images cannot tell.
    assert areas == (1.0, 1.0)
    generator = np.random.default_rng(0)
    vague = {path: tuple(generator.random(len(shares))) for path, shares in right.items()}
    first, second = run_with(right), run_with(vague)
    compared = paired_areas(first, second)
    assert compared is not None
    targets = np.array([image.targets for image in tested])
    mean = roc_auc_score(targets, np.array([vague[image.path] for image in tested]), average="macro")
    assert compared[0] == pytest.approx(1 - mean)
    backwards = paired_areas(second, first)
    assert backwards == pytest.approx((-compared[0], compared[1]))
    pairs, *_ = [block for block in models_section([first, second], []).blocks if isinstance(block, Table)][1:]
    wrongs = [sum(bool(wrong_labels(image).any()) for image in run.run.images) for run in (first, second)]
    (row,) = pairs.rows
    assert int(row[4]) - int(row[5]) == wrongs[1] - wrongs[0]
    assert row[7] == ("distinguishable" if compared[1] < 0.05 else "indistinguishable")
