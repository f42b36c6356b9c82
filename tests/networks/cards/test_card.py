"""What the documentation says of cards, against their fields."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doc_blocks import blocks_of, rows_below, text_of
from pydantic import BaseModel

from featx.networks.cards import card
from featx.networks.cards.files import load_card

TABLES: dict[str, type[BaseModel]] = {
    "### At the top": card.Card,
    "### `[input]`": card.InputPart,
    "### `[pixels]`": card.PixelsPart,
    "### `[output]`": card.OutputPart,
    "### `[about]`": card.AboutPart,
}


@pytest.mark.parametrize("start", TABLES)
def test_every_field_is_documented_with_its_default(start: str) -> None:
    text = text_of("cards.md")
    fields = TABLES[start].model_fields
    table = {row[0].strip("`"): row[2] for row in rows_below(text, start)}
    parts = {name for name in fields if TABLES[start] is card.Card and f"\n### `[{name}]`" in text}
    assert set(table) == set(fields) - parts
    for name, default in table.items():
        if fields[name].is_required():
            assert default == "required", name
        else:
            value = fields[name].default
            assert default == ("none" if value is None else f"`{json.dumps(value)}`"), name


def test_the_card_that_is_shown_can_be_read(tmp_path: Path) -> None:
    [shown] = [block.body for block in blocks_of(text_of("cards.md")) if "[files]" in block.body]
    (tmp_path / "card.toml").write_text(shown)
    loaded = load_card(tmp_path)
    assert (loaded.input.size, loaded.output.tokens, loaded.about.licence) == ((224, 224), "cls", "Apache-2.0")
