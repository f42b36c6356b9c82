from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pipeline_data import files_of, read_table, small_data, write_model

from featx.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, a network and, after the first search, the cache of its features."""
    root = tmp_path_factory.mktemp("search")
    small_data(root / "data", train=3, test=1)
    write_model(root / "tiny.keras")
    return root


@pytest.fixture
def search(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `featx search` on the data; return its exit code, standard output and standard error."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        features = ["--backbone", place / "tiny.keras", "--size", "32", "--cache", place / "cache"]
        given = [str(word) for word in ("featx", "search", place / "data", *words, *features)]
        monkeypatch.setattr("sys.argv", given)
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run


def test_it_prints_lists_as_people_or_programs_read_them(search: Any, place: Path, tmp_path: Path) -> None:
    query = files_of(place / "data" / "test")[0]
    code, out, _ = search(query, "--k", "4", "--json", "--out", tmp_path / "a.csv", "--html", tmp_path / "a.html")
    document = json.loads(out)
    assert code == 0
    (result,) = document["results"]
    assert result["query"] == query.as_posix()
    first = result["neighbours"][0]
    expected = {"path": "test/covid/covid-000.png", "label": "covid", "cosine": 1.0, "same_file": True}
    assert expected.items() <= first.items()
    cosines = [near["cosine"] for near in result["neighbours"]]
    assert cosines == sorted(cosines, reverse=True)
    assert len(cosines) == 4
    assert (document["n"], document["k"], document["layer"], document["failed"]) == (16, 4, "backbone", [])
    assert document["files"] == [str(tmp_path / "a.csv"), str(tmp_path / "a.html")]
    assert [row["path"] for row in read_table(tmp_path / "a.csv")] == [near["path"] for near in result["neighbours"]]

    code, out, _ = search(query, "--k", "4", "--exclude-same")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith(f"{query.as_posix()}: ")
    assert [line.split()[-1] for line in lines[2:5]] == [near["path"] for near in result["neighbours"][1:]]
    assert "16 images searched in the backbone features" in out


def test_skipped_queries_end_with_3(search: Any, place: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("not an image")
    code, out, _ = search(tmp_path / "bad.png", files_of(place / "data")[0], "--on-error", "skip")
    assert code == 3
    assert "1 skipped:" in out


def test_other_files_are_not_overwritten(search: Any, place: Path, tmp_path: Path) -> None:
    query = files_of(place / "data")[0]
    for option in ("--out", "--html"):
        (tmp_path / "mine.csv").write_text("path,label\nx.png,covid\n")
        code, _, err = search(query, option, tmp_path / "mine.csv")
        assert (code, (tmp_path / "mine.csv").read_text()[:4]) == (2, "path")
        assert f"choose another {option}." in err
        for _ in range(2):  # its own files are replaced
            assert search(query, option, tmp_path / f"own{option}")[0] == 0


def test_a_number_of_neighbours_below_1_is_refused(search: Any, place: Path) -> None:
    assert search(files_of(place / "data")[0], "--k", "0")[0] == 2
