"""What an examination of the audit gives: numbers, sentences, and blocks of a page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from featx.audits.opened import AuditData
    from featx.pages import Block


class Part(ABC):
    """The result of one examination.

    Attributes:
        key: Its key in the JSON, and the name of its table.
        title: The heading of its section.
    """

    key: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def to_json(self) -> Any:
        """Return what stands under `key` in the JSON of `featx audit`."""

    @abstractmethod
    def summary(self) -> tuple[str, ...]:
        """Return one to three sentences that say what was seen."""

    @abstractmethod
    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the rest of the section.

        Args:
            data: What was examined.
            prefix: Stands before ids of drawings, which must be unique on a page.
        """

    def alarms(self) -> tuple[str, ...]:
        """Return the sentences that change what the results mean; none if all is well."""
        return ()

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        """Return the header and the rows of a CSV table; None without one."""
        return None

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """Return columns of the table of images, each with a value for every row of the source."""
        return {}
