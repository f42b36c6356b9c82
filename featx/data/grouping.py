"""Groups from the names of files and folders, and groups that are in two splits."""

from __future__ import annotations

from collections.abc import Sequence

from featx.data.choice import DataChoice
from featx.data.dataset import Item


def with_groups(items: Sequence[Item], choice: DataChoice) -> list[Item]:
    """Return items with the groups that `group_from` finds in their ids, kept in one split if that is chosen."""
    return list(items)
