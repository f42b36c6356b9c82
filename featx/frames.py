"""Results as people see them: one line, a table in a notebook, and data frames of pandas, which is optional."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from featx.errors import UsageError


def frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Return a `pandas.DataFrame` with these columns, in this order.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UsageError(
            "Expected the package pandas for a data frame, but it is not installed; install it with "
            "pip install 'featx[pandas]'."
        ) from None
    return pd.DataFrame(dict(columns))


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the columns of rows, each (n,), in the order in which they first occur; None where a row lacks one."""
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: tuple(row.get(name) for row in rows) for name in names}


def with_further(columns: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns and further ones; `extra_` is put before the name of one that is there already."""
    joined = dict(columns)
    for name, values in further.items():
        while name in joined:
            name = f"extra_{name}"
        joined[name] = values
    return joined


class Shown:
    """A result that shows itself in one line, and in a notebook with a table below it."""

    def headline(self) -> str:
        """Return what the result is, in a few words."""
        raise NotImplementedError

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the header and the rows of the table; none where the headline says all."""
        return (), ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline()}>"

    def _repr_html_(self) -> str:
        return paragraph(self.headline()) + html_table(*self.overview())


def paragraph(text: str) -> str:
    """Return text as a paragraph of HTML."""
    return f"<p>{html.escape(text)}</p>"


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in HTML, in the style that notebooks have for data frames; nothing without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<table class="dataframe">{f"<thead><tr>{head}</tr></thead>" if head else ""}<tbody>{body}</tbody></table>'
    )
