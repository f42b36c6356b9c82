"""What tests of report pages share: what is on them, and copies of runs with other predictions."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from html_page import Node
from pipeline_data import read_table

# The sections that take time.
SLOW = ["audit", "maps", "comparison", "clusters"]
CLASSES = ["covid", "normal", "pneumonia_bac", "pneumonia_vir"]


def section_ids(page: Node, level: int) -> list[str]:
    return [node.attributes["id"] for node in page.all("section", class_=f"level-{level}")]


def three_digits(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def predictions(run: Path, role: str) -> list[dict[str, str]]:
    return [row for row in read_table(run / "predictions.csv") if row["role"] == role]


def edited(run: Path, copy: Path, edit: Callable[[dict[str, str]], None], name: str = "predictions.csv") -> Path:
    """A copy of a run with other predictions, or with another table of that name."""
    shutil.copytree(run, copy)
    rows = read_table(run / name)
    for row in rows:
        edit(row)
    with (copy / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return copy


def all_covid(row: dict[str, str]) -> None:
    """Predict covid for every test image, with a higher probability the earlier its class."""
    if row["role"] == "test":
        row["predicted"] = "covid"
        probability = {"covid": 1.0, "normal": 0.7, "pneumonia_bac": 0.6, "pneumonia_vir": 0.5}[row["label"]]
        row.update({f"p_{name}": "0" for name in CLASSES})
        row[f"p_{row['label']}"] = f"{1 - probability:g}"
        row["p_covid"] = f"{probability:g}"
