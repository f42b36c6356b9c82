"""Small data with several labels for each image."""

from __future__ import annotations

import csv
from pathlib import Path

from pipeline_data import files_of

NAMES = ("covid", "normal", "opacity")
THERE = {
    "covid": {"covid", "opacity"},
    "normal": {"normal"},
    "pneumonia_bac": {"opacity"},
    "pneumonia_vir": {"opacity"},
}


def write_columns(data: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Write a manifest with a column for each label; of every fifth image it is not known whether it is covid."""
    path = data / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", *(f"label:{name}" for name in names)])
        for number, image in enumerate(files_of(data / "train") + files_of(data / "test")):
            split, label, _ = image.relative_to(data).parts
            cells = [str(int(name in THERE[label])) for name in names]
            if number % 5 == 0:
                cells[0] = ""
            writer.writerow([image.relative_to(data), split, *cells])
    return path
