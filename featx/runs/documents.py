"""JSON documents that featx wrote, such as those of a RUN folder: they may have been cut, edited or forged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from featx.errors import reason_of_field
from featx.files import read_json


class Document(BaseModel):
    """An object of a JSON document: entries that it needs, and defaults of those that an earlier version left out.

    Entries that it does not name are kept as they are. A name that Python cannot have is given as an alias.
    """

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


def read_document(path: Path, model: type[Document]) -> dict[str, Any]:
    """Return a JSON object with all entries that a model names; the defaults of those that are missing.

    Args:
        path: The file.
        model: Its entries and their types.

    Raises:
        OSError: It cannot be read, see `read_json`.
        ValueError: It is not JSON, or an entry is missing or of another kind; the message names the first.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    try:
        return model.model_validate(value).model_dump(by_alias=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:60]
        raise ValueError(f"{place}: {reason_of_field(first['msg'])}") from None


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a class is there twice")
    return names


def _without_null(path: str) -> str:
    if "\0" in path:
        raise ValueError("no path has a null character")
    return path


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal."""
SpaceId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""The id of a feature space."""
ClassNames = Annotated[list[str], Field(min_length=2), AfterValidator(_distinct)]
"""At least two names of classes."""
LabelNames = Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)]
"""At least one name of a label."""
Width = Annotated[int, Field(ge=1, lt=2**31)]
"""Number of features in a row."""
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Epoch = Annotated[int, Field(ge=1, lt=2**63)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Seconds = Annotated[float, Field(ge=0, lt=1e12)]


class _HeldOut(Document):
    share: Annotated[float, Field(gt=0, lt=1)]
    seed: _Count


class _Data(Document):
    root: Annotated[str, AfterValidator(_without_null)] = ""
    sha256: str = ""
    test: _HeldOut | None = None


class _Weights(Document):
    source: str = ""
    sha256: Digest
    card: dict[str, Any] | None = None


class _Features(Document):
    feature_set: SpaceId
    augmented_set: str = ""
    dim: Width
    engine: str = ""


class _Penultimate(Document):
    layer: str
    feature_set: SpaceId


class _Head(Document):
    sha256: Digest
    penultimate: _Penultimate | None


class _Calibration(Document):
    temperature: Annotated[float, Field(gt=0, lt=1e6)]
    n: _Count | None = None


class _Device(Document):
    devices: list[str] = []


class Manifest(Document):
    """The document `manifest.json`. What is only shown may be missing."""

    created: str = ""
    classes: LabelNames
    multilabel: bool = False
    data: _Data = _Data()
    weights: _Weights
    features: _Features
    head: _Head
    calibration: _Calibration | None = None
    versions: dict[str, str] = {}
    device: _Device = _Device()

    @model_validator(mode="after")
    def _two_classes_or_labels(self) -> Manifest:
        if len(self.classes) < 2 and not self.multilabel:
            raise ValueError("there is one class only")
        return self


class _Score(Document):
    n: _Count
    correct: _Count
    loss: float | None
    auc: _Share | None = None
    average_precision: _Share | None = None
    groups: _Count | None = None
    effective_n: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _no_more_than_images(self) -> _Score:
        if self.correct > self.n:
            raise ValueError(f"{self.correct} correct of {self.n}")
        if (self.groups or 0) > self.n or (self.effective_n or 0) > self.n:
            raise ValueError(f"more groups or independent images than the {self.n} images")
        return self


class _Times(Document):
    extract: _Seconds
    fit: _Seconds


class _Parameters(Document):
    total: _Count
    trainable: _Count
    non_trainable: _Count


class Metrics(Document):
    """The document `metrics.json`."""

    best_epoch: _Epoch | None = None
    kept_epoch: _Epoch | None = None
    stopped: bool = False
    steps: _Count
    train: _Score
    validation: _Score
    test: _Score
    parameters: _Parameters
    seconds: _Times
    engine: str
