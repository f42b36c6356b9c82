"""What is in a dataset, in one line, and warnings of what looks as if it were meant otherwise."""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from itertools import combinations, islice
from statistics import median

from featx.data.dataset import Dataset, Item, first_few, in_sentence, is_unlabelled
from featx.data.folders.splits import is_unclear_split, split_beside_train, split_mentioned
from featx.text import count, images

log = logging.getLogger("featx")

SURVEY = "survey"  # the subject of these notices, for those who read the same data several times
OUTPUT_NAMES = frozenset(("run", "runs", "cache", "report", "maps", "clusters", "sweep", "featx", "featx-demo"))
MASKS = frozenset(
    f"{name}{plural}" for name in ("mask", "thumb", "thumbnail", "label", "annotation", "gt") for plural in ("", "s")
)
# The end of a file's name that says that it belongs to another image: "benign (1)_mask_1".
_MARKED = re.compile(
    r"(.+)[ _-](mask|seg|segmentation|thumb|thumbnail|gt|label|annotation|overlay)s?([ _-]?\d+)?", re.I
)
MANY = 10  # labels: fewer may all be different by chance
SMALLER = 20  # times: a mask or thumbnail is that much smaller than its image
# What is compared: images and their masks are in a few folders of each class, patients in many.
MOST_CLASSES, MOST_FOLDERS, MOST_FILES = 20, 4, 20


def survey(dataset: Dataset, *, folders: bool, because: str = "") -> None:
    """Say in one line what a dataset holds, and warn of what looks odd in its labels; no image is opened.

    `folders` tells whether the labels are the names of folders; `because` says why folders are not classes.
    """
    log.info("%s", summary(dataset, because), extra={"subject": SURVEY})
    if not dataset.classes:
        return
    for check in (*_CHECKS, _sub_folders) if folders else _CHECKS:
        for warning in check(dataset):
            log.warning("%s", warning, extra={"subject": SURVEY})


def warn_of_no_test(consequence: str) -> None:
    """Warn that data has no test images, what follows from it, and how to get some."""
    log.warning("The data has no test images, so %s; --test 0.2 sets a fifth of them aside.", consequence)


def summary(dataset: Dataset, because: str = "") -> str:
    """Return one line with the splits, the classes with their images, and the groups.

    An example is "Data: 8 images, 2 classes; train: covid 3, normal 3; test: covid 1, normal 1; 5 groups.", and for
    data without labels "Data: 8 images without labels; train 6, test 2.".
    """
    classes = len(dataset.classes)
    if not classes:
        parts = [f"Data: {images(len(dataset.items))} without labels{f' ({because})' * bool(because)}"]
        sizes = {split: len(dataset.split(split)) for split in dataset.counts()}
        if set(sizes) - {"train"}:
            parts.append(", ".join(f"{split} {count(n)}" for split, n in sizes.items()))
    else:
        parts = [f"Data: {images(len(dataset.items))}, {dataset.labels_in_words}"]
    for split, counts in dataset.counts().items() if classes else ():
        few = [f"{in_sentence(label)} {counts[label]}" for label in dataset.classes[:5]]
        parts.append(f"{split}: {', '.join(few)}{', …' * (classes > 5)}")
        if dataset.multilabel:
            parts[-1] += f" of {images(len(dataset.split(split)))}"
        elif classes > 5:
            parts[-1] += f" ({sum(counts.values())} in all)"
    groups = {item.group for item in dataset.items} - {None}
    if groups:
        alone = sum(item.group is None for item in dataset.items)
        parts.append(
            f"{count(len(groups))} group{'s' * (len(groups) != 1)}" + f", {images(alone)} without one" * bool(alone)
        )
    if unlabelled := sum(is_unlabelled(item) for item in dataset.items) if classes else 0:
        parts.append(f"{unlabelled} without a {'known ' * dataset.multilabel}label")
    return "; ".join(parts) + "."


def _odd_class_names(dataset: Dataset) -> Iterator[str]:
    like_splits = [name for name in dataset.classes if split_beside_train(name) or is_unclear_split(name)]
    mentioned = {name: split for name in dataset.classes if (split := split_mentioned(name))}
    if "train" in mentioned.values() and len(set(mentioned.values())) > 1:
        like_splits = list({**dict.fromkeys(like_splits), **mentioned})
    if like_splits:
        yield (
            f"Classes are named like splits ({first_few(like_splits)}); if they are splits, lay the images out as "
            "train/<class>/ and test/<class>/."
        )
    folds = [name for name in dataset.classes if re.fullmatch(r"(fold|split|cv|part)[ _-]?\d+", name, re.I)]
    if folds:
        yield (
            f"Classes are named like folds ({first_few(folds)}); if they are folds, list the images in a manifest or "
            "lay them out as train/<class>/ and test/<class>/."
        )
    own = [name for name in dataset.classes if name.casefold() in OUTPUT_NAMES]
    if own:
        yield (
            f"Classes are named like what featx writes ({first_few(own)}); move such folders out of the data if they "
            "hold its results."
        )
    pictures = [name for name in dataset.classes if name.casefold() in MASKS | {"image", "images"}]
    if pictures:
        yield (
            f"Classes are named like kinds of files, such as masks or thumbnails ({first_few(pictures)}); give each "
            "class a folder, and move what is no image of a class out of the data."
        )


def _classes_alike(dataset: Dataset) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for name in dataset.classes:
        names.setdefault(_plain(name), []).append(name)
    alike = [same for same in names.values() if len(same) > 1]
    if alike:
        yield (
            f"Some classes differ in spelling only ({len(alike)}), such as {' and '.join(map(repr, alike[0]))}; "
            "give them one name if they are one class."
        )


def _labels_that_are_no_classes(dataset: Dataset) -> Iterator[str]:
    if dataset.multilabel:
        return
    counts = Counter(item.label for item in dataset.items if item.label is not None)
    labels = dataset.classes
    if len(labels) >= MANY and 2 * len(labels) > counts.total():
        kind = "numbers to predict" if all(map(_is_number, labels)) else "names of the images"
        yield (
            f"The {counts.total()} images have {len(labels)} different labels, so these may be {kind} and not "
            "classes; check the column label or the folders, or use no labels (--labels none)."
        )
    else:
        single = [name for name in labels if counts[name] == 1]
        if single and len(single) < len(labels):
            yield f"Classes with a single image ({len(single)}): {first_few(single)}"
    files = [name for name in labels if re.search(r"\.(jpe?g|png|tiff?|dcm|bmp)$", name, re.I)]
    if files:
        yield f"Labels look like files ({len(files)}), such as {first_few(files[:1])}; check the column label."
    names = frozenset(labels)
    several = [name for name in labels if _names_several(name, names)]
    if several:
        yield (
            f"Labels name several classes at once ({len(several)}), such as {first_few(several[:1])}; each "
            "combination is taken as a class of its own, so choose what is between the names (--label-separator)."
        )


def _names_several(name: str, labels: Set[str]) -> bool:
    """Tell whether a label names several with a semicolon between them, or with another sign between other labels."""
    for sign in (";", ",", "/", "+"):
        parts = [part.strip() for part in name.split(sign)]
        if len(parts) > 1 and all(parts) and (sign == ";" or all(part in labels for part in parts)):
            return True
    return False


def _classes_missing_in_a_split(dataset: Dataset) -> Iterator[str]:
    counts = dataset.counts()
    for split in ("val", "test"):
        missing = [name for name, n in counts.get(split, {}).items() if not n and counts.get("train", {}).get(name)]
        if missing and len(dataset.split(split)) >= len(dataset.classes):
            yield f"Split {split} has no images of {first_few(missing)}"


def _sub_folders(dataset: Dataset) -> Iterator[str]:
    """Warn of folders below the class folders that hold other pictures of the same things, or the real classes."""
    places = _places(dataset)
    deep = {label: below for label, below in places.items() if any(below)}
    if not deep:
        return
    label, below = next(iter(deep.items()))
    masks = [_at(label, place) for label, below in deep.items() for place in below if _is_for_masks(place)]
    pairs = filter(None, (_same_things(label, places) for label in islice(deep, MOST_CLASSES)))
    if len(places) == 1 and len(below) > 1 and "" not in below:
        yield (
            f"All images are below the one class folder {label}, in {len(below)} folders "
            f"({first_few(list(below))}); if these are the classes, give that folder."
        )
    elif masks:
        yield (
            f"Folders are named like those of masks or thumbnails ({len(masks)}), such as {masks[0]}; "
            "move them out of the data if they are."
        )
    elif warning := next(pairs, None):
        yield warning
    else:
        log.info(
            "Images in folders below a class folder have its class, such as those in %s",
            _at(label, min(filter(None, below))),
            extra={"subject": SURVEY},
        )


def _is_for_masks(place: str) -> bool:
    return any(re.split(r"[\W_]+", name.casefold())[-1] in MASKS for name in place.split("/"))


def _same_things(label: str, places: Mapping[str, Mapping[str, Sequence[Item]]]) -> str | None:
    """Return a warning if one folder of a class seems to hold the masks or thumbnails of another."""
    below = places[label]
    if len(below) > MOST_FOLDERS:
        return None
    names = {place: {item.id.rpartition("/")[2].rpartition(".")[0] for item in below[place]} for place in below}
    sizes = {place: _size(below[place]) for place in below}
    for one, two in combinations(sorted(below), 2):
        same = len(names[one] & names[two])
        # Folders of patients hold files of the same names, too, but are not called alike in each class.
        if (
            same > 1
            and 2 * same > min(len(names[one]), len(names[two]))
            and sum(one in other and two in other for other in places.values()) > 1
        ):
            return (
                f"Folders of one class hold files of the same names ({same}), {_at(label, one)} and "
                f"{_at(label, two)}; if one has masks or thumbnails of the other, move it out of the data."
            )
        small, large = sorted((one, two), key=lambda place: sizes[place])
        if 0 < SMALLER * sizes[small] < sizes[large]:
            return (
                f"Files in {_at(label, small)} are much smaller than those in {_at(label, large)}, about "
                f"{sizes[small] / 1000:.1f} and {sizes[large] / 1000:.1f} kB; if they are masks or thumbnails, move "
                "them out of the data."
            )
    return None


def _marked_files(dataset: Dataset) -> Iterator[str]:
    """Warn of files beside an image that are named like its mask or thumbnail."""
    stems = {item.id.rpartition(".")[0]: item.id for item in dataset.items}
    marked = [
        name for stem, name in stems.items() if (match := _MARKED.fullmatch(stem)) is not None and match[1] in stems
    ]
    if marked:
        yield (
            f"Files are named like masks or thumbnails of other images ({len(marked)}), such as "
            f"{in_sentence(marked[0])}; move them out of the data if they are."
        )


_CHECKS: Sequence[Callable[[Dataset], Iterator[str]]] = (
    _odd_class_names,
    _classes_alike,
    _labels_that_are_no_classes,
    _classes_missing_in_a_split,
    _marked_files,
)


def _places(dataset: Dataset) -> dict[str, dict[str, list[Item]]]:
    """The images of each class folder, by the folder below it ("" for those directly in it)."""
    folders: dict[tuple[str, str | None], list[Item]] = {}
    for item in dataset.items:
        folders.setdefault((item.id.rpartition("/")[0], item.label), []).append(item)
    places: dict[str, dict[str, list[Item]]] = {}
    for (folder, label), items in folders.items():
        parts = folder.split("/")
        names = [unicodedata.normalize("NFC", part) for part in parts]
        if label is not None and label in names:
            below = "/".join(parts[names.index(label) + 1 :])
            places.setdefault(label, {}).setdefault(below, []).extend(items)
    return places


def _at(label: str, below: str) -> str:
    return in_sentence(f"{label}/{below}".rstrip("/")) + "/"


def _size(items: Sequence[Item]) -> float:
    """The median size in bytes of some files in a folder; 0 if there are too few to say."""
    sizes = []
    for item in items[:: math.ceil(len(items) / MOST_FILES)]:
        try:
            sizes.append(item.path.stat().st_size)
        except OSError:
            continue
    return median(sizes) if len(sizes) >= 3 else 0


def _plain(name: str) -> str:
    """A name without what is often written in two ways: case, spaces, dashes between words, 1 and 1.0."""
    name = re.sub(r"(?<=\d)\.0+$", "", name.strip())
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", unicodedata.normalize("NFKC", name).casefold()).strip(" _")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?", text) is not None
