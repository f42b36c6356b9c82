"""Tables of results as pandas has them, for those who have pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featx.errors import UsageError


def frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Return columns of one length as a pandas DataFrame.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UsageError(
            "Expected pandas, which a DataFrame needs, and it is not installed; run pip install 'featx[pandas]'."
        ) from None
    return pd.DataFrame({name: list(values) for name, values in columns.items()})
