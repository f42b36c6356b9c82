"""How data is read: which columns of a table mean what, labels of images in memory, and a test split to set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast

from featx.arguments import SEEDS
from featx.errors import UsageError

COLUMN_ENDING = "_column"
NONE = "none"  # chosen instead of a column: there is none, whatever columns there are
MARK = "label:"  # before the name of a label, in the name of its column


class DataChoice(TypedDict, total=False):
    """Keyword arguments of every verb that reads data.

    Attributes:
        path_column: The column of a manifest or data frame that has the images' paths; `path` if not given, or the
            only one with a name like `filename` or `image`, which a notice says.
        label_column: The column that has the classes; `label` if not given, or the only one with a name like `class`.
        group_column: The column that has patients or other groups, which stay together; `group` if not given, or the
            only one with a name like `patient_id` that has more groups than classes. `none`: there are no groups.
        split_column: The column that has the splits; `split` if not given, or the only one with a name like `set` and
            nothing but the names of splits. `none`: there is no split.
        image_column: The column of a Parquet file that has the bytes of the images; the only such column if not
            given.
        label_columns: Columns of 0, 1 and empty cells that each say whether a label is there; those named
            `label:NAME` if not given.
        label_separator: What separates labels in a cell of the label column that names several, `|` if not given.
            `none`: a cell is one label, whatever is in it.
        labels: The class of each image of a list or array, (n,), in its order; None where it is not known. Of a
            folder `auto` (the default), `folder` or `none`: whether the folders are the classes. Of a manifest
            `none`: its labels are not used.
        group_from: Where the groups of images are said: `parent`, the folder that an image is in, or a regular
            expression that is searched in each image's id. Its group named `group`, or else its first one, is the
            group of the image.
        keep_group_in: The split, `train`, `val` or `test`, that keeps the images of groups that are in two splits;
            the images of these groups in other splits are left out.
        groups: The group of each image of a list or array, (n,), in its order; None where it has none.
        test: The share of images to set aside for testing, above 0 and below 1, for data without a test split. Each
            class has this share as nearly as whole groups allow.
        split_seed: Decides, with the images' contents, which images these are; 0 if not given.
    """

    path_column: str | None
    label_column: str | None
    group_column: str | None
    split_column: str | None
    image_column: str | None
    label_columns: Sequence[str] | str | None
    label_separator: str | None
    labels: Iterable[Any] | Literal["auto", "folder", "none"] | None
    group_from: str | None
    keep_group_in: Literal["train", "val", "test"] | None
    groups: Iterable[Any] | None
    test: float | None
    split_seed: int | None


@dataclass(frozen=True)
class HeldOutTest:
    """Which share of images is set aside for testing, and the seed that decides which images they are.

    Attributes:
        share: Above 0 and below 1.
        seed: From 0 to 2**32 - 1.
    """

    share: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UsageError(
                f"Expected a share of images for testing above 0 and below 1, received {self.share}; 0.2 is a fifth."
            )
        if not 0 <= self.seed < SEEDS:
            raise UsageError(f"Expected a split seed from 0 to {SEEDS - 1}, received {self.seed}.")

    def to_json(self) -> dict[str, Any]:
        """Return `share, seed`."""
        return {"share": self.share, "seed": self.seed}


def held_out_test(choice: DataChoice) -> HeldOutTest | None:
    """Return the share of images that is set aside for testing; None if there is none.

    Raises:
        UsageError: The share or the seed is out of range, or there is a seed without a share.
    """
    share, seed = choice.get("test"), choice.get("split_seed")
    if share is not None:
        return HeldOutTest(float(share), int(seed or 0))  # NumPy's numbers are none in JSON
    if seed is not None:
        raise UsageError(f"Expected a share of images for testing with the split seed {seed}; add --test 0.2.")
    return None


def chosen_columns(choice: DataChoice) -> dict[str, str]:
    """Return the columns that are chosen by name: what each means, and the column's own name.

    What a column means is `path`, `label`, `group`, `split`, or `label:NAME` for one of several labels. No column has
    labels, `none`, if none are to be used.

    Raises:
        UsageError: Labels are chosen in two ways.
    """
    chosen: Mapping[str, Any] = choice
    names = {name: chosen.get(name + COLUMN_ENDING) for name in ("path", "label", "group", "split")}
    columns = {name: column for name, column in names.items() if column is not None}
    several = _names_of(choice.get("label_columns"))
    if "label" in columns and several:
        raise UsageError("Expected one of --label-column and --label-columns, received both; leave one of them out.")
    if labels_of(choice) == "none":
        if "label" in columns or several:
            raise UsageError("Expected no column of labels with --labels none; leave one of the two out.")
        columns["label"] = NONE
    return columns | {f"{MARK}{name.removeprefix(MARK)}": name for name in several}


def labels_of(choice: DataChoice) -> Literal["auto", "folder", "none"]:
    """Return where labels come from, see `DataChoice`; `auto` also for those of a list or array.

    Raises:
        UsageError: There is no such way.
    """
    labels = choice.get("labels")
    if not isinstance(labels, str):
        return "auto"
    if labels not in ("auto", "folder", "none"):
        raise UsageError(
            f"Expected --labels to be auto, folder or none, or labels and images as lists or arrays in the same "
            f"order, received the text {labels[:80]!r}."
        )
    return cast(Literal["auto", "folder", "none"], labels)


def refuse_labels_of_folders(choice: DataChoice, received: str, advice: str = "leave it out") -> None:
    """Raise UsageError if the labels of data without folders are to be those of its folders."""
    if labels_of(choice) == "folder":
        raise UsageError(f"Expected --labels folder with a folder, received {received}; {advice}.")


def labels_of_images(choice: DataChoice) -> Any:
    """Return the labels that are given with a list or array of images, in its order; None if there are none."""
    labels = choice.get("labels")
    return None if isinstance(labels, str) else labels


def separator_of(choice: DataChoice) -> str | None:
    """Return the chosen text between the labels of a cell; None if it is not chosen.

    Raises:
        UsageError: It is empty.
    """
    separator = choice.get("label_separator")
    if separator == "":
        raise UsageError("Expected a text between labels for --label-separator, such as ';', received an empty one.")
    return separator


def _names_of(columns: Sequence[str] | str | None) -> list[str]:
    """The names of columns that a list or a text with commas has."""
    names = columns.split(",") if isinstance(columns, str) else list(columns or ())
    names = [name.strip() for name in names]
    if columns is not None and (not names or not all(names) or len(set(names)) < len(names)):
        raise UsageError(
            f"Expected names of columns for --label-columns, each once and separated by commas, received "
            f"{str(columns)[:80]!r}."
        )
    return names
