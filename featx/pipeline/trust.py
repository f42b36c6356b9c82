"""What makes a result untrustworthy: images or groups that stand on both sides of a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featx.errors import UntrustedError
from featx.pipeline.hashing import Image


def refuse_leaks(images: Sequence[Image]) -> None:
    """Check that no image and no group stands in two splits.

    Raises:
        UntrustedError: One does; the sentence names an example and counts them.
    """
    _refuse(images, "image", lambda image: image.digest)
    _refuse(images, "group", lambda image: image.item.group)


def _refuse(images: Sequence[Image], what: str, identity: Callable[[Image], str | None]) -> None:
    first: dict[str, Image] = {}
    leaks: dict[str, tuple[Image, Image]] = {}
    for image in images:
        name = identity(image)
        if name is None:
            continue
        other = first.setdefault(name, image)
        if other.item.split != image.item.split:
            leaks.setdefault(name, (other, image))
    if not leaks:
        return
    one, two = next(iter(leaks.values()))
    named = f"group {one.item.group!r}" if what == "group" else "the same image"
    raise UntrustedError(
        f"Expected every {what} in one split only, but {len(leaks)} {'is' if len(leaks) == 1 else 'are'} in two: "
        f"{named} is {one.item.id} in {one.item.split} and {two.item.id} in {two.item.split}; results on such a test "
        "split cannot be trusted, so keep each on one side."
    )
