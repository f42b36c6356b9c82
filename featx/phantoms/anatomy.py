"""The patient of a phantom: a thorax, generated from a seed, as a map of X-ray attenuation.

All is drawn in patient coordinates: `u` runs from -1 (left in the image, the patient's right) to 1, `v` from -1 (top)
to 1 (bottom). So a phantom shows the same thorax at any size. A point is the complex number u + iv. Attenuations of
overlapping structures are added, as along an X-ray: ribs are visible through the lungs, and hardly through the heart.
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
    """How the patient stands before the detector."""

    size: int  # width and height of the image in pixels
    angle: float  # rotation in the image's plane, in radians
    shift: complex  # where the patient's origin is in the image, in half image widths
    zoom: float  # half image widths per patient unit; above 1 the image's edge cuts the thorax off

    def grid(self) -> tuple[Field, Field]:
        """Return the patient coordinates `(u, v)` of all pixel centres, each of shape (size, size)."""
        line = (np.arange(self.size) * 2 + 1) / self.size - 1
        turn = np.exp(-1j * self.angle) / self.zoom
        across, down = (line - self.shift.real)[None, :], (line - self.shift.imag)[:, None]
        u, v = across * turn.real - down * turn.imag, across * turn.imag + down * turn.real
        return u.astype(np.float32), v.astype(np.float32)

    def pixels(self, points: Points) -> Points:
        """Return the pixel positions, column + i row, of patient points."""
        placed: Points = points * self.zoom * np.exp(1j * self.angle) + self.shift
        return (placed + 1 + 1j) * (self.size / 2)


@dataclass(frozen=True)
class Lines:
    """Lines of one width (in patient units) and one density (0 to 1); corners `points` of shape (n, corners)."""

    points: Points
    width: float
    strength: float


@dataclass(frozen=True)
class Thorax:
    """A patient's thorax in the image; fields have the shape (size, size)."""

    pose: Pose
    u: Field  # horizontal patient coordinate of each pixel
    v: Field
    lungs: Field  # lung that contains air, 0 to 1; the sign of `u` gives the side
    wall: Field  # distance from the chest wall in patient units, positive inside
    diaphragm: Field  # distance from the diaphragm in patient units, positive above it
    hila: Points  # (2,) where the bronchi enter the lungs, left and right in the image
    attenuation: Field  # of the healthy thorax; 0 is air, about 0.6 is soft tissue


def thorax(rng: np.random.Generator, size: int) -> Thorax:
    """Draw one patient; what is drawn from `rng` does not depend on `size`, the image's width in pixels."""
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
    diaphragm = _diaphragm(rng, u, dome, width) - v
    wall = lateral - np.abs(u)
    lungs = step(wall, 0.008) * step(np.abs(u) - medial, 0.025) * step(diaphragm, 0.008) * step(v - top, 0.008)
    hila = np.array([-0.19 - 0.03j, 0.18 - 0.07j]) + scatter(rng, 2, 0.02 + 0.02j)

    healthy = _soft_tissue(rng, u, v, width, diaphragm) + _mediastinum(rng, u, v, dome)
    healthy += _ribs(rng, u, v, lateral + np.float32(0.03)) + _shoulders(rng, u, v) + _spine(rng, u, v)
    healthy -= rng.uniform(0.37, 0.45) * lungs * (0.74 + 0.26 * np.tanh(wall / 0.16))
    vessels = draw(pose, [line for hilum in hila for line in branches(rng, hilum, 8, 5, 0.026)])
    healthy += rng.uniform(0.08, 0.17) * vessels * (0.1 + 0.9 * lungs)
    healthy -= draw(pose, _airways(rng, hila)) * 0.16
    return Thorax(pose, u, v, lungs, wall, diaphragm, hila, healthy.astype(np.float32))


def step(distance: Field, softness: float) -> Field:
    """Return a smooth step from 0 (outside, negative) to 1 (inside), about four times `softness` wide."""
    rise: Field = distance / (2 * softness)
    np.tanh(rise, out=rise)
    rise *= 0.5
    rise += 0.5
    return rise


def scatter(rng: np.random.Generator, n: int, spread: complex) -> Points:
    """Return random offsets of `n` points; `spread` is the standard deviation in u + i that in v."""
    return rng.normal(0, spread.real, n) + 1j * rng.normal(0, spread.imag, n)


def branches(rng: np.random.Generator, root: complex, stems: int, levels: int, width: float) -> list[Lines]:
    """Return a tree of vessels or bronchi that spreads from the hilum `root` into its lung.

    `stems` branches of this width, in patient units, leave the hilum, and split in two from level to level.
    """
    heading = np.linspace(-1.35, 1.45, stems) + rng.normal(0, 0.22, stems)
    # The tree grows to the right in the image, and is mirrored for the lung on the left.
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
    """Return an image of lines, 0 (none) to 1, shape (size, size); where they cross, the denser one is visible."""
    lines = list(lines)
    if not lines:
        return np.zeros((pose.size, pose.size), dtype=np.float32)
    # Drawn at twice the resolution and averaged, so that thin lines are smooth and not stepped.
    image = Image.new("L", (2 * pose.size, 2 * pose.size))
    pen = ImageDraw.Draw(image)
    for batch in sorted(lines, key=lambda each: each.strength):
        thick = batch.width * pose.zoom * pose.size
        # A line thinner than a pixel of the fine grid is drawn one pixel wide and fainter by as much.
        shade = round(255 * batch.strength * min(1.0, thick))
        for path in 2 * pose.pixels(batch.points):
            pen.line(path.view(np.float64).tolist(), fill=shade, width=max(1, round(thick)), joint="curve")
    return np.asarray(image.reduce(2), dtype=np.float32) / 255


def _by_side(u: Field, left: float, right: float) -> Field:
    """Return one value for the patient's half that is left in the image, and another for the right half."""
    return np.where(u < 0, np.float32(left), np.float32(right))


def _lung_edges(v: Field, width: float, top: float, roundness: float) -> tuple[Field, Field]:
    """Return the lateral and the medial edge of a lung, as |u|, at each height; they meet in the apex."""
    t = np.clip((v - top) / (0.30 - top), 0, 1)
    lateral = _APEX_U + (width - _APEX_U) * np.sqrt(1 - (1 - t) ** roundness)
    near = np.clip(3 * t, 0, 1)
    medial = _APEX_U - (_APEX_U - _MEDIAL_U) * np.sqrt(1 - (1 - near) ** 2)
    return lateral - 0.04 * np.clip(v - 0.3, 0, 1), medial


def _diaphragm(rng: np.random.Generator, u: Field, dome: float, width: float) -> Field:
    """Return the height `v` of the diaphragm in each pixel's column; the patient's right dome is higher."""
    drop = _by_side(u, rng.uniform(0.14, 0.26), rng.uniform(0.14, 0.26))
    height = dome + _by_side(u, 0, rng.uniform(0.01, 0.07))
    middle = rng.uniform(0.28, 0.36)
    return height + drop * np.abs((np.abs(u) - middle) / (width - middle)) ** 2.4


def _soft_tissue(rng: np.random.Generator, u: Field, v: Field, width: float, diaphragm: Field) -> Field:
    """Draw trunk, neck, arms and abdomen; in some patients breasts, or the gas bubble of the stomach."""
    across = np.abs(u)
    trunk = width + rng.uniform(0.10, 0.22)
    half = trunk + (1.25 - trunk) * step(-0.30 - v, 0.05)
    slope = -0.98 + rng.uniform(0.24, 0.34) * np.clip(across - 0.15, 0, 1) ** 1.3
    torso = step(half - across, 0.012) * step(v - slope, 0.012)
    neck = step(rng.uniform(0.20, 0.27) - across, 0.015)
    tissue = 0.36 + 0.24 * np.sqrt(np.clip(1 - (across / half) ** 2, 0, 1))
    body: Field = np.maximum(torso, neck) * tissue
    body += step(-diaphragm, 0.01) * torso * step(width + 0.02 - across, 0.04) * rng.uniform(0.20, 0.30)
    if rng.random() < 0.4:
        radius, fold = rng.uniform(0.30, 0.42), rng.uniform(0.30, 0.55)
        away = np.hypot(across - 0.42, (v - fold) * 1.1 + 0.25)
        body += rng.uniform(0.03, 0.09) * step(radius - away, 0.015)
    if rng.random() < 0.5:
        away = np.hypot((u - rng.uniform(0.28, 0.42)) / 1.5, v - rng.uniform(0.68, 0.76))
        body -= rng.uniform(0.10, 0.25) * step(rng.uniform(0.05, 0.09) - away, 0.012) * step(-diaphragm - 0.02, 0.01)
    return body


def _mediastinum(rng: np.random.Generator, u: Field, v: Field, dome: float) -> Field:
    """Draw the great vessels and the heart, by their right and left borders; some hearts are enlarged."""
    root, apex = rng.uniform(-0.16, -0.06), dome + rng.uniform(-0.04, 0.02)
    fall = (v - root) / (apex - root)
    # The border runs out to the heart's apex as a quarter of a sine, and is round below it.
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
    """Draw the ribs as tilted rings: back halves run out and down, the fainter front halves down and inwards."""
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
    """Draw parallel bones at equal steps of `height`, denser at their edges, as hollow tubes are."""
    phase = height / spacing + offset
    across = (phase - np.round(phase)) * spacing / np.sqrt(1 + slope**2) / (0.23 * spacing)
    return step(1 - np.abs(across), 0.06) * (0.55 + 0.45 * across**2)


def _shoulders(rng: np.random.Generator, u: Field, v: Field) -> Field:
    """Draw clavicles, shoulder blades and the heads of the upper arms."""
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
    """Draw vertebrae with the gaps of their discs, on a slightly bent axis."""
    axis = rng.normal(0, 0.012) * np.sin(2.5 * v + rng.uniform(0, 6))
    bodies = step(np.cos(2 * np.pi * (v / rng.uniform(0.12, 0.135) + rng.random())) + 0.75, 0.12)
    return rng.uniform(0.05, 0.09) * step(0.075 - np.abs(u - axis), 0.008) * (0.6 + 0.4 * bodies)


def _airways(rng: np.random.Generator, hila: Points) -> list[Lines]:
    """Return windpipe and main bronchi, which contain air and so are dark."""
    fork = complex(rng.normal(0, 0.012), rng.uniform(-0.26, -0.20))
    windpipe = Lines(np.array([[fork + rng.normal(0, 0.015) - 0.9j, fork]]), 0.075, 1.0)
    return [windpipe, Lines(np.array([[fork, hilum] for hilum in hila]), 0.035, 0.7)]
