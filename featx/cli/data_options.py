"""Options that say how data is read, which all commands that take data share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from featx.data import DataChoice

DATA = "How data is read"  # the panel of help that has them

_column_option = partial(typer.Option, rich_help_panel=DATA)
PathColumn = Annotated[
    str | None,
    _column_option(metavar="NAME", help="Column of a manifest with the images' paths.", show_default="path"),
]
LabelColumn = Annotated[
    str | None, _column_option(metavar="NAME", help="Column of a manifest with the classes.", show_default="label")
]
GroupColumn = Annotated[
    str | None,
    _column_option(
        metavar="NAME",
        help="Column of a manifest with patients or other groups; images of a group stay together.",
        show_default="group",
    ),
]
SplitColumn = Annotated[
    str | None,
    _column_option(metavar="NAME", help="Column of a manifest that says train, val or test.", show_default="split"),
]
LabelColumns = Annotated[
    str | None,
    _column_option(
        metavar="NAME,…",
        help="Columns of a manifest with 0, 1 or nothing, each for one label, where an image may have several.",
        show_default="those named label:NAME",
    ),
]
LabelSeparator = Annotated[
    str | None,
    _column_option(
        metavar="TEXT",
        help="What separates the labels in a cell that names several; with none, each cell is one label.",
        show_default="|",
    ),
]
ImageColumn = Annotated[
    str | None,
    _column_option(
        metavar="NAME",
        help="Column of a Parquet file with the bytes of the images.",
        show_default="the only one with bytes",
    ),
]
Labels = Annotated[
    Literal["auto", "folder", "none"] | None,
    typer.Option(
        help="Where labels come from: folder takes each folder of images for a class, none ignores folders and the "
        "labels of a manifest, and auto takes folders for classes where there are some.",
        show_default="auto",
        rich_help_panel=DATA,
    ),
]
GroupFrom = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX|parent",
        help="Groups from the images' names: a regular expression whose group named group, or else the first one, is "
        "the patient; or parent for the folder that an image is in.",
        show_default="the column group, if there is one",
        rich_help_panel=DATA,
    ),
]
KeepGroupIn = Annotated[
    Literal["train", "val", "test"] | None,
    typer.Option(
        help="Leave out the images of a group in all splits but this one, if the group is in two splits.",
        show_default="all images are kept",
        rich_help_panel=DATA,
    ),
]
Test = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the images to set aside for testing, such as 0.2, if the data has no test split. Classes keep "
        "their proportions, and groups stay together.",
        rich_help_panel=DATA,
    ),
]
SplitSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**32 - 1,
        help="Seed that decides which images --test sets aside.",
        show_default="0",
        rich_help_panel=DATA,
    ),
]


@dataclass(frozen=True)
class DataOptions:
    """The options that say how data is read."""

    path_column: PathColumn = None
    label_column: LabelColumn = None
    group_column: GroupColumn = None
    split_column: SplitColumn = None
    label_columns: LabelColumns = None
    label_separator: LabelSeparator = None
    image_column: ImageColumn = None
    labels: Labels = None
    group_from: GroupFrom = None
    keep_group_in: KeepGroupIn = None
    test: Test = None
    split_seed: SplitSeed = None

    def choice(self) -> DataChoice:
        """Return the arguments of a verb that the options mean."""
        return {
            "path_column": self.path_column,
            "label_column": self.label_column,
            "group_column": self.group_column,
            "split_column": self.split_column,
            "label_columns": self.label_columns,
            "label_separator": self.label_separator,
            "image_column": self.image_column,
            "labels": self.labels,
            "group_from": self.group_from,
            "keep_group_in": self.keep_group_in,
            "test": self.test,
            "split_seed": self.split_seed,
        }
