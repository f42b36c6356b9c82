"""An HTML page as a tree, for tests that read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Node:
    """An element: its attributes, and elements and texts in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, *tags: str, **attributes: str) -> list[Node]:
        """The elements within of these tags, and with these values of attributes."""
        return [
            node
            for node in self.walk()
            if node.tag in tags and all(node.attributes.get(k.rstrip("_")) == v for k, v in attributes.items())
        ]

    def id(self, name: str) -> Node:
        """The element of that id."""
        return next(node for node in self.walk() if node.attributes.get("id") == name)

    @property
    def text(self) -> str:
        """All text within, with single spaces; elements stand apart, except those that only keep words together."""
        text, apart = "", " "
        for child in self.children:
            within = isinstance(child, Node) and child.attributes.get("class") == "together"
            text += ("" if within else apart) + (child.text if isinstance(child, Node) else child)
            apart = "" if within else " "
        return " ".join(text.split())

    def table(self, caption: str) -> list[list[str]]:
        """The cells of the only table whose caption begins with this text, by row, the header first."""
        tables = [table for table in self.all("table") if table.all("caption")[0].text.startswith(caption)]
        assert len(tables) == 1, f"{len(tables)} tables begin with {caption!r}"
        return [[cell.text for cell in row.all("th", "td")] for row in tables[0].all("tr")]


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        assert len(node.attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        node = self.open.pop()
        assert node.tag == tag, f"<{node.tag}> is ended by </{tag}>"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(text: str) -> Node:
    """Read a page; elements that are not closed, or not in the right order, are errors."""
    tree = _Tree()
    tree.feed(text)
    tree.close()
    assert len(tree.open) == 1, f"<{tree.open[-1].tag}> is not closed"
    return tree.root


def read_page(path: Path) -> Node:
    return parse(path.read_text("utf-8"))
