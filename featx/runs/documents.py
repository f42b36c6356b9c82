"""The JSON files of a RUN folder: what must be in them. They may have been cut, edited or forged."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator


def _no_null(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("no path has a null character")
    return value


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SpaceId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, lt=1e12)]
PathText = Annotated[str, BeforeValidator(_no_null)]


class _Part(BaseModel):
    """A table of a document; further entries are of later versions."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Data(_Part):
    root: PathText
    sha256: Digest
    counts: dict[str, dict[str, Count]]


class _Weights(_Part):
    backbone: str
    source: PathText
    sha256: Digest


class _Features(_Part):
    feature_set: SpaceId
    augmented_set: SpaceId | None = None
    dim: Annotated[int, Field(ge=1, lt=2**31)]
    engine: str
    description: dict[str, Any] | None = None


class _Penultimate(_Part):
    layer: str
    feature_set: SpaceId


class _Head(_Part):
    sha256: Digest
    penultimate: _Penultimate | None


class _Device(_Part):
    devices: list[str] = []


class _Times(_Part):
    extract: Seconds
    fit: Seconds


class _Manifest(_Part):
    """The document `manifest.json`."""

    created: str = ""
    classes: Annotated[list[str], Field(min_length=1)]
    data: _Data
    weights: _Weights
    features: _Features
    head: _Head
    versions: dict[str, str]
    device: _Device
    seconds: _Times

    @model_validator(mode="after")
    def _classes_differ(self) -> _Manifest:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is there twice")
        return self


class _Score(_Part):
    n: Count
    correct: Count
    loss: float | None

    @model_validator(mode="after")
    def _no_more_correct_than_images(self) -> _Score:
        if self.correct > self.n:
            raise ValueError(f"{self.correct} correct of {self.n}")
        return self


class _Parameters(_Part):
    total: Count
    trainable: Count
    non_trainable: Count


class _Metrics(_Part):
    """The document `metrics.json`."""

    epochs: Count
    batch_size: Count
    steps: Count
    train: _Score
    validation: _Score
    test: _Score
    parameters: _Parameters
    seconds: _Times
    engine: str


def checked_manifest(document: Any) -> dict[str, Any]:
    """Return the document of a `manifest.json`; raises ValueError, which names the first wrong entry."""
    return _checked(_Manifest, document)


def checked_metrics(document: Any) -> dict[str, Any]:
    """Return the document of a `metrics.json`; raises ValueError, which names the first wrong entry."""
    return _checked(_Metrics, document)


def _checked(model: type[BaseModel], document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    try:
        model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:60]
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{place or 'it'}: {message[0].lower()}{message[1:]}") from None
    return document
