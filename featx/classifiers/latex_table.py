"""Tables as LaTeX, for papers: plain LaTeX and the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from featx.errors import UsageError

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "×": r"$\times$",
    "\n": " ",
}
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))


def escape(text: str) -> str:
    """Return text as LaTeX that prints it."""
    return _PATTERN.sub(lambda found: _SPECIAL[found[0]], text)


def latex_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str,
    label: str,
    notes: Sequence[str] = (),
    bold: Sequence[int] = (),
    rules: Sequence[int] = (),
) -> str:
    r"""Return a floating table; the document needs `\usepackage{booktabs}`.

    All text is escaped here. The first column is set left, the others right.

    Args:
        header: One cell a column.
        rows: Cells as text.
        caption: Above the table.
        label: What `\ref` takes, as it is.
        notes: Lines below the table.
        bold: Numbers of the rows to be set in bold.
        rules: Numbers of the rows that a thin rule stands above.

    Raises:
        UsageError: A row is not as long as the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise UsageError(f"Expected rows of {len(header)} cells, as the header has, received {len(row)}.")
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(caption)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"    \toprule",
        f"    {_line(header)}",
        r"    \midrule",
    ]
    for number, row in enumerate(rows):
        lines += [r"    \midrule"] * (number in rules)
        lines.append(f"    {_line(row, bold=number in bold)}")
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\smallskip{{\footnotesize {escape(note)}}}" for note in notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _line(cells: Sequence[str], *, bold: bool = False) -> str:
    told = [rf"\textbf{{{escape(cell)}}}" if bold and cell else escape(cell) for cell in cells]
    return rf"{' & '.join(told)} \\"
