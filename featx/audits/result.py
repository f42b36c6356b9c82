"""The result of an audit: its parts, its alarms, and what could not be examined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.audits.opened import AuditData
from featx.audits.parts import Part
from featx.features import Failure
from featx.frames import Shown, frame
from featx.text import images


@dataclass(frozen=True, repr=False)
class Audit(Shown):
    """What an audit of a run or of data saw.

    Attributes:
        name: The run's or the data's name.
        data: The images that were examined.
        parts: The results of the examinations, in the order of their sections.
        left_out: Examinations that could not be made: their key and the reason.
        failed: Images of data that could not be read and were not examined.
        files: What was written.
        seconds: Wall time.
    """

    name: str
    data: AuditData = field(repr=False)
    parts: tuple[Part, ...]
    left_out: Mapping[str, str]
    failed: tuple[Failure, ...] = ()
    files: tuple[Path, ...] = ()
    seconds: float = 0.0

    @property
    def alarms(self) -> tuple[str, ...]:
        """The sentences that change what results on these images mean; none if nothing was seen."""
        return tuple(sentence for part in self.parts for sentence in part.alarms())

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.data.source.table)

    def part(self, key: str) -> Part:
        """Return the result of one examination.

        Raises:
            KeyError: It was not made.
        """
        return {part.key: part for part in self.parts}[key]

    def headline(self) -> str:
        """Return `xrays: 306 images, 3 alarms`."""
        alarms = len(self.alarms)
        return f"{self.name}: {images(self.n)}, {alarms or 'no'} alarm{'s' * (alarms != 1)}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return what each examination saw, in words."""
        rows = [(part.title, " ".join(part.summary())) for part in self.parts]
        return (), [*rows, *self.reasons()]

    def reasons(self) -> list[tuple[str, str]]:
        """Return what could not be examined, in words, with the reason; a reason of several is named once."""
        keys: dict[str, list[str]] = {}
        for key, reason in self.left_out.items():
            keys.setdefault(reason, []).append(key.replace("_", " "))
        return [(", ".join(names), reason) for reason, names in keys.items()]

    def to_json(self) -> dict[str, Any]:
        """Return what `featx audit --json` prints."""
        return {
            "name": self.name,
            "n": self.n,
            "classes": list(self.data.classes),
            "groups": int(self.data.groups.max(initial=-1)) + 1,
            **{part.key: part.to_json() for part in self.parts},
            "alarms": list(self.alarms),
            "left_out": dict(self.left_out),
            "failed": [failure.to_json() for failure in self.failed],
            "files": [str(path) for path in self.files],
            "seconds": round(self.seconds, 3),
        }

    def image_columns(self) -> dict[str, Sequence[Any]]:
        """Return the table of images by column: `path, label, split, group, sha256`, then those of the parts."""
        table = self.data.source.table
        columns: dict[str, Sequence[Any]] = {
            "path": table.ids,
            "label": self.data.source.column("label") if any(table.labels) else table.labels,
            "split": table.splits,
            "group": table.groups,
            "sha256": table.digests,
        }
        for part in self.parts:
            columns |= part.columns()
        return columns

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each image, see `image_columns`.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(self.image_columns())
