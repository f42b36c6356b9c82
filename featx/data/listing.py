"""The images and other files that a search has met so far. No image is opened here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featx.data.dataset import Item, readable
from featx.data.folders.kinds import is_image
from featx.data.folders.leftovers import is_own, is_system_folder
from featx.data.folders.scanning import Entry, identity, scan
from featx.data.tables.multilabel import aligned


@dataclass
class Listing:
    """The files that a search has met so far."""

    items: list[Item] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # ids of files that do not have an image's ending
    loose: list[str] = field(default_factory=list)  # ids of images outside of class folders
    outside: list[Item] = field(default_factory=list)  # these images, in case the folders turn out to be no classes
    empty: list[str] = field(default_factory=list)  # class folders without an image
    skipped: dict[str, None] = field(default_factory=dict)  # folders of the system
    own: dict[str, None] = field(default_factory=dict)  # folders that featx wrote
    label_names: tuple[str, ...] = ()  # what the targets of items with several labels are in the order of
    unlabelled_because: str = ""  # why the folders of data are not classes, for the line about it

    def add(self, files: Iterable[tuple[str, str]], label: str | None, split: str) -> bool:
        """Add files, given as pairs of path and id, and tell whether an image was among them."""
        before = len(self.items)
        for path, name in files:
            if is_image(name, path):
                self.items.append(Item(name, Path(path), label, split))
            else:
                self.others.append(name)
        return len(self.items) > before

    def extend(self, items: Sequence[Item], label_names: Sequence[str] = ()) -> None:
        """Add items; those with several labels have targets in the order of `label_names`, which are sorted."""
        names = tuple(label_names)
        if names and names != self.label_names:
            union = tuple(sorted({*self.label_names, *names}))
            self.items = aligned(self.items, self.label_names, union)
            items = aligned(items, names, union)
            self.label_names = union
        self.items += items

    def add_outside_classes(self, files: Iterable[Entry], prefix: str) -> None:
        """Add the names of files in a folder that should have only class folders."""
        for file in files:
            name = prefix + readable(file.name)
            if is_image(name, file.path):
                self.loose.append(name)
                self.outside.append(Item(name, Path(file.path), None, "train"))
            else:
                self.others.append(name)

    def children(self, folder: str, prefix: str, *, top: bool = False) -> tuple[list[Entry], list[Entry]]:
        """The folders, sorted by name, and the files in a folder, without hidden ones and what is not data."""
        folders, files = scan(folder)
        skipped = [entry for entry in folders if is_system_folder(entry.name)]
        self.skipped.update(dict.fromkeys(prefix + readable(entry.name) for entry in skipped))
        if not top and is_own({entry.name for entry in (*folders, *files)}):
            self.own[prefix.rstrip("/")] = None
            return [], []
        return [entry for entry in folders if not is_system_folder(entry.name)], files

    def files(self, folder: str, prefix: str, *, top: bool = False) -> Iterator[tuple[str, str]]:
        """Yield path and id of each file at any depth; links are followed, but not in a circle."""
        pending: list[tuple[str, str, frozenset[tuple[object, ...]]]] = [(folder, prefix, frozenset())]
        while pending:
            folder, prefix, above = pending.pop()
            here = identity(folder)
            if here in above:
                continue
            folders, files = self.children(folder, prefix, top=top and not above)
            pending += [(entry.path, f"{prefix}{readable(entry.name)}/", above | {here}) for entry in folders]
            yield from ((entry.path, prefix + readable(entry.name)) for entry in files)
