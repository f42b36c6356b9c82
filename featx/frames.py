"""Tables for pandas, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featx.errors import UsageError


def frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Return a pandas DataFrame of columns of the same length.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UsageError(
            "Expected pandas for a DataFrame, and it is not installed; run pip install 'featx[pandas]'."
        ) from None
    return pd.DataFrame(dict(columns))
