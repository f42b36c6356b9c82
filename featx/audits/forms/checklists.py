"""The lists of items: their numbers, what they ask in our own words, and what fills them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from featx.templates import asset

PACKAGE = "featx.audits.forms"
FORMS = ("claim", "tripod-ai", "model-card")


@dataclass(frozen=True)
class Item:
    """One item of a form.

    Attributes:
        number: Its number in the published list.
        section: The part of the list that it stands in.
        title: A few words that name it.
        asks: What it asks, in our own words.
        fill: Keys of the answers that featx may have, see `answers.ANSWERS`.
        write: What is left to the author; "" if the answers say all.
        when: The condition under which it is left to the author; "" for always.
    """

    number: str
    section: str
    title: str
    asks: str
    fill: tuple[str, ...] = ()
    write: str = ""
    when: str = ""

    @property
    def plain_number(self) -> str:
        """The number without the stages that it is of: `9a` of `9a (D)`."""
        return self.number.split()[0]


@dataclass(frozen=True)
class Checklist:
    """A form.

    Attributes:
        name: One of `FORMS`.
        title: What it is called.
        about: What it is, in a line.
        source: Where it was published.
        licence: The terms of the published list, and what of it is used.
        pages: Whether authors say on which page of their paper an item is answered.
        items: Its items in order.
    """

    name: str
    title: str
    about: str
    source: str
    licence: str
    pages: bool
    items: tuple[Item, ...]

    def sections(self) -> dict[str, list[Item]]:
        """Return the items by section, in order."""
        sections: dict[str, list[Item]] = {}
        for item in self.items:
            sections.setdefault(item.section, []).append(item)
        return sections


def read_checklist(name: str) -> Checklist:
    """Return one of `FORMS`."""
    document = tomllib.loads(asset(PACKAGE, f"{name}.toml"))
    items = tuple(Item(**{**item, "fill": tuple(item.get("fill", ()))}) for item in document.pop("items"))
    return Checklist(name=name, items=items, **document)
