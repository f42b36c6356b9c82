"""The names that people give to splits."""

from __future__ import annotations

import re
import unicodedata

# Words for a split and what featx calls it. The names `dev` and shorter ones are also names of classes, so that a
# folder has this meaning only beside a folder for training.
_CLEAR = (
    dict.fromkeys(("train", "training", "trn"), "train")
    | dict.fromkeys(("val", "valid", "validation"), "val")
    | dict.fromkeys(("test", "testing", "tst"), "test")
)
_BESIDE_TRAIN = dict.fromkeys(("dev", "devel", "development"), "val")
_IN_TABLES = {"tr": "train", "va": "val", "te": "test", "ts": "test"}
_UNCLEAR = frozenset(("eval", "evaluation", "holdout", "heldout", "hold out", "held out"))
# Words beside the name that say nothing about which split it is: training_set, test images, seg_train, X_train.
_FILLERS = {
    "set",
    "sets",
    "data",
    "dataset",
    "split",
    "folder",
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "seg",
    "x",
}
_GLUED = re.compile(r"(train|training|test|testing|val|valid|validation|dev)(sets?|data|imgs?|images?|split)(\d*)")


def split_of_folder(name: str) -> str | None:
    """Return the split that a folder's name stands for, whatever is beside it: `training_set` is "train"."""
    return _CLEAR.get(_core(name))


def split_beside_train(name: str) -> str | None:
    """Return the split that a folder's name stands for if a folder for training is beside it."""
    return (_CLEAR | _BESIDE_TRAIN).get(_core(name))


def split_of_cell(text: str) -> str | None:
    """Return the split that a cell of a table stands for."""
    return (_CLEAR | _BESIDE_TRAIN | _IN_TABLES).get(_core(text))


def is_unclear_split(name: str) -> bool:
    """Tell whether a name stands for validation or for test, and it is not clear for which: `eval`, `holdout`."""
    return _core(name) in _UNCLEAR


def split_mentioned(name: str) -> str | None:
    """Return the split that one of a name's words stands for: `chest_xray_test` mentions "test"."""
    named = [split for word in _words(name) if (split := (_CLEAR | _BESIDE_TRAIN).get(word))]
    return named[0] if len(named) == 1 else None


def _core(name: str) -> str:
    """A name in lower case without fillers and years: `seg_train`, `Training-Set` and `train2017` are about train."""
    return " ".join(word for word in _words(name) if word not in _FILLERS)


def _words(name: str) -> list[str]:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    words = [_GLUED.sub(r"\1\3", word) if _GLUED.fullmatch(word) else word for word in words]
    words = [re.sub(r"(?<=[a-z])(19|20)\d\d$", "", word) for word in words]
    return [word for word in words if not re.fullmatch(r"(19|20)\d\d", word)]
