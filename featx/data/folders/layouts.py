"""Which folders are splits, and which layouts are refused because they would be read otherwise than meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featx.data.dataset import first_few, in_sentence
from featx.data.folders.leftovers import is_system_folder
from featx.data.folders.scanning import scan
from featx.data.folders.splits import is_unclear_split, split_beside_train, split_mentioned, split_of_folder
from featx.errors import DataError

DEEPEST = 5  # folders that an archive may add above the data


def splits_of_folders(root: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the split of each of a folder's folders that is one; none if all are classes.

    Raises:
        DataError: There is no folder for training beside those for other splits, there are two for one split, or
            one is for validation or for testing and it is not clear for which.
    """
    splits = {name: split for name in names if (split := split_of_folder(name))}
    if not splits:
        return {}
    if "train" not in splits.values():
        other = first_few([f"{name}/" for name in splits])
        raise DataError(
            f"Expected train/ beside {other} in {root}, found none; add train/<class>/ folders, or rename {other} "
            "if that is a class."
        )
    splits = {name: split for name in names if (split := split_beside_train(name))}
    unclear = [name for name in names if is_unclear_split(name) and _folders_in(root / name)]
    if unclear and len(set(splits.values())) < 3:
        raise DataError(
            f"Expected train/, val/ and test/ in {root}, found {in_sentence(unclear[0])}/, which could be for "
            "validation or for testing; rename it to val or test, or move it elsewhere."
        )
    chosen = {}
    for split in dict.fromkeys(splits.values()):
        same = [name for name, one in splits.items() if one == split]
        with_classes = [name for name in same if _folders_in(root / name)]
        if len(with_classes) > 1:
            raise DataError(
                f"Expected one folder for {split} in {root}, found {first_few(with_classes)}; put their images into "
                "one, or move one elsewhere."
            )
        # A folder without classes, such as train_images/ beside train/, is ignored like any other.
        chosen[(with_classes or same)[0]] = split
    return chosen


def check_class_folders(root: Path, names: Sequence[str]) -> None:
    """Check that folders of which none is a split look like classes.

    Raises:
        DataError: The splits are one level down, in a data set or in each class, or have names of their own.
    """
    inside = {name: _folders_in(root / name) for name in names}
    for name, below in inside.items():
        at = name
        while len(below) == 1 and at.count("/") < DEEPEST:
            at = f"{at}/{below[0]}"
            below = _folders_in(root / at)
        splits = {inner: split for inner in below if (split := split_of_folder(inner))}
        if "train" not in splits.values() or len(set(splits.values())) < 2:
            continue
        shown = first_few([f"{inner}/" for inner in splits])
        if any(_folders_in(root / at / inner) for inner in splits):
            raise DataError(
                f"Expected train/ or class folders in {root}, found {shown} "
                f"{'one level' if at == name else 'further'} down in {in_sentence(at)}/; give that folder."
            )
        raise DataError(
            f"Expected <split>/<class>/ folders in {root}, found {shown} within {in_sentence(at)}/; lay the images "
            "out in this way, or list them in a manifest with a column split."
        )
    mentioned = {name: split for name in names if inside[name] and (split := split_mentioned(name))}
    if "train" in mentioned.values() and len(set(mentioned.values())) > 1:
        raise DataError(
            f"Expected train/, val/ and test/ or class folders in {root}, found {first_few(list(mentioned))}, which "
            "look like splits and hold folders; rename them to train, val and test, or list the images in a manifest."
        )


def _folders_in(folder: Path) -> list[str]:
    """The names of the visible folders in a folder; none if it cannot be read, which the search will say."""
    try:
        folders, _ = scan(str(folder))
    except DataError:
        return []
    return [entry.name for entry in folders if not is_system_folder(entry.name)]
