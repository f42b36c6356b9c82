"""The patient behind a radiograph phantom: one seeded thorax as a map of X-ray attenuation.

Everything is drawn in patient coordinates: `u` runs from -1 (image left, the patient's right) to 1, `v` from
-1 (top) to 1 (bottom), so a phantom shows the same thorax at any size. A point is the complex number u + iv.
Attenuations of overlapping structures add up, as they do along an X-ray, which is why ribs show through
lungs and hardly through the heart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Field = npt.NDArray[np.floating[Any]]
Points = npt.NDArray[np.complex128]

_APEX_U = 0.28
_MEDIAL_U = 0.08


@dataclass(frozen=True)
class Pose:
    """How the patient stands before the film.

    Args:
        size: Pixels along one side of the square film.
        angle: Rotation in the film's plane, in radians.
        shift: Where the patient's origin lies on the film, in half film sides.
        zoom: Film half sides per patient unit; above 1 the thorax is cut off by the film's edge.
    """

    size: int
    angle: float
    shift: complex
    zoom: float

    def grid(self) -> tuple[Field, Field]:
        """Patient coordinates `(u, v)` of all pixel centres, each of shape (size, size)."""
        line = (np.arange(self.size) * 2 + 1) / self.size - 1
        points = (line + 1j * line[:, None] - self.shift) * np.exp(-1j * self.angle) / self.zoom
        return points.real.astype(np.float32), points.imag.astype(np.float32)

    def pixels(self, points: Points) -> Points:
        """Pixel positions, column + i row, of patient points."""
        film: Points = points * self.zoom * np.exp(1j * self.angle) + self.shift
        return (film + 1 + 1j) * (self.size / 2)


@dataclass(frozen=True)
class Lines:
    """Lines of one kind.

    Args:
        points: The corners of `n` lines, shape (n, corners).
        width: Their width, in patient units.
        strength: How dense they are drawn, 0 to 1.
    """

    points: Points
    width: float
    strength: float


@dataclass(frozen=True)
class Thorax:
    """One patient's thorax on the film; fields have the shape (size, size).

    Args:
        pose: How the patient stands before the film.
        u: Horizontal patient coordinate of each pixel.
        v: Vertical patient coordinate of each pixel.
        lungs: Aerated lung, 0 to 1; `u` tells the side.
        wall: Distance from the chest wall, in patient units, positive inside.
        floor: Distance from the diaphragm, in patient units, positive above it.
        hila: Where the bronchi enter the lungs, on the image's left and right, shape (2,).
        attenuation: Attenuation of the healthy thorax; 0 is air, about 0.6 soft tissue.
    """

    pose: Pose
    u: Field
    v: Field
    lungs: Field
    wall: Field
    floor: Field
    hila: Points
    attenuation: Field


def thorax(rng: np.random.Generator, size: int) -> Thorax:
    """Draw one patient.

    Args:
        rng: Source of all variation; the draws do not depend on `size`.
        size: Pixels along one side of the film.
    """
    pose = Pose(
        size,
        angle=rng.normal(0, 0.035),
        shift=complex(rng.normal(0, 0.04), rng.normal(0.03, 0.035)),
        zoom=rng.uniform(0.92, 1.12),
    )
    u, v = pose.grid()
    width = rng.uniform(0.68, 0.82)
    top, dome = rng.uniform(-0.80, -0.70), rng.uniform(0.38, 0.58)
    lateral, medial = _lung_edges(v, width, top, rng.uniform(2.0, 2.7))
    floor = _diaphragm(rng, u, dome, width) - v
    wall = lateral - np.abs(u)
    lungs = step(wall, 0.008) * step(np.abs(u) - medial, 0.025) * step(floor, 0.008) * step(v - top, 0.008)
    hila = np.array([-0.19 - 0.03j, 0.18 - 0.07j]) + scatter(rng, 2, 0.02 + 0.02j)

    healthy = _soft_tissue(rng, u, v, width, floor) + _mediastinum(rng, u, v, dome)
    healthy += _ribs(rng, u, v, lateral + np.float32(0.03)) + _shoulders(rng, u, v) + _spine(rng, u, v)
    healthy -= rng.uniform(0.37, 0.45) * lungs * (0.74 + 0.26 * np.tanh(wall / 0.16))
    vessels = draw(pose, [line for hilum in hila for line in branches(rng, hilum, 8, 5, 0.026)])
    healthy += rng.uniform(0.08, 0.17) * vessels * (0.1 + 0.9 * lungs)
    healthy -= draw(pose, _airways(rng, hila)) * 0.16
    return Thorax(pose, u, v, lungs, wall, floor, hila, healthy.astype(np.float32))


def step(distance: Field, softness: float) -> Field:
    """Soft step from 0 (outside, negative) to 1 (inside), about four `softness` wide."""
    rise: Field = np.tanh(distance / (2 * softness))
    return 0.5 + 0.5 * rise


def scatter(rng: np.random.Generator, n: int, spread: complex) -> Points:
    """Random offsets of `n` points; `spread` holds the standard deviations in `u` and `v`."""
    return rng.normal(0, spread.real, n) + 1j * rng.normal(0, spread.imag, n)


def branches(rng: np.random.Generator, root: complex, stems: int, levels: int, width: float) -> list[Lines]:
    """Lines of a tree of vessels or bronchi that spreads from a hilum into its lung.

    Args:
        rng: Source of the tree's shape.
        root: The hilum.
        stems: Number of trunks that leave the hilum.
        levels: Number of generations; each splits in two.
        width: Width of the trunks, in patient units.
    """
    heading = np.linspace(-1.35, 1.45, stems) + rng.normal(0, 0.22, stems)
    # Grown towards the image's right and mirrored for the lung on its left.
    start = complex(abs(root.real), root.imag) + scatter(rng, stems, 0.012 + 0.04j)
    lines: list[Lines] = []
    length = 0.15
    for level in range(levels):
        reach = length * rng.uniform(0.5, 1.3, len(heading)) / 2
        bend = heading + rng.normal(0, 0.3, len(heading))
        middle = start + reach * np.exp(1j * heading)
        end = middle + reach * np.exp(1j * bend)
        points = np.stack([start, middle, end], axis=1)
        lines.append(Lines(points if root.real > 0 else -points.conj(), width, 1 / (1 + 0.6 * level)))
        fork = rng.uniform(0.15, 0.55, len(heading))
        start, heading = np.tile(end, 2), np.concatenate([bend - fork, bend + fork])
        width, length = width * 0.68, length * 0.84
    return lines


def draw(pose: Pose, lines: Iterable[Lines]) -> Field:
    """Draw lines, 0 (none) to 1, shape (size, size); where they cross, the denser one shows."""
    # Twice the film's resolution and a box average: thin lines stay even instead of breaking into steps.
    image = Image.new("L", (2 * pose.size, 2 * pose.size))
    pen = ImageDraw.Draw(image)
    for batch in sorted(lines, key=lambda kind: kind.strength):
        thick = batch.width * pose.zoom * pose.size
        # A line thinner than a pixel of the fine grid is drawn one wide and as much fainter.
        shade = round(255 * batch.strength * min(1.0, thick))
        for path in 2 * pose.pixels(batch.points):
            pen.line(path.view(np.float64).tolist(), fill=shade, width=max(1, round(thick)), joint="curve")
    return np.asarray(image.reduce(2), dtype=np.float32) / 255


def _by_side(u: Field, left: float, right: float) -> Field:
    """One value for the image's left half of the patient and another for its right half."""
    return np.where(u < 0, np.float32(left), np.float32(right))


def _lung_edges(v: Field, width: float, top: float, roundness: float) -> tuple[Field, Field]:
    """Lateral and medial edge of a lung, as |u|, at each height; both meet in the apex."""
    t = np.clip((v - top) / (0.30 - top), 0, 1)
    lateral = _APEX_U + (width - _APEX_U) * np.sqrt(1 - (1 - t) ** roundness)
    near = np.clip(3 * t, 0, 1)
    medial = _APEX_U - (_APEX_U - _MEDIAL_U) * np.sqrt(1 - (1 - near) ** 2)
    return lateral - 0.04 * np.clip(v - 0.3, 0, 1), medial


def _diaphragm(rng: np.random.Generator, u: Field, dome: float, width: float) -> Field:
    """Height `v` of the diaphragm under each pixel's column; the patient's right dome stands higher."""
    drop = _by_side(u, rng.uniform(0.14, 0.26), rng.uniform(0.14, 0.26))
    height = dome + _by_side(u, 0, rng.uniform(0.01, 0.07))
    middle = rng.uniform(0.28, 0.36)
    return height + drop * np.abs((np.abs(u) - middle) / (width - middle)) ** 2.4


def _soft_tissue(rng: np.random.Generator, u: Field, v: Field, width: float, floor: Field) -> Field:
    """Trunk, neck, arms, abdomen and, in some patients, breasts and the stomach's gas bubble."""
    across = np.abs(u)
    trunk = width + rng.uniform(0.10, 0.22)
    half = trunk + (1.25 - trunk) * step(-0.30 - v, 0.05)
    slope = -0.98 + rng.uniform(0.24, 0.34) * np.clip(across - 0.15, 0, 1) ** 1.3
    torso = step(half - across, 0.012) * step(v - slope, 0.012)
    neck = step(rng.uniform(0.20, 0.27) - across, 0.015)
    tissue = 0.36 + 0.24 * np.sqrt(np.clip(1 - (across / half) ** 2, 0, 1))
    body: Field = np.maximum(torso, neck) * tissue
    body += step(-floor, 0.01) * torso * step(width + 0.02 - across, 0.04) * rng.uniform(0.20, 0.30)
    if rng.random() < 0.4:
        radius, fold = rng.uniform(0.30, 0.42), rng.uniform(0.30, 0.55)
        away = np.hypot(across - 0.42, (v - fold) * 1.1 + 0.25)
        body += rng.uniform(0.03, 0.09) * step(radius - away, 0.015)
    if rng.random() < 0.5:
        away = np.hypot((u - rng.uniform(0.28, 0.42)) / 1.5, v - rng.uniform(0.68, 0.76))
        body -= rng.uniform(0.10, 0.25) * step(rng.uniform(0.05, 0.09) - away, 0.012) * step(-floor - 0.02, 0.01)
    return body


def _mediastinum(rng: np.random.Generator, u: Field, v: Field, dome: float) -> Field:
    """Great vessels and heart, given by their right and left border; from slender to enlarged."""
    root, apex = rng.uniform(-0.16, -0.06), dome + rng.uniform(-0.04, 0.02)
    fall = (v - root) / (apex - root)
    # The border swings out to the heart's apex as a quarter of a sine, then rounds under.
    swing = np.sin(np.pi / 2 * np.clip(fall, 0, 1)) ** rng.uniform(1.2, 2.0)
    swing *= np.sqrt(np.clip(1 - (np.clip(fall - 1, 0, None) / 0.35) ** 2, 0, 1))
    narrow = rng.uniform(0.12, 0.17)
    left = narrow + (rng.uniform(0.38, 0.58) - narrow) * swing
    left += rng.uniform(0.02, 0.07) * np.exp(-(((v + rng.uniform(0.30, 0.38)) / 0.075) ** 2))
    left += rng.uniform(0.01, 0.05) * np.exp(-(((v + 0.14) / 0.08) ** 2))
    right = rng.uniform(0.11, 0.16) + rng.uniform(0.07, 0.15) * np.exp(-(((v - dome + 0.20) / 0.19) ** 2))
    depth = np.where(u > 0, left, right) + 0.08 * np.clip(-0.5 - v, 0, 1) - np.abs(u)
    bulk: Field = rng.uniform(0.20, 0.26) + 0.08 * np.tanh(np.clip(depth, 0, None) / 0.12)
    return bulk * step(depth, 0.008) * step(dome + 0.3 - v, 0.06)


def _ribs(rng: np.random.Generator, u: Field, v: Field, cage: Field) -> Field:
    """Ribs as tilted rings: the back halves run out and down, the fainter front halves down and inward."""
    out = np.clip(np.abs(u) / cage, 0, 0.985)
    rise = np.sqrt(1 - out**2)
    steep, front = rng.uniform(0.18, 0.28), rng.uniform(0.24, 0.34)
    spacing, offset = rng.uniform(0.118, 0.140), rng.uniform(0, 1)
    slip = _by_side(u, 0, rng.normal(0, 0.01))
    inside = step(cage - np.abs(u), 0.008) * step(0.80 - v, 0.05)
    back = _bars(v + slip - steep * (1 - rise), steep * out / rise / cage, spacing, offset)
    fore = _bars(v + slip - steep - front * rise, front * out / rise / cage, spacing, offset + 0.3)
    fore *= step(out - rng.uniform(0.40, 0.55), 0.05) * step(v + 0.55, 0.05)
    strength = rng.uniform(0.07, 0.14)
    return strength * inside * (back * step(np.abs(u) - 0.07, 0.02) + 0.7 * fore)


def _bars(height: Field, slope: Field, spacing: float, offset: float) -> Field:
    """Parallel bones at equal steps of `height`: denser at their rims, as hollow tubes are."""
    phase = height / spacing + offset
    across = (phase - np.round(phase)) * spacing / np.sqrt(1 + slope**2) / (0.23 * spacing)
    return step(1 - np.abs(across), 0.06) * (0.55 + 0.45 * across**2)


def _shoulders(rng: np.random.Generator, u: Field, v: Field) -> Field:
    """Clavicles, shoulder blades and the heads of the upper arms."""
    across = np.abs(u)
    height = rng.uniform(-0.62, -0.54) + _by_side(u, 0, rng.normal(0, 0.015))
    middle = height - rng.uniform(0.08, 0.2) * across + 0.03 * np.sin(7 * across)
    thick = 0.030 + 0.008 * np.cos(5 * across)
    clavicles = step(thick - np.abs(v - middle), 0.006) * step(across - 0.09, 0.01) * step(0.86 - across, 0.02)
    heads = step(0.15 - np.hypot(across - rng.uniform(0.98, 1.06), v + rng.uniform(0.55, 0.62)), 0.012)
    edge = rng.uniform(0.70, 0.80) + 0.35 * (v + 0.3)
    blades = step(across - edge, 0.012) * step(0.3 + edge - across, 0.05) * step(0.05 - v, 0.03) * step(v + 0.6, 0.04)
    return rng.uniform(0.10, 0.18) * clavicles + 0.14 * heads + rng.uniform(0.02, 0.06) * blades


def _spine(rng: np.random.Generator, u: Field, v: Field) -> Field:
    """Vertebral bodies with the gaps of their discs, on a slightly bent axis."""
    axis = rng.normal(0, 0.012) * np.sin(2.5 * v + rng.uniform(0, 6))
    bodies = step(np.cos(2 * np.pi * (v / rng.uniform(0.12, 0.135) + rng.random())) + 0.75, 0.12)
    return rng.uniform(0.05, 0.09) * step(0.075 - np.abs(u - axis), 0.008) * (0.6 + 0.4 * bodies)


def _airways(rng: np.random.Generator, hila: Points) -> list[Lines]:
    """Windpipe and main bronchi, which hold air and so show dark."""
    fork = complex(rng.normal(0, 0.012), rng.uniform(-0.26, -0.20))
    windpipe = Lines(np.array([[fork + rng.normal(0, 0.015) - 0.9j, fork]]), 0.075, 1.0)
    return [windpipe, Lines(np.array([[fork, hilum] for hilum in hila]), 0.035, 0.7)]
