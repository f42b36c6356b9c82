from __future__ import annotations

from featx.plots.figure import style


def test_classes_differ_in_colour_and_shape() -> None:
    styles = [style(number) for number in range(64)]
    assert len(set(styles)) == 64
    assert len({colour for colour, _ in styles[:8]}) == len({marker for _, marker in styles[:8]}) == 8
    # The ninth class has the first one's colour and another shape.
    assert styles[8][0] == styles[0][0]
    assert styles[8][1] != styles[0][1]
