"""The data of a reproduction, `two` and `all`, and whether it may be the report's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.data import read_data
from featx.errors import DataError

# Parts of the class names by which the report's classes are recognised.
COVID, NORMAL, BACTERIAL, VIRAL = "covid", "normal", "bac", "vir"
# The report's numbers of images, by split and class.
IMAGES = {
    "two": {"train": {COVID: 60, NORMAL: 70}, "test": {COVID: 9, NORMAL: 9}},
    "all": {
        "train": {COVID: 60, NORMAL: 70, BACTERIAL: 70, VIRAL: 70},
        "test": {COVID: 9, NORMAL: 9, BACTERIAL: 9, VIRAL: 9},
    },
}


@dataclass(frozen=True)
class TaskData:
    """The contents of `two` or `all`: numbers of images by split and class."""

    counts: Mapping[tuple[str, str], int]
    # Class names by the part that they are recognised by; empty if they are not recognised.
    classes: Mapping[str, str]

    def count(self, split: str, name: str) -> int | None:
        """Return the number of images of one of the report's classes; None if classes are not recognised."""
        return self.counts.get((split, self.classes[name]), 0) if name in self.classes else None

    def deviation(self, folder: str) -> str:
        """Return why this is not the report's data; "" if it may be."""
        expected = {(split, name): n for split, counts in IMAGES[folder].items() for name, n in counts.items()}
        if not self.classes:
            names = ", ".join(dict.fromkeys(name for _, name in expected))
            return f"The classes of {folder} are not recognised: expected one class name with each of {names} in it."
        same = all(self.count(split, name) == n for (split, name), n in expected.items())
        if same and sum(self.counts.values()) == sum(expected.values()):
            return ""
        totals: Counter[str] = Counter()
        for (split, _), n in self.counts.items():
            totals[split] += n
        here = ", ".join(f"{n} {split} images" for split, n in sorted(totals.items(), reverse=True))
        report = " and ".join(f"{sum(counts.values())} {split}" for split, counts in IMAGES[folder].items())
        return f"Other data: {here} in {folder}. The report has {report} images, and its own number of each class."


def read_root(root: Path) -> dict[str, TaskData]:
    """Return the contents of `two` and `all`.

    Raises:
        DataError: A folder is missing, or has another number of classes than the report.
    """
    contents = {}
    for name, splits in IMAGES.items():
        missing = [f"{name}/{split}" for split in ("train", "test") if not (root / name / split).is_dir()]
        if missing:
            raise DataError(
                f"Expected the folders two/train, two/test, all/train and all/test in {root}, but there is no "
                f"{missing[0]}; pass the folder that holds two and all."
            )
        dataset = read_data(root / name)
        names, expected = dataset.classes, splits["train"]
        if len(names) != len(expected):
            raise DataError(
                f"Expected {len(expected)} classes in {root / name}, found {len(names)} ({', '.join(names)}); the "
                "report has COVID-19 and normal in two, and also two pneumonias in all."
            )
        counts = Counter((item.split, str(item.label)) for item in dataset.items)
        contents[name] = TaskData(counts, _recognised(names, tuple(expected)))
    return contents


def _recognised(classes: Sequence[str], expected: Sequence[str]) -> dict[str, str]:
    """Return the class name for each of the report's classes; nothing if one of them is not clear."""
    candidates = {part: [name for name in classes if part in name.lower()] for part in expected}
    recognised = {part: names[0] for part, names in candidates.items() if len(names) == 1}
    return recognised if sorted(recognised.values()) == sorted(classes) else {}
