from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from featx.classifiers.latex_table import escape, latex_table
from featx.errors import UsageError

HOSTILE = r"50 % of R&D_x #1 {a} \input{b} $c$ ~^ <a|b> 75–97 2×3 \\"


def some_table() -> str:
    return latex_table(
        ("classifier", "accuracy", "n"),
        [("svm_rbf", "91.7 % (78–97)", "36"), (HOSTILE, "", "36"), ("majority", "25.0 %", "36")],
        caption="All & every",
        label="tab:all",
        notes=("In parentheses: 95 % intervals.",),
        bold=(0,),
        rules=(2,),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("svm_rbf", r"svm\_rbf"),
        ("91.7 % & #1", r"91.7 \% \& \#1"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("$x^2$~", r"\$x\textasciicircum{}2\$\textasciitilde{}"),
        ("78–97", "78--97"),
        ("a\nb", "a b"),
        ("a < b > c | d", r"a \textless{} b \textgreater{} c \textbar{} d"),
    ],
)
def test_text_prints_as_it_is(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_the_table_has_its_rows_and_rules() -> None:
    lines = [line.strip() for line in some_table().splitlines()]
    assert lines[0] == r"\begin{table}"
    assert lines[-1] == r"\end{table}"
    assert r"\begin{tabular}{lrr}" in lines
    body = lines[lines.index(r"\toprule") : lines.index(r"\bottomrule")]
    assert body[:4] == [
        r"\toprule",
        r"classifier & accuracy & n \\",
        r"\midrule",
        r"\textbf{svm\_rbf} & \textbf{91.7 \% (78--97)} & \textbf{36} \\",
    ]
    assert body[-2:] == [r"\midrule", r"majority & 25.0 \% & 36 \\"]
    # Whatever a name holds, a line has as many cells as the header.
    for line in body:
        if line.endswith(r"\\") and "rule" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == 2
    assert r"\caption{All \& every}" in lines
    assert r"\label{tab:all}" in lines
    assert any(r"95 \% intervals" in line for line in lines[lines.index(r"\end{tabular}") :])


def test_braces_are_balanced() -> None:
    plain = re.sub(r"\\[{}\\]", "", some_table())
    assert plain.count("{") == plain.count("}")


def test_rows_have_the_headers_length() -> None:
    with pytest.raises(UsageError, match="rows of 2 cells, as the header has, received 1"):
        latex_table(("a", "b"), [("c",)], caption="", label="x")


def test_it_compiles(tmp_path: Path) -> None:
    compiler = shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("there is no pdflatex on this machine")
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{document}\n{some_table()}\\end{{document}}\n", "utf-8")
    command = [compiler, "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
