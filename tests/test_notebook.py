"""The notebook in docs/ runs from a data frame to a search, as its reader would run it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import DOCS

nbformat = pytest.importorskip("nbformat", reason="nbformat comes with the group dev")
nbclient = pytest.importorskip("nbclient", reason="nbclient comes with the group dev")
NOTEBOOK = DOCS / "notebook.ipynb"


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def shown(notebook: Any, kind: str) -> str:
    """Text of a kind that the notebook's cells show, or print."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(output.get("text") or output.get("data", {}).get(kind, "") for output in outputs)


def test_the_notebook_has_no_outputs_that_could_be_out_of_date() -> None:
    cells = [cell for cell in read(NOTEBOOK).cells if cell.cell_type == "code"]
    assert len(cells) > 5
    assert [cell for cell in cells if cell.outputs or cell.execution_count is not None] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Jupyter's packages, in this process; the notebook has its own
def test_the_notebook_runs(tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    notebook = read(tmp_path / NOTEBOOK.name)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text = shown(notebook, "text/plain")
    assert "120 images, 120 rows of 1,280 features by efficientnetlite0 (120 computed, 0 reused)" in text
    # Three classes: a guess is right for a third.
    accuracies = re.findall(r"accuracy (?:in|on) .*?(\d\.\d\d)$", text, re.MULTILINE)
    assert len(accuracies) == 2
    assert min(map(float, accuracies)) > 0.6
    assert re.search(r"test (\d+)/30 = ", text)
    assert "90 images by t-SNE" in text
    assert "run: 3 queries, 3 nearest of 120 images" in text
    pages = shown(notebook, "text/html")
    assert pages.count("data:image/") >= 9  # the neighbours
    results = tmp_path / "featx-notebook"
    written = {path.relative_to(results).as_posix() for path in results.rglob("*.*")}
    assert written >= {"run/head.keras", "map/tsne-backbone-train.html", "search.html"}
