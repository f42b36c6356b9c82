"""Every option with odd values: an exit code and at most one sentence, no traceback, and data stay as they are."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from command_line import Featx
from odd_options import Scene, make_scene, odd_lines, reset
from pipeline_data import digest, files_of

pytestmark = pytest.mark.slow

# Of several thousand; other seeds try others.
LINES, SEED = 80, 0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    return make_scene(tmp_path_factory.mktemp("kept"), tiny_model).root


@pytest.fixture
def scene(kept: Path, tmp_path: Path) -> Scene:
    return Scene(Path(shutil.copytree(kept, tmp_path / "scene")))


def test_odd_values_end_with_a_sentence(
    featx: Featx, scene: Scene, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = list(odd_lines(scene))
    assert len(lines) > 3000
    before = {path: digest(path) for path in files_of(scene.root / "data")}
    for words in random.Random(SEED).sample(lines, LINES):
        monkeypatch.chdir(scene.root)
        done = featx(*words)
        line = " ".join(words)[:300]
        assert done.code in (0, 1, 2, 3, 4), line
        assert "Traceback" not in done.err, line
        assert "did not expect" not in done.err, line
        assert {path: digest(path) for path in before} == before, line
        reset(scene, kept)
