"""Pictures that look like photographs, and copies of them that were altered a little."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

SIZE = 160


def picture(seed: int) -> Image.Image:
    """Grey blobs of several sizes on one another, as different from seed to seed as photographs are."""
    rng = np.random.default_rng(seed)
    total = np.zeros((SIZE, SIZE))
    for cells, weight in ((4, 1.0), (9, 0.7), (20, 0.5)):
        coarse = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        total += weight * np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    total = 255 * (total - total.min()) / np.ptp(total)
    return Image.fromarray(total.astype(np.uint8)).convert("RGB")


def saved_again(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    cut = round(share * image.width)
    return image.crop((cut, cut // 2, image.width, image.height - cut // 2)).resize(image.size)


ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": saved_again,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned by 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "a negative": ImageOps.invert,
    "cropped": lambda image: cropped(image, 0.06),
    "all at once": lambda image: saved_again(
        ImageOps.mirror(cropped(ImageEnhance.Brightness(image).enhance(1.1), 0.04))
    ),
}
