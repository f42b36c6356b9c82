"""Which input and output of a card's network are meant: errors that say what to name, and checks of the input."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from featx.errors import RecipeError
from featx.networks.cards.card import Card

SHOWN = 12
LAST = 6
TYPES = ("f32", "f16", "bf16", "f64", "u8", "i32", "i64")


def choose_output(card: Card, wanted: str | None, outputs: Sequence[str], inner: Sequence[str]) -> RecipeError:
    """Return the error for an output that is not there, or for several of which none is named."""
    if wanted is None:
        return RecipeError(
            f"Expected output.name in the card of {card.name}, since the network has {len(outputs)} outputs; name "
            f"one of {listed(outputs)}."
        )
    near = difflib.get_close_matches(wanted, [*outputs, *inner], n=1)
    last = [name for name in inner if name not in outputs][-LAST:]
    also = f"; the last inner values are {listed(last)}" if last else ""
    hint = f"did you mean {near[0]}?" if near else f"its outputs are {listed(outputs)}{also}."
    return RecipeError(f"The network {card.name} has no output or inner value named {wanted[:80]!r}; {hint}")


def choose_input(card: Card, needed: Sequence[str], inputs: Sequence[str], output: str) -> RecipeError:
    """Return the error for an output that needs no image, more than an image, or another input than the card's."""
    if len(needed) == 1:
        return RecipeError(
            f"The network {card.name} has no image input named {card.input.name!r} for the output {output}; name "
            f"one of {listed(inputs)} as input.name in the card."
        )
    if not needed:
        return RecipeError(
            f"Expected an output of {card.name} that depends on an image, but {output} is always the same; name "
            "another as output.name in the card."
        )
    return RecipeError(
        f"Expected an output of {card.name} that needs an image alone, but {output} needs {listed(needed)}; name an "
        "output that depends on the image only as output.name in the card, or export the part for images alone."
    )


def needs_batch(card: Card, name: str, images: int | None) -> RecipeError:
    """Return the error for a network that is made for another number of images than one, or any."""
    return RecipeError(
        f"Expected a network for any number of images, or for one, but {name} of {card.name} is for {images}; export "
        "it with a batch of variable size."
    )


def check_sides(
    card: Card, name: str, sides: Sequence[int | None], shape: tuple[int, int], element_type: str = "f32"
) -> None:
    """Check that an input takes the images of the card and the recipe.

    Args:
        card: The network's card.
        name: The input's name.
        sides: The lengths of its axes, None where they are not fixed; empty if their number is not known.
        shape: Height and width of the images in pixels.
        element_type: The type of its values, in OpenVINO's words.

    Raises:
        RecipeError: It does not take them.
    """
    first = card.input.layout == "nchw"
    channels, wanted = card.input.channels, card.input.axes(shape)
    if element_type not in TYPES:
        raise RecipeError(
            f"Expected an image input of numbers with a point or of pixels from 0 to 255, but {name} of {card.name} "
            f"takes values of the type {element_type}; name another input in the card (input.name)."
        )
    if not sides:
        return
    if len(sides) != 4:
        raise RecipeError(
            f"Expected an image input of four axes (images, height, width, channels), but {name} of {card.name} has "
            f"{len(sides)}; name another input in the card (input.name)."
        )
    if _fits(sides[1:], wanted):
        return
    shown = " × ".join("?" if side is None else str(side) for side in sides[1:])
    if sides[1 if first else 3] not in (None, channels):
        raise RecipeError(
            f"Expected {channels} channel{'s' if channels > 1 else ''} at the "
            f"{'second' if first else 'last'} axis of {name} of {card.name}, as the card says (input.layout = "
            f"{card.input.layout!r}, input.colour = {card.input.colour!r}), but images there are {shown}; correct "
            "the card."
        )
    height, width = (sides[2], sides[3]) if first else (sides[1], sides[2])
    raise RecipeError(
        f"The network {card.name} takes images of {height or '?'} × {width or '?'} pixels alone, received "
        f"{shape[0]} × {shape[1]}; set images.size (--size) to its own, or correct input.size in its card."
    )


def _fits(sides: Sequence[int | None], wanted: Sequence[int]) -> bool:
    return all(side in (None, length) for side, length in zip(sides, wanted, strict=True))


def listed(names: Sequence[str]) -> str:
    """Return names in a list of which the end may be left out."""
    shown = ", ".join(name[:80] for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
