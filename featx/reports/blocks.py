"""The parts of a report's page: sections of blocks, which hold plain text and numbers as they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Block:
    """One thing on the page. `kind` is what the template chooses its HTML by."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Text(Block):
    """A paragraph.

    Attributes:
        text: What it says.
    """

    kind = "text"
    text: str


@dataclass(frozen=True)
class Note(Block):
    """A paragraph set apart.

    Attributes:
        text: What it says.
        loud: Whether it changes the meaning of all the rest.
    """

    kind = "note"
    text: str
    loud: bool = False


@dataclass(frozen=True)
class Points(Block):
    """A list of paragraphs.

    Attributes:
        items: For each paragraph, a few words that name its subject, and the text.
    """

    kind = "points"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tiles(Block):
    """A few figures that are read first: name, value, and a line below."""

    kind = "tiles"
    tiles: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Table(Block):
    """A table whose first column heads its rows.

    Attributes:
        caption: What it shows.
        header: The names of the columns.
        rows: Cells as they are shown.
        words: The numbers of the columns, from 1, that hold words and are set flush left.
        fold: The words that open a table that is closed at first; "" for one that is open.
        last_is_total: Whether the last row adds up the others.
    """

    kind = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset()
    fold: str = ""
    last_is_total: bool = False


@dataclass(frozen=True)
class Facts(Block):
    """Names and values.

    Attributes:
        caption: What they are about.
        pairs: Names and values.
        fold: See `Table`.
    """

    kind = "facts"
    caption: str
    pairs: tuple[tuple[str, str], ...]
    fold: str = ""


@dataclass(frozen=True)
class ConfusionCell:
    """A count, and its share of the true class, 0 to 1, which is its shade."""

    count: str
    share: float
    right: bool


@dataclass(frozen=True)
class Confusion(Block):
    """A confusion matrix as a table: true classes in rows, predicted ones in columns.

    Attributes:
        caption: What it shows.
        classes: Their names.
        rows: For each true class its name, its cells, and its share of correct images as shown.
    """

    kind = "confusion"
    caption: str
    classes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[ConfusionCell, ...], str], ...]


@dataclass(frozen=True)
class Figure(Block):
    """A drawing.

    Attributes:
        svg: The element `<svg>`; its ids must be unique on the page.
        alt: A description for readers who do not see it.
        caption: A line below.
        print_only: Whether it is shown on paper only, in place of something interactive.
    """

    kind = "figure"
    svg: str
    alt: str
    caption: str
    print_only: bool = False


@dataclass(frozen=True)
class Picture:
    """A small image.

    Attributes:
        source: A data URI; None if the image could not be read.
        name: The image, as the data names it.
        shares: Classes and probabilities, the largest first; empty to show the image only.
        title: A line below, such as "covid, predicted as normal".
        label: Its true class, which `shares` contain.
    """

    source: str | None
    name: str
    shares: tuple[tuple[str, float], ...] = ()
    title: str = ""
    label: str = ""


@dataclass(frozen=True)
class Gallery(Block):
    """Small images in rows."""

    kind = "gallery"
    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Interactive(Block):
    """An interactive map, as `featx.maps.components` makes it.

    Attributes:
        div: The element that holds the map.
        script: The element with its data.
    """

    kind = "interactive"
    div: str
    script: str


@dataclass(frozen=True)
class Code(Block):
    """Text as it stands in a file, closed at first and opened by the words `fold`."""

    kind = "code"
    fold: str
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    Attributes:
        title: The heading.
        id: What links point to; letters, digits and hyphens, unique on the page.
        blocks: What it shows, in order.
        sections: Parts of it.
    """

    title: str
    id: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: The only heading of level 1.
        headline: The sentences that give the result.
        tiles: The figures that are read first, or None.
        notes: What must be known first.
        sections: In order.
        footer: Lines at the end.
        resources: The elements `<script>` and `<style>` that all interactive maps share.
    """

    title: str
    headline: tuple[str, ...]
    tiles: Tiles | None
    notes: tuple[Note, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...]
    resources: str = ""
