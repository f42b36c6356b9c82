"""How alike two previews are once one is laid over the other: mirrored, turned, shifted and scaled a little."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.progress import report_progress

Grey = NDArray[np.float32]
"""(n, side, side) grey previews."""

# Luma of Recommendation ITU-R BT.601 (1982): a copy in grey has the same.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# The eight ways to mirror a square and to turn it by right angles.
SYMMETRIES: tuple[tuple[str, Callable[[Grey], Grey]], ...] = (
    ("", lambda image: image),
    ("mirrored", lambda image: image[..., ::-1]),
    ("upside down", lambda image: image[..., ::-1, :]),
    ("turned by 180°", lambda image: image[..., ::-1, ::-1]),
    ("turned by 90°", lambda image: np.rot90(image, 1, (-2, -1))),
    ("turned by 90°", lambda image: np.rot90(image, 3, (-2, -1))),
    ("mirrored and turned by 90°", lambda image: np.swapaxes(image, -2, -1)),
    ("mirrored and turned by 90°", lambda image: np.swapaxes(image, -2, -1)[..., ::-1, ::-1]),
)
# The symmetry that undoes each.
INVERSE = np.array([0, 1, 2, 3, 5, 4, 6, 7])
TRIED = 2  # symmetries of a pair that are looked at closely: those with the highest correlation before

AT_ONCE = 512  # pairs
COARSE_STEPS, FINE_STEPS = 5, 5
COARSE_BLUR, FINE_BLUR = 1.2, 0.7  # standard deviations in pixels
DETAIL_BLUR = 2.0  # what is left when an image blurred by this is taken away is called its detail
CLIPPED = 2.0  # standard deviations of the detail, so that a marker or a border does not decide alone
MOST_SCALE = 0.25  # a copy shows at least about three quarters of the other image's sides
MOST_SHIFT = 0.125  # of a side
PROMISING = 0.6  # agreement after the coarse steps from which the fine ones are taken
CERTAIN = 0.98  # agreement from which nothing else is tried
LEAST_CONTRAST = 2.0  # standard deviation of a preview, in grey levels of 255: below, there is nothing to compare
# The detail that all images have in common, such as the frame of a field of view, is no sign of a copy. It is the sum
# over the images divided by their number and these more, so that of a few images little is common.
PRIOR_IMAGES = 20
MOST_SHARED = 2.0  # times this detail is taken out of an image
_TINY = 1e-6


class Agreement(NamedTuple):
    """How alike the images of each of m pairs are.

    Attributes:
        correlation: (m,) of their pixels after alignment, -1 to 1; below zero where one is a negative of the other.
        detail: (m,) that of their details, 0 to 1: what decides.
        symmetry: (m,) number of the symmetry that lays one over the other, see `SYMMETRIES`.
    """

    correlation: NDArray[np.float32]
    detail: NDArray[np.float32]
    symmetry: NDArray[np.int64]


class _Stack(NamedTuple):
    """One image of each pair: as it is, its detail, and blurred for coarse and for fine steps."""

    image: Grey
    detail: Grey
    coarse: Grey
    fine: Grey

    def take(self, index: NDArray[np.int64]) -> _Stack:
        """Return the images of these numbers."""
        return _Stack(*(images[index] for images in self))

    def turned(self, symmetry: NDArray[np.int64]) -> _Stack:
        """Return each image mirrored and turned as its symmetry says."""
        new = _Stack(*(np.empty_like(images) for images in self))
        for number, (_, turn) in enumerate(SYMMETRIES):
            chosen = symmetry == number
            for images, result in zip(self, new, strict=True):
                result[chosen] = turn(images[chosen])
        return new


def grey_previews(pixels: NDArray[np.uint8]) -> Grey:
    """Return the luma of previews, (n, side, side, 3) RGB, as float32, 0 to 255."""
    # einsum converts a few pixels at a time.
    grey: Grey = np.einsum("nijc,c->nij", pixels, LUMA)
    return grey


def agreement(images: Grey, pairs: NDArray[np.int64]) -> Agreement:
    """Return how alike the images of pairs are.

    Each image of a pair is laid over the other, mirrored and turned in the two ways that fit best, by least squares
    over a scale and a shift in both directions, whatever gain and offset of the grey values are. Images of one grey
    level agree with none.

    Args:
        images: (n, side, side) grey previews.
        pairs: (m, 2) numbers of images.
    """
    m = len(pairs)
    result = Agreement(np.zeros(m, np.float32), np.zeros(m, np.float32), np.zeros(m, np.int64))
    common = _common_detail(images)
    for start in range(0, m, AT_ONCE):
        part = np.arange(start, min(start + AT_ONCE, m))
        numbers, places = np.unique(pairs[part], return_inverse=True)
        stack = _stack_of(images[numbers])
        has_content = stack.image.std(axis=(1, 2)) >= LEAST_CONTRAST
        places = places.reshape(-1, 2)
        chosen = has_content[places].all(axis=1)
        _compare(stack, places[chosen], part[chosen], result, common)
        report_progress("comparing images", min(start + AT_ONCE, m), m)
    return result


def _common_detail(images: Grey) -> NDArray[np.float32]:
    """Return the detail that images have in common, (pixels,); a few images are blurred at a time."""
    total = np.zeros(images[0].size if len(images) else 0, np.float64)
    for start in range(0, len(images), AT_ONCE):
        part = details(images[start : start + AT_ONCE])
        total += part.sum(axis=0, dtype=np.float64).reshape(-1)
    return (total / (len(images) + PRIOR_IMAGES)).astype(np.float32)


def _stack_of(images: Grey) -> _Stack:
    return _Stack(images, details(images), blurred(images, COARSE_BLUR), blurred(images, FINE_BLUR))


def blurred(images: Grey, sigma: float) -> Grey:
    """Return images convolved with a Gaussian of this standard deviation in pixels."""
    from scipy.ndimage import gaussian_filter

    result: Grey = gaussian_filter(images, (0, sigma, sigma), mode="nearest")
    return result


def details(images: Grey) -> Grey:
    """Return what a blur takes away from images, with large values clipped."""
    detail = images - blurred(images, DETAIL_BLUR)
    for _ in range(2):  # the standard deviation is itself less of the marker's the second time
        limit = CLIPPED * detail.std(axis=(1, 2), keepdims=True)
        detail = np.clip(detail, -limit, limit)
    return detail


def symmetries_of(ones: Grey, others: Grey) -> NDArray[np.int64]:
    """Return for m pairs of images the symmetries of the second that fit best before alignment, (m, `TRIED`)."""
    ones, others = unit(ones), unit(others)
    fits = np.stack([np.einsum("nij,nij->n", ones, turn(others)) for _, turn in SYMMETRIES], axis=1)
    return np.argsort(-np.abs(fits), axis=1, kind="stable")[:, :TRIED]


def unit(images: Grey) -> Grey:
    """Return images shifted and scaled to a mean of 0 and a length of 1."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt(np.einsum("nij,nij->n", centred, centred))
    result: Grey = centred / np.maximum(length, _TINY)[:, None, None]
    return result


def _compare(
    stack: _Stack,
    pairs: NDArray[np.int64],
    places: NDArray[np.int64],
    result: Agreement,
    common: NDArray[np.float32],
) -> None:
    """Write the agreement of pairs into these places of the result; `common` is the detail of all images."""
    ones, others = stack.take(pairs[:, 0]), stack.take(pairs[:, 1])
    symmetries = symmetries_of(ones.coarse, others.coarse)
    for rank in range(TRIED):
        # A part of an image is laid over the whole more easily than the whole over the part, so both are tried.
        for reverse in (False, True):
            left = np.flatnonzero(result.detail[places] < CERTAIN)
            if not len(left):
                return
            symmetry = symmetries[left, rank]
            if reverse:
                moved, fixed = ones.take(left).turned(INVERSE[symmetry]), others.take(left)
            else:
                moved, fixed = others.take(left).turned(symmetry), ones.take(left)
            correlation, detail = _aligned(moved, fixed, common)
            better = np.abs(detail) > result.detail[places[left]]
            at = places[left][better]
            result.correlation[at] = correlation[better]
            result.detail[at] = np.abs(detail[better])
            result.symmetry[at] = symmetry[better]


def _aligned(
    moved: _Stack, fixed: _Stack, common: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the correlations of pixels and of details once the first images are laid over the second."""
    warp = np.zeros((len(moved.image), 4), np.float32)
    warp = _registered(moved.coarse, fixed.coarse, warp, COARSE_STEPS, stride=2)
    index = np.flatnonzero(np.abs(_correlation(moved.detail, fixed.detail, warp)) >= PROMISING)
    if len(index):
        warp[index] = _registered(moved.fine[index], fixed.fine[index], warp[index], FINE_STEPS, stride=1)
    return _correlation(moved.image, fixed.image, warp), _correlation(moved.detail, fixed.detail, warp, common)


def _registered(moved: Grey, fixed: Grey, warp: NDArray[np.float32], steps: int, stride: int) -> NDArray[np.float32]:
    """Return warps, (m, 4) scale and shift across and down, after so many steps on every n-th pixel.

    The steps are those of the inverse compositional algorithm (Baker and Matthews, 2004,
    doi:10.1023/B:VISI.0000011205.11775.fd): slopes are those of the fixed image, so that they are computed once.
    """
    side = moved.shape[1]
    gradients: list[Grey] = list(np.gradient(fixed, axis=(1, 2)))
    down, across = (slope[:, ::stride, ::stride].reshape(len(fixed), -1) for slope in gradients)
    x, y = _coordinates(side, stride)
    slopes = np.stack([across * x, down * y, across, down], axis=1)
    normal = slopes @ slopes.transpose(0, 2, 1)
    # Damped a little (Levenberg), because a smooth image may leave a direction free.
    diagonal = np.arange(normal.shape[1])
    normal[:, diagonal, diagonal] = 1.001 * normal[:, diagonal, diagonal] + 1e-3
    solver = np.linalg.inv(normal) @ slopes
    target = fixed[:, ::stride, ::stride].reshape(len(fixed), -1)
    for _ in range(steps):
        places = _places(warp, x, y, side)
        inside = _inside(*places, side)
        image, aim = _centred(_sampled(moved, *places), inside), _centred(target, inside)
        gain = (inside * image * aim).sum(axis=1) / np.maximum((inside * image * image).sum(axis=1), _TINY)
        step = np.einsum("mkp,mp->mk", solver, inside * (gain[:, None] * image - aim))
        scale = (1 + warp[:, :2]) / (1 + step[:, :2].clip(-MOST_SCALE, MOST_SCALE))
        shift = warp[:, 2:] - scale * step[:, 2:]
        most = MOST_SHIFT * side
        warp = np.concatenate([(scale - 1).clip(-MOST_SCALE, MOST_SCALE), shift.clip(-most, most)], axis=1)
    return warp


def _correlation(
    moved: Grey, fixed: Grey, warp: NDArray[np.float32], common: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the correlation of pairs of images where both are seen, without what is common to all images."""
    side = moved.shape[1]
    places = _places(warp, *_coordinates(side, 1), side)
    inside = _inside(*places, side)
    one, other = _centred(_sampled(moved, *places), inside), _centred(fixed.reshape(len(fixed), -1), inside)
    if common is not None:
        shared = _centred(np.broadcast_to(common, one.shape), inside)
        one, other = _without(one, shared, inside), _without(other, shared, inside)
    squares = (inside * one * one).sum(axis=1) * (inside * other * other).sum(axis=1)
    result: NDArray[np.float32] = (inside * one * other).sum(axis=1) / np.sqrt(np.maximum(squares, _TINY))
    return result


def _without(
    values: NDArray[np.float32], shared: NDArray[np.float32], inside: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return values, (m, pixels), less the part that others explain."""
    share = (inside * values * shared).sum(axis=1, keepdims=True)
    share /= np.maximum((inside * shared * shared).sum(axis=1, keepdims=True), _TINY)
    result: NDArray[np.float32] = values - share.clip(-MOST_SHARED, MOST_SHARED) * shared
    return result


def _coordinates(side: int, stride: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the places of every n-th pixel across and down, from the image's centre."""
    y, x = np.mgrid[:side:stride, :side:stride].reshape(2, -1).astype(np.float32) - np.float32((side - 1) / 2)
    return x, y


def _places(
    warp: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where each pixel of the fixed image lies in the moved one, (m, pixels) each."""
    centre = np.float32((side - 1) / 2)
    return (1 + warp[:, :1]) * x + warp[:, 2:3] + centre, (1 + warp[:, 1:2]) * y + warp[:, 3:] + centre


def _inside(x: NDArray[np.float32], y: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return ((x >= 0) & (x <= side - 1) & (y >= 0) & (y <= side - 1)).astype(np.float32)


def _centred(values: NDArray[np.float32], inside: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values, (m, pixels), less their mean over the pixels inside."""
    count = np.maximum(inside.sum(axis=1, keepdims=True), 1)
    result: NDArray[np.float32] = values - (inside * values).sum(axis=1, keepdims=True) / count
    return result


def _sampled(images: Grey, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values of images between their pixels, bilinear, (m, pixels)."""
    side = images.shape[1]
    left = np.clip(np.floor(x), 0, side - 2).astype(np.int64)
    top = np.clip(np.floor(y), 0, side - 2).astype(np.int64)
    fx, fy = x - left.astype(np.float32), y - top.astype(np.float32)
    flat = np.ascontiguousarray(images).reshape(-1)
    at = np.arange(len(images))[:, None] * (side * side) + top * side + left
    upper = flat[at] * (1 - fx) + flat[at + 1] * fx
    lower = flat[at + side] * (1 - fx) + flat[at + side + 1] * fx
    result: NDArray[np.float32] = upper * (1 - fy) + lower * fy
    return result
