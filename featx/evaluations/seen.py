"""Which of the new images a model has seen: the same bytes, or the same patient, among those it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from featx.classifiers import SavedClassifier, group_mark
from featx.errors import UntrustedError
from featx.features import Image
from featx.runs import HeadModel, Model
from featx.text import images as images_in_words


@dataclass(frozen=True)
class TrainedOn:
    """The images that a model was trained and validated with.

    Attributes:
        names: By the digest of an image's bytes its path, or "" where it is not known.
        groups: By the mark of a group the path of one of its images, or "".
    """

    names: dict[str, str]
    groups: dict[str, str]


@dataclass(frozen=True)
class Seen:
    """Images that a model has seen.

    Attributes:
        copies: Numbers of the images whose bytes it has seen.
        relatives: Numbers of others, of groups whose images it has seen.
        groups: The number of these groups.
        example: A pair in words, "" if there is none.
    """

    copies: tuple[int, ...]
    relatives: tuple[int, ...]
    groups: int
    example: str

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of all of them."""
        return frozenset((*self.copies, *self.relatives))

    def to_json(self) -> dict[str, Any]:
        """Return `images`, `same_bytes` and `same_group`."""
        return {"images": len(self.numbers), "same_bytes": len(self.copies), "same_group": len(self.relatives)}


def trained_on(model: Model) -> TrainedOn | None:
    """Return the images that a model was trained and validated with; None where it is not known."""
    if isinstance(model, HeadModel):
        own = [image for image in model.run.images if image.role != "test"]
        names = {image.digest: image.path for image in reversed(own)}
        groups = {group_mark(image.group): image.path for image in reversed(own) if image.group is not None}
        return TrainedOn(names, groups)
    if isinstance(model, SavedClassifier) and model.trained_on is not None:
        names = dict.fromkeys((digest for digest, _ in model.trained_on), "")
        return TrainedOn(names, dict.fromkeys((mark for _, mark in model.trained_on if mark), ""))
    return None


def seen_images(trained: TrainedOn, images: Sequence[Image]) -> Seen:
    """Return which images a model has seen."""
    copies = [number for number, image in enumerate(images) if image.digest in trained.names]
    groups = {group: group_mark(group) for group in {image.item.group for image in images} if group is not None}
    shared = {group for group, mark in groups.items() if mark in trained.groups}
    relatives = [number for number, image in enumerate(images) if image.item.group in shared]
    return Seen(
        tuple(copies),
        tuple(sorted(set(relatives) - set(copies))),
        len(shared),
        _example(trained, images, copies, relatives, groups),
    )


def _example(
    trained: TrainedOn,
    images: Sequence[Image],
    copies: Sequence[int],
    relatives: Sequence[int],
    groups: dict[str, str],
) -> str:
    if copies:
        image = images[copies[0]]
        other = trained.names[image.digest]
        return f"{image.item.id} has the bytes of {other or 'a training image'}"
    if relatives:
        image = images[relatives[0]]
        other = trained.groups[groups[str(image.item.group)]]
        of = f", of which {other} is one" if other else ""
        return f"{image.item.id} is of group {image.item.group}{of}"
    return ""


def refuse_seen(seen: Seen, n: int) -> None:
    """Refuse images that the model was trained or validated with.

    Raises:
        UntrustedError: There are some.
    """
    if not seen.numbers:
        return
    kinds = []
    if seen.copies:
        kinds.append(f"{len(seen.copies):,} with the same bytes")
    if seen.relatives:
        kinds.append(f"{len(seen.relatives):,} of the same groups")
    advice = "leave them out with --skip-seen"
    if seen.relatives:
        advice += (
            "; if groups of these names are other patients here, give them other names, such as the hospital's name "
            "before each"
        )
    raise UntrustedError(
        f"Expected images that the model has not seen, but {len(seen.numbers):,} of {images_in_words(n)} "
        f"{'is' if len(seen.numbers) == 1 else 'are'} among those it was trained or validated with "
        f"({' and '.join(kinds)}), such as: {seen.example}; results on them would say nothing about new images, so "
        f"{advice}."
    )
