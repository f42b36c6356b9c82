"""The data of a reproduction, `two` and `all`, and whether it is the report's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.data import read_data
from featx.errors import DataError

CLASSES = {"two": 2, "all": 4}
# What the names of the report's classes have in them.
COVID, NORMAL, BACTERIAL, VIRAL = "covid", "normal", "bac", "vir"
# Training and test images of the report, by class.
IMAGES = {
    "two": {"train": {COVID: 60, NORMAL: 70}, "test": {COVID: 9, NORMAL: 9}},
    "all": {
        "train": {COVID: 60, NORMAL: 70, BACTERIAL: 70, VIRAL: 70},
        "test": {COVID: 9, NORMAL: 9, BACTERIAL: 9, VIRAL: 9},
    },
}


@dataclass(frozen=True)
class Data:
    """What `two` or `all` holds.

    Attributes:
        counts: Images by split and class.
        classes: The report's classes, by what their names have in them; empty where that is not clear.
    """

    counts: Mapping[tuple[str, str], int]
    classes: Mapping[str, str]

    def count(self, split: str, of: str) -> int | None:
        """Return the images of one of the report's classes in a split; None where classes are not recognised."""
        return self.counts.get((split, self.classes[of]), 0) if of in self.classes else None

    def other(self, name: str) -> str:
        """Return why this is not the report's data; "" where it may be."""
        expected = {(split, of): n for split, own in IMAGES[name].items() for of, n in own.items()}
        if not self.classes:
            return (
                f"The classes of {name} are not recognised: one name each with "
                f"{', '.join(dict.fromkeys(of for _, of in expected))} in it was expected."
            )
        if sum(self.counts.values()) == sum(expected.values()) and all(
            self.count(split, of) == n for (split, of), n in expected.items()
        ):
            return ""
        told = ", ".join(f"{n} {split} images" for split, n in self._by_split().items())
        theirs = " and ".join(f"{sum(own.values())} {split}" for split, own in IMAGES[name].items())
        return f"Other data: {told} in {name}, where the report has {theirs} images with classes of its own sizes."

    def _by_split(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (split, _), n in self.counts.items():
            found[split] += n
        return dict(sorted(found.items(), reverse=True))


def read_root(root: Path) -> dict[str, Data]:
    """Return what `two` and `all` hold.

    Raises:
        DataError: One is missing, or has no `train` or `test`, or not as many classes as it must have.
    """
    held = {}
    for name, classes in CLASSES.items():
        missing = [f"{name}/{split}" for split in ("train", "test") if not (root / name / split).is_dir()]
        if missing:
            raise DataError(
                f"Expected the folders two/train, two/test, all/train and all/test in {root}, but there is no "
                f"{missing[0]}; pass the folder that holds two and all."
            )
        dataset = read_data(root / name)
        found = dataset.classes
        if len(found) != classes:
            raise DataError(
                f"Expected {classes} classes in {root / name}, found {len(found)} ({', '.join(found)}); the report "
                "tells COVID-19 from normal in two, and these and two pneumonias in all."
            )

        counts = Counter((item.split, str(item.label)) for item in dataset.items)
        held[name] = Data(counts, _recognised(found, tuple(IMAGES[name]["train"])))
    return held


def _recognised(classes: Sequence[str], expected: Sequence[str]) -> dict[str, str]:
    """Return which class is which of the report's; nothing if that is not clear for each of them."""
    named = {of: [name for name in classes if of in name.lower()] for of in expected}
    found = {of: names[0] for of, names in named.items() if len(names) == 1}
    return found if sorted(found.values()) == sorted(classes) else {}
