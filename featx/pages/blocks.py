"""The parts of a report's page: sections of blocks, which hold plain text and numbers as they are shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One thing on the page."""

    @property
    def kind(self) -> str:
        """What the template chooses its HTML by: the class's name in lower case."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Text(Block):
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Note(Block):
    """A paragraph set apart; a `loud` one changes the meaning of all the rest."""

    text: str
    loud: bool = False


@dataclass(frozen=True)
class Points(Block):
    """A list of paragraphs: for each one a few words that name its subject, and its text."""

    items: tuple[tuple[str, str], ...]


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

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset()
    fold: str = ""
    last_is_total: bool = False


@dataclass(frozen=True)
class Facts(Block):
    """A table of names and values; the words `fold` open one that is closed at first."""

    caption: str
    pairs: tuple[tuple[str, str], ...]
    fold: str = ""


@dataclass(frozen=True)
class Confusion(Block):
    """A confusion matrix as a table: true classes in rows, predicted ones in columns.

    Attributes:
        caption: What it shows.
        classes: Their names.
        rows: For each true class its name, its cells, and its share of correct images as shown. A cell is a count
            and its share of the true class, 0 to 1, which is its shade.
    """

    caption: str
    classes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, float], ...], str], ...]


@dataclass(frozen=True)
class Figure(Block):
    """A drawing.

    Attributes:
        svg: The element `<svg>`; its ids must be unique on the page.
        alt: A description for readers who do not see it.
        caption: A line below.
        print_only: Whether it is shown on paper only, in place of something interactive.
    """

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
        title: A line below, such as "covid, predicted as normal".
        shares: Classes and probabilities, the largest first; empty to show the image only.
        label: Its true class, which `shares` contain.
    """

    source: str | None
    name: str
    title: str
    shares: tuple[tuple[str, float], ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Gallery(Block):
    """Small images in rows, of which the first `shown` are seen and the others are closed at first."""

    caption: str
    pictures: tuple[Picture, ...]
    shown: int


@dataclass(frozen=True)
class Interactive(Block):
    """The HTML of an interactive map."""

    html: str


@dataclass(frozen=True)
class Code(Block):
    """Text as it stands in a file, closed at first and opened by the words `fold`."""

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
        sections: In order.
        footer: Lines at the end.
        notes: What must be known first.
        tiles: A few figures that are read first: name, value, and a line below.
        resources: The elements `<script>` and `<style>` that all interactive maps share.
        sort: What kind of page it is, a line above the title.
    """

    title: str
    headline: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    tiles: tuple[tuple[str, str, str], ...] = ()
    resources: str = ""
    sort: str = "featx report"
