"""Groups from the names of files and folders, and groups that are in two splits."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from featx.data.archived.image_rows import FORMER_PATH
from featx.data.choice import DataChoice
from featx.data.dataset import SPLITS, Item, in_sentence
from featx.data.folders.kinds import is_row
from featx.dicom import hidden_part, is_hidden, salt_of
from featx.errors import DataError, UsageError
from featx.text import count, images

log = logging.getLogger("featx")

PARENT = "parent"


def with_groups(items: Sequence[Item], choice: DataChoice, cache: Path) -> list[Item]:
    """Return items with the groups that `group_from` finds in their names, kept in one split if that is chosen.

    Where names of DICOM files are hidden, groups are looked for in the true names, and are salted hashes.

    Raises:
        UsageError: The regular expression is not valid or has no group, or groups are chosen in two ways.
        DataError: No name has a group.
    """
    rule, keep = choice.get("group_from"), choice.get("keep_group_in")
    items = list(items)
    if rule is not None:
        _refuse_two_ways(choice)
        items = _grouped(items, rule, cache)
    return items if keep is None else _kept(items, keep)


def groups_in_two_splits(items: Sequence[Item]) -> str:
    """Return how many groups have images in two splits, for a sentence; "" if none has.

    An example is "10 of 41 groups (51 of 237 images) are in train and in test".
    """
    splits: dict[str, set[str]] = {}
    for item in items:
        if item.group is not None:
            splits.setdefault(item.group, set()).add(item.split)
    both = {group: tuple(split for split in SPLITS if split in there) for group, there in splits.items()}
    both = {group: there for group, there in both.items() if len(there) > 1}
    if not both:
        return ""
    kinds = Counter(both.values())
    several = len(kinds) > 1
    where = [f"in {' and in '.join(there)}{f' ({count(n)})' * several}" for there, n in kinds.items()]
    n = sum(item.group in both for item in items)
    return (
        f"{count(len(both))} of {count(len(splits))} group{'s' * (len(splits) != 1)} ({count(n)} of "
        f"{images(len(items))}) {'is' if len(both) == 1 else 'are'} {', '.join(where)}"
    )


def _refuse_two_ways(choice: DataChoice) -> None:
    if choice.get("group_column") not in (None, "none") or choice.get("groups") is not None:
        other = "groups" if choice.get("groups") is not None else "--group-column"
        raise UsageError(f"Expected groups from names or from {other}, received both; leave --group-from or it out.")


def _grouped(items: Sequence[Item], rule: str, cache: Path) -> list[Item]:
    """The items with the groups that their names have; those without one have no group."""
    pattern = None if rule == PARENT else _pattern(rule)
    names = [_name(item) for item in items]
    groups = [_parent(name) if pattern is None else _found(pattern, name) for name in names]
    there = Counter(group for group in groups if group is not None)
    if items and not there:
        what = "a folder around each image" if pattern is None else f"a part of the names like {rule[:80]!r}"
        way = "give a regular expression" if pattern is None else "correct the regular expression"
        raise DataError(
            f"Expected {what} for --group-from, found none in {count(len(items))} names such as "
            f"{in_sentence(items[0].id if is_hidden(items[0].id) or not names[0] else names[0])}; {way}, or leave "
            "--group-from out."
        )
    if (
        pattern is None
        and len(there) > 1
        and all(group == item.label for group, item in zip(groups, items, strict=True))
    ):
        raise DataError(
            f"Expected folders of patients for --group-from parent, found those of the classes, such as that of "
            f"{in_sentence(items[0].id)}; give a regular expression that finds the patient in the images' names."
        )
    if any(is_hidden(item.id) for item in items):
        salt = salt_of(cache)
        groups = [None if group is None else hidden_part(group, salt) for group in groups]
        there = Counter(group for group in groups if group is not None)
    if there:
        largest, most = min(there.items(), key=lambda pair: (-pair[1], pair[0]))
        alone = len(items) - there.total()
        log.info(
            "Groups from the names of images: %s of %s, the largest, %s, of %s%s.",
            f"{count(len(there))} group{'s' * (len(there) != 1)}",
            images(there.total()),
            in_sentence(largest),
            images(most),
            f"; {images(alone)} without a group" if alone else "",
        )
    return [replace(item, group=group) for item, group in zip(items, groups, strict=True)]


def _name(item: Item) -> str:
    """The name that may have a group: for a row of a table that of the image's file, because a row has a number."""
    if is_row(item.path):
        return str(item.extra.get(FORMER_PATH) or "")
    if not is_hidden(item.id):
        return item.id
    return "/".join(item.path.parts[-len(item.id.split("/")) :])  # an id is the end of the path


def _pattern(rule: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(rule)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"Expected a regular expression for --group-from, or parent, received {rule[:80]!r} ({error}); correct "
            "it."
        ) from error
    if not pattern.groups:
        raise UsageError(
            f"Expected parentheses around what is the group in the regular expression for --group-from, as in "
            f"'(patient[0-9]+)', received {rule[:80]!r}; add them."
        )
    return pattern


def _parent(name: str) -> str | None:
    return PurePosixPath(name).parent.name or None


def _found(pattern: re.Pattern[str], name: str) -> str | None:
    match = pattern.search(name)
    if match is None:
        return None
    return match["group" if "group" in pattern.groupindex else 1] or None


def _kept(items: Sequence[Item], keep: str) -> list[Item]:
    """The items without those in other splits of groups that are in the split that keeps them."""
    if keep not in SPLITS:
        raise UsageError(f"Expected --keep-group-in to be train, val or test, received {str(keep)[:80]!r}.")
    if all(item.group is None for item in items):
        log.warning("Images have no groups, so --keep-group-in %s changes nothing; see --group-from.", keep)
    here = {item.group for item in items if item.split == keep and item.group is not None}
    out = [item for item in items if item.split != keep and item.group in here]
    if not out:
        return list(items)
    by_split = Counter(item.split for item in out)
    log.warning(
        "Left out of other splits, because their group is in %s: %s of %s (%s).",
        keep,
        images(len(out)),
        f"{count(groups := len({item.group for item in out}))} group{'s' * (groups != 1)}",
        ", ".join(f"{split} {count(by_split[split])}" for split in SPLITS if by_split[split]),
    )
    return [item for item in items if item.split == keep or item.group not in here]
