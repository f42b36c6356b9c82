"""What a report's page is made of: sections of blocks, which hold plain text and numbers as they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Block:
    """One thing on the page. `kind` names the macro of the template that shows it."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Text(Block):
    """A paragraph."""

    kind = "text"
    text: str


@dataclass(frozen=True)
class Note(Block):
    """A paragraph set apart; a loud one is for what changes the meaning of all the rest."""

    kind = "note"
    text: str
    loud: bool = False


@dataclass(frozen=True)
class Points(Block):
    """A list of paragraphs, each with a few words in front that name its subject."""

    kind = "points"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tiles(Block):
    """A few figures that are read first: what, the value, and a line below it."""

    kind = "tiles"
    tiles: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Table(Block):
    """A table whose first column heads its rows.

    Attributes:
        caption: What it shows.
        header: A name a column; empty for a table of names and values.
        rows: Cells as they are shown.
        words: The numbers of the columns, from 1, that hold words and not figures, and are set flush left.
        fold: Words to open it by, where it starts closed; "" for a table that is open.
        last_is_total: The last row adds up the others.
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
        pairs: Name and value.
        fold: As of a table.
    """

    kind = "facts"
    caption: str
    pairs: tuple[tuple[str, str], ...]
    fold: str = ""


@dataclass(frozen=True)
class ConfusionCell:
    """A count, and its share, 0 to 1, of the true class, by which it is shaded."""

    count: str
    share: float
    right: bool


@dataclass(frozen=True)
class Confusion(Block):
    """A confusion matrix as a table: a row a true class, a column a predicted one.

    Attributes:
        caption: What it shows.
        classes: Their names.
        rows: For each true class its cells and, as shown, how many of its images are right.
    """

    kind = "confusion"
    caption: str
    classes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[ConfusionCell, ...], str], ...]


@dataclass(frozen=True)
class Figure(Block):
    """A drawing.

    Attributes:
        svg: The element `<svg>`, of which no part has a name that another on the page has.
        alt: What it shows, for those who do not see it.
        caption: A line below.
        print_only: Shown on paper alone, in place of what needs a screen.
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
        source: A data URI; None where the image could not be read.
        name: The image, as the data names it.
        shares: Class and probability, the largest first; empty where only the image is shown.
        title: A line below, such as "covid, taken for normal".
        label: Its class, among `shares`.
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
    """A drawing that answers to the mouse: HTML and its script, made by `featx.interactive`.

    Attributes:
        div: Where it goes.
        script: What fills it.
    """

    kind = "interactive"
    div: str
    script: str


@dataclass(frozen=True)
class Code(Block):
    """Text as it stands in a file, folded away behind a few words."""

    kind = "code"
    fold: str
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    Attributes:
        title: The heading.
        id: What links point to; letters, digits and hyphens, no two the same on a page.
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
        title: Its only heading of the first rank.
        headline: The sentence that tells the result.
        tiles: The figures that are read first; None for none.
        notes: What must be known before all else.
        sections: In order.
        footer: Lines at the end.
        resources: Elements `<script>` and `<style>` that interactive blocks need, once.
    """

    title: str
    headline: tuple[str, ...]
    tiles: Tiles | None
    notes: tuple[Note, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...]
    resources: str = ""
