"""Results as pandas data frames; pandas is optional and loaded only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
