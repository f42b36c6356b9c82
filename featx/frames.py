"""Tables for pandas, which is loaded only when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featx.errors import UsageError


def frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Return a pandas DataFrame of columns.

    Args:
        columns: Values by name, all of one length.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UsageError("A data frame needs pandas, which is not installed; pip install 'featx[pandas]'.") from None
    return pd.DataFrame(dict(columns))
