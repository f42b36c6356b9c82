from __future__ import annotations

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from featx.plots import ProbeRow, draw_probes

ROWS = [
    ProbeRow("covid against normal", {"features": (1.0, 0.97, 1.0), "border": (0.9, 0.8, 0.95)}),
    ProbeRow("a" * 60 + " against b", {"features": (0.6, 0.3, 0.7)}),
]


def test_every_area_is_drawn_with_its_interval_on_the_line_of_its_pair() -> None:
    axes = draw_probes(ROWS)
    first, second = (one for one in axes.containers if isinstance(one, ErrorbarContainer))
    x, y = (np.asarray(one, np.float64) for one in first.lines[0].get_data())
    assert x.tolist() == [1.0, 0.6]
    assert y.round().tolist() == [0, 1]
    assert np.asarray(second.lines[0].get_xdata()).tolist() == [0.9]
    ends = second.lines[2][0].get_segments()[0][:, 0]
    assert list(ends) == pytest.approx([0.8, 0.95])
    left, right = axes.get_xlim()
    assert left <= 0.3
    assert right > 1
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["features", "border"]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names[0] == "covid against normal"
    assert len(names[1]) <= 36
