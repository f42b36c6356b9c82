from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparison_data import TEST
from pipeline_data import read_table

from featx.classifiers import Comparison, write_tables
from featx.classifiers.writing import to_latex
from featx.errors import UsageError

HOSTILE = r"50 % of R&D_x #1 {a} \input{b} $c$ ~^ <a|b> 75–97 2×3 \\"
PRINTED = (
    r"50 \% of R\&D\_x \#1 \{a\} \textbackslash{}input\{b\} \$c\$ \textasciitilde{}\textasciicircum{} "
    r"\textless{}a\textbar{}b\textgreater{} 75--97 2$\times$3 \textbackslash{}\textbackslash{}"
)
TABLES = ["comparison.csv", "folds.csv", "predictions.csv"]


def test_tables_hold_the_results(compared: Comparison, tmp_path: Path) -> None:
    files = write_tables(compared, tmp_path)
    assert [path.name for path in files] == [*TABLES, "comparison.tex"]
    summary, folds, predictions = (read_table(path) for path in files[:3])
    assert [row["classifier"] for row in summary] == [row.name for row in compared.rows]
    best = compared.rows[0]
    assert best.cv is not None
    assert float(summary[0]["cv_accuracy"]) == pytest.approx(best.cv["accuracy"].value, rel=1e-5)
    assert summary[-1]["cv_accuracy"] == ""
    assert len(folds) == 8 * 4
    own = [float(row["accuracy"]) for row in folds if row["classifier"] == best.name]
    assert np.mean(own) == pytest.approx(best.cv["accuracy"].value, rel=1e-5)
    assert len(predictions) == 9 * TEST
    right = [row for row in predictions if row["classifier"] == "head" and row["predicted"] == row["label"]]
    assert len(right) == 24


def test_a_frame_is_the_summary(compared: Comparison, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = compared.to_frame()
    write_tables(compared, tmp_path)
    pandas.testing.assert_frame_equal(
        found, pandas.read_csv(tmp_path / "comparison.csv"), check_dtype=False, rtol=1e-5
    )


def test_the_latex_table_holds_the_results(compared: Comparison) -> None:
    text = to_latex(compared)
    assert all(line in text.splitlines() for line in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{table}"))
    lines = re.findall(r"^(.+&.+) \\\\$", text, re.MULTILINE)
    assert len(lines) == 1 + len(compared.rows)
    for row, line in zip(compared.rows, lines[1:], strict=True):
        cells = [re.sub(r"\\textbf{(.*)}", r"\1", cell).strip() for cell in line.split(" & ")]
        assert row.test is not None
        assert row.test["accuracy"].interval is not None
        low, high = (f"{100 * end:.0f}" for end in row.test["accuracy"].interval)
        assert (cells[0], cells[2]) == (row.name, f"{compared.correct(row)}/{TEST}")
        assert cells[3] == f"{100 * row.test['accuracy'].value:.1f} ({low}--{high})"
        difference = "" if row.difference is None else row.difference.points()
        assert cells[4] == difference.replace("–", "--")
        assert cells[6] == (row.verdict or "")
        assert ("textbf" in line) == (row.name == compared.best)


def test_names_are_escaped_for_latex(compared: Comparison) -> None:
    text = to_latex(replace(compared, name=HOSTILE, notes=("One\nnote.",)))
    assert f"features of {PRINTED}." in text
    assert "One note." in text
    plain = re.sub(r"\\[{}\\]", "", text)
    assert plain.count("{") == plain.count("}")


def test_without_pandas_only_the_latex_table_is_left_out(
    compared: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with caplog.at_level(logging.WARNING, "featx"):
        assert [path.name for path in write_tables(compared, tmp_path)] == TABLES
    (record,) = caplog.records
    assert record.getMessage().startswith("comparison.tex is left out.")
    assert "pip install 'featx[pandas]'" in record.getMessage()
    with pytest.raises(UsageError, match="package pandas"):
        to_latex(compared)


def test_the_latex_table_compiles(compared: Comparison, tmp_path: Path) -> None:
    compiler = shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("there is no pdflatex on this machine")
    table = to_latex(replace(compared, name=HOSTILE))
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{table}\end{{document}}"
    (tmp_path / "t.tex").write_text(document, "utf-8")
    command = [compiler, "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
