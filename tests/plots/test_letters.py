from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.text import Text

from featx import plots
from featx.plots import letters
from featx.plots.letters import short_names, wrapped

ODD = [
    "_background",
    "$x$",
    "a_b",
    r"\alpha",
    "5 $ or less",
    "100 %",
    "two\nlines",
    "a\ttab",
    "bell\a",
    " ",
    "zero\u200bwidth",
    "\u05d0\u05d1",
    "e\u0301",
    "n" * 500,
    "<b>&amp;</b>",
    "[red]x[/red]",
    "'\"",
]
CHINESE = "\u80ba\u708e"


@pytest.fixture
def fresh() -> Iterator[None]:
    """No memory of earlier searches and notices."""
    for _ in range(2):
        letters._fallback.cache_clear()
        letters._noticed.clear()
        if _ == 0:
            yield


def drawn(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.figure.findobj(Text) if isinstance(text, Text)]


def test_odd_names_are_drawn_as_they_are_or_with_what_cannot_be_seen_written_out(tmp_path: Path) -> None:
    short = short_names(ODD, 20)
    assert len(set(short.values())) == len(ODD)
    for name in ("_background", "$x$", "a_b", r"\alpha", "5 $ or less", "100 %", "<b>&amp;</b>", "[red]x[/red]"):
        assert short[name] == name
    seen = [short[name] for name in ("two\nlines", "a\ttab", "bell\a", " ", "zero\u200bwidth")]
    assert seen == ["two\\nlines", "a\\ttab", "bell\\x07", '" "', "zero\\u200bwidth"]
    assert short["n" * 500] == "n" * 10 + "…" + "n" * 9
    k = len(ODD)
    y = np.arange(3 * k) % k
    p = np.full((3 * k, k), 1 / k)
    axes = [
        plots.draw_confusion(np.eye(k, dtype=np.int64), ODD, "$x$"),
        plots.draw_scatter(np.random.default_rng(0).normal(size=(3 * k, 2)), ODD * 3, "100 $"),
        plots.draw_roc(y, p, ODD),
        plots.draw_silhouettes(np.linspace(-1, 1, 3 * k), y, ODD, "5 $ or $"),
        plots.draw_pairs({"": np.ones((k, k))}, ODD),
        plots.draw_sweep(ODD, [[0.5]] * k, "$x"),
    ]
    for number, one in enumerate(axes):
        plots.save(one, tmp_path / f"{number}.png")
        one.figure.canvas.draw()
        assert not any(text.get_parse_math() for text in one.figure.findobj(Text) if isinstance(text, Text))
    assert "$x$" in drawn(axes[0])


def test_names_that_begin_with_an_underscore_are_in_legends() -> None:
    names, shown = ["_background", "_other_one", "lesion"], ["_background", "_other one", "lesion"]
    y = np.arange(30) % 3
    curves = plots.draw_roc(y, np.random.default_rng(0).dirichlet(np.ones(3), 30), names)
    dots = plots.draw_scatter(np.random.default_rng(0).normal(size=(30, 2)), [names[i] for i in y], "")
    for axes in (curves, dots):
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text().split(":")[0].split(" (")[0] for text in legend.get_texts()] == shown


def test_the_middle_of_long_names_is_left_out_and_wide_letters_count_twice() -> None:
    names = ["Pneumothorax, large, right", "Pneumothorax, large, left"]
    assert list(short_names(names, 16).values()) == ["Pneumoth…, right", "Pneumoth…e, left"]
    alike = [f"{'a' * 30}{number:03}{'b' * 30}" for number in range(300)]
    short = short_names(alike, 12)
    assert len(set(short.values())) == 300
    assert max(map(len, short.values())) <= 12


def test_a_wrapped_text_has_no_word_left_over_in_its_last_line() -> None:
    text = "stability 0.93 (15 neighbours). Silhouette 0.25 in the features, 0.70 on the map"
    assert wrapped(text, 72) == [
        "stability 0.93 (15 neighbours). Silhouette",
        "0.25 in the features, 0.70 on the map",
    ]
    assert wrapped("one line", 72) == ["one line"]
    assert wrapped("", 72) == wrapped("  ", 72) == []
    assert wrapped("a line\nand another", 72) == ["a line", "and another"]
    long = wrapped("n" * 25 + " x", 10)
    assert long == ["n" * 10, "n" * 10, "nnnnn x"]
    assert [len(line) for line in wrapped(CHINESE * 10, 16)] == [8, 8, 4]


def test_letters_that_no_font_has_are_escapes_and_named_once(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    own = [entry for entry in font_manager.fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager, "fontManager", SimpleNamespace(ttflist=own, addfont=None))
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    with caplog.at_level(logging.INFO, "featx"):
        axes = plots.draw_confusion(np.eye(2, dtype=np.int64), [CHINESE, "normal"], CHINESE)
        plots.save(axes, tmp_path / "a.png")
    assert [text.get_text() for text in axes.get_yticklabels()] == [r"\u80ba\u708e", "normal"]
    assert axes.get_title() == r"\u80ba\u708e"
    (notice,) = caplog.messages
    assert CHINESE[0] in notice
    assert "fonts-noto-cjk" in notice


def test_letters_are_drawn_with_a_font_of_the_machine_that_has_them(fresh: None, tmp_path: Path) -> None:
    families, missing = letters._fallback(frozenset(CHINESE))
    if missing:
        pytest.skip("no font of this machine has Chinese letters")
    axes = plots.draw_confusion(np.eye(2, dtype=np.int64), [CHINESE, "normal"], "")
    plots.save(axes, tmp_path / "a.svg")
    name = axes.get_yticklabels()[0]
    assert name.get_text() == CHINESE
    assert name.get_fontfamily()[-len(families) :] == list(families)
    assert "normal" not in name.get_fontfamily()


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_users_wish_for_tex_is_not_followed(tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"text.usetex": True}):
        plots.save(plots.draw_curve([1.0, 0.5], [None, None], "loss_a"), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
