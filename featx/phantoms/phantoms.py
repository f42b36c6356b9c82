"""Generated chest radiographs (phantoms) in four classes, for the demo, tests and documentation.

A phantom is a stylised image of one generated patient. The classes differ only by what is in the lungs: patient,
exposure, noise, collimation and marker do not depend on the class. Phantoms show that a method runs and learns. They
do not show how well it works on patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from featx.arguments import checks_arguments
from featx.errors import UsageError
from featx.machine import usable_cpus
from featx.parallel import bounded_map
from featx.phantoms.anatomy import Field, Lines, Pose, Thorax, branches, draw, scatter, step, thorax
from featx.progress import report_progress

CLASSES = ("covid", "normal", "pneumonia_bac", "pneumonia_vir")
MIN_SIZE = 32


def phantom(kind: str, seed: int, size: int = 224) -> npt.NDArray[np.uint8]:
    """Make the phantom of a class, grey values of shape (size, size), from 0 (much radiation) to 255 (little).

    A seed stands for one patient and one exposure: with another `kind` the same patient has another finding, and
    another `size` shows the same patient.
    """
    _check([kind], seed, size)
    # Three random streams, so that neither the finding nor the size changes anything else.
    patient = thorax(np.random.default_rng([seed, 0]), size)
    finding = _FINDINGS[kind](np.random.default_rng([seed, 1]), patient)
    return _expose(np.random.default_rng([seed, 2]), patient, finding)


@checks_arguments
def write_phantoms(
    root: str | Path,
    *,
    train: Mapping[str, int] | int,
    test: Mapping[str, int] | int,
    seed: int = 0,
    size: int = 224,
    classes: Sequence[str] = CLASSES,
) -> Path:
    """Write phantoms as a data folder: `root/train/<class>/<class>-000.png` and `root/test/...`.

    Each image has its own seed, so it does not depend on the number of other images. Files of the same names are
    replaced; other files in the folder are kept.

    Args:
        root: The folder; it is made if it does not exist.
        train: Training images per class: one number for all classes, or a number for each class.
        test: Test images per class, likewise.
        seed: Seed of the whole set; not negative.
        size: Width and height of the images in pixels, at least 32.
        classes: The classes to write if `train` or `test` is one number.

    Returns:
        The folder.

    Raises:
        UsageError: If a class is unknown, a number or the seed is negative, or `size` is too small.
    """
    root = Path(root)
    counts = {split: _per_class(number, classes) for split, number in (("train", train), ("test", test))}
    # All is checked before the first file is written.
    for split, per_class in counts.items():
        _check(per_class, seed, size)
        for kind, count in per_class.items():
            if count < 0:
                raise UsageError(
                    f"Expected 0 or more {split} images of {kind}, received {count}; choose another number."
                )
    tasks = [
        (split, kind, index)
        for split, per_class in counts.items()
        for kind, count in per_class.items()
        for index in range(count)
    ]

    def write(task: tuple[str, str, int]) -> None:
        split, kind, index = task
        path = root / split / kind / f"{kind}-{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(phantom(kind, _image_seed(seed, split, kind, index), size)).save(path)

    workers = usable_cpus()
    for done, _ in enumerate(bounded_map(write, tasks, workers=workers, ahead=2 * workers), 1):
        report_progress("phantoms", done, len(tasks))
    return root


def _per_class(number: Mapping[str, int] | int, classes: Sequence[str]) -> Mapping[str, int]:
    return number if isinstance(number, Mapping) else dict.fromkeys(classes, number)


def _image_seed(seed: int, split: str, kind: str, index: int) -> int:
    digest = hashlib.sha256(f"{seed}/{split}/{kind}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _check(kinds: Iterable[str], seed: int, size: int) -> None:
    for kind in kinds:
        if kind not in CLASSES:
            raise UsageError(
                f"Expected a phantom class among {', '.join(CLASSES)}, received {kind!r}; choose one of these."
            )
    if seed < 0:
        raise UsageError(f"Expected a seed of 0 or more, received {seed}; choose another seed.")
    if size < MIN_SIZE:
        raise UsageError(
            f"Expected a phantom of {MIN_SIZE} or more pixels in width, received {size}; choose a larger size."
        )


def _either(rng: np.random.Generator) -> float:
    """Return 1 or -1."""
    return 1.0 if rng.random() < 0.5 else -1.0


def _healthy(rng: np.random.Generator, patient: Thorax) -> Field:
    return np.zeros_like(patient.lungs)


def _consolidation(rng: np.random.Generator, patient: Thorax) -> Field:
    """Draw a bacterial pneumonia: a dense segment of one lung, with air in its bronchi; some end at a fissure."""
    side = _either(rng)
    centre_u, centre_v = rng.uniform(0.26, 0.56), rng.uniform(-0.42, 0.38)
    radius_u, radius_v = rng.uniform(0.18, 0.32), rng.uniform(0.18, 0.32)
    across, down = patient.u * side - centre_u, patient.v - centre_v
    edge = 1 - np.hypot(across / radius_u, down / radius_v) + 0.22 * _clouds(rng, patient.pose, 12)
    segment = step(edge, rng.uniform(0.03, 0.08)) * (1 + 0.10 * _clouds(rng, patient.pose, 24))
    fissure, slope = _either(rng), rng.normal(0, 0.25)
    if rng.random() < 0.5:
        segment *= step(fissure * (down + slope * across) + 0.05, 0.008)
    hilum = patient.hila[int(side > 0)]
    air = draw(patient.pose, branches(rng, hilum, 6, 4, 0.024))
    return rng.uniform(0.28, 0.50) * segment * (1 - 0.6 * air) * (patient.u * side > 0)


def _interstitial(rng: np.random.Generator, patient: Thorax) -> Field:
    """Draw a viral pneumonia: a fine net in both lungs, and thickened walls of the bronchi around the hila."""
    # The points where a smooth random field is zero form a net of fine lines.
    net = sum(np.exp(-((_clouds(rng, patient.pose, cells) / 0.35) ** 2)) for cells in (38, 60)) - 0.7
    hila: list[complex] = patient.hila.tolist()
    reach = rng.uniform(0.25, 0.55)
    away = np.minimum(*(np.hypot(patient.u - hilum.real, (patient.v - hilum.imag) / 1.3) for hilum in hila))
    spread = np.exp(-((away / reach) ** 2)) + rng.uniform(0.1, 0.5)
    patchy = np.clip(1 + 0.35 * _clouds(rng, patient.pose, 6), 0.3, 1.5)
    cuffs = draw(patient.pose, [line for hilum in hila for line in _cuffs(rng, hilum)])
    strength = rng.uniform(0.07, 0.12)
    pattern: Field = spread * patchy * net + cuffs
    return strength * pattern


def _cuffs(rng: np.random.Generator, hilum: complex) -> list[Lines]:
    """Return bronchi near a hilum, seen from the end (small rings) and from the side (thick lines)."""
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 13))
    rings = hilum + scatter(rng, 7, 0.09 + 0.13j)[:, None] + circle * rng.uniform(0.014, 0.024, (7, 1))
    return [*branches(rng, hilum, 7, 3, 0.030), Lines(rings, 0.011, 0.9)]


def _ground_glass(rng: np.random.Generator, patient: Thorax) -> Field:
    """Draw COVID-19: several soft opacities in both lungs, near the chest wall and the diaphragm."""
    haze = np.zeros_like(patient.lungs)
    for side in (-1.0, 1.0):
        for _ in range(rng.integers(3, 6)):
            centre_u, centre_v = rng.uniform(0.42, 0.68), rng.uniform(-0.30, 0.46)
            radius = rng.uniform(0.13, 0.24)
            away = np.hypot(patient.u * side - centre_u, (patient.v - centre_v) / rng.uniform(0.9, 1.5))
            blot = np.exp(-((away / radius) ** 2) + 0.25 * _clouds(rng, patient.pose, 12))
            haze = np.maximum(haze, rng.uniform(0.7, 1.0) * blot)
    rim = np.exp(-np.clip(np.minimum(patient.wall, patient.diaphragm), 0, None) / 0.22)
    return rng.uniform(0.30, 0.50) * haze * rim * (1 + 0.30 * _clouds(rng, patient.pose, 44))


def _expose(rng: np.random.Generator, patient: Thorax, finding: Field) -> npt.NDArray[np.uint8]:
    """Make the image: blur, quantum noise, the detector's curve and grain, collimation and marker."""
    pose, lungs = patient.pose, patient.lungs
    # Noise has its own random stream, so that all else is the same at another size.
    noise = rng.spawn(1)[0].standard_normal((2, pose.size, pose.size), dtype=np.float32)
    haze = rng.uniform(0.0, 0.035) * _clouds(rng, pose, 5)
    # The finding's mean is subtracted: the mean brightness must not reveal the class.
    finding = finding * lungs
    finding -= finding.sum() / lungs.sum() * lungs
    dense = patient.attenuation + finding + haze * lungs + 0.25 * draw(pose, _devices(rng))
    dense = _blur(dense, rng.uniform(0.3, 0.9) * pose.size / 224)
    # Fewer quanta arrive behind dense tissue; their relative noise is one over the square root of their number.
    dense += rng.uniform(0.003, 0.010) * noise[0] * np.exp(dense)
    grey = step(dense - rng.uniform(0.37, 0.49), 1 / rng.uniform(5.0, 7.0)) ** rng.uniform(0.8, 1.25)
    black, white = rng.uniform(0.0, 0.08), rng.uniform(0.88, 1.0)
    grey = black + (white - black) * grey + rng.uniform(0.003, 0.010) * _blur(noise[1], 0.6)
    grey = _marker(rng, _collimate(rng, grey))
    image: npt.NDArray[np.uint8] = np.rint(255 * grey.clip(0, 1)).astype(np.uint8)
    return image


def _devices(rng: np.random.Generator) -> list[Lines]:
    """Return the venous line of some patients, and the cable with an electrode of some."""
    lines: list[Lines] = []
    side = _either(rng)
    if rng.random() < 0.15:
        way = np.array([0.5 * side - 1j, 0.28 * side - 0.66j, 0.09 * side - 0.55j, -0.04 - 0.4j, -0.08 - 0.1j])
        lines.append(Lines((way + scatter(rng, 5, 0.01 + 0.02j))[None], 0.012, 0.8))
    if rng.random() < 0.15:
        pad = complex(rng.uniform(0.4, 0.65) * side, rng.uniform(-0.5, 0.3))
        lines.append(Lines(np.array([[complex(0.3 * side, 1.2), pad.real + 0.6j, pad]]), 0.010, 0.6))
        lines.append(Lines(np.array([[pad, pad + 0.05j]]), 0.05, 0.9))
    return lines


def _clouds(rng: np.random.Generator, pose: Pose, cells: int) -> Field:
    """Return a smooth random field with unit variance and `cells` bumps in a row, shape (size, size)."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize((pose.size, pose.size), Image.Resampling.BICUBIC)
    field = np.asarray(smooth, dtype=np.float32)
    clouds: Field = (field - field.mean()) / field.std()
    return clouds


def _blur(field: Field, sigma: float) -> Field:
    """Blur with a Gaussian; `sigma` is in pixels."""
    radius = max(1, round(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for _ in range(2):  # along the columns, then, transposed, along the rows
        wide = np.pad(field, ((radius, radius), (0, 0)), mode="edge")
        blurred = np.zeros_like(field)
        for shift, weight in enumerate(weights):
            blurred += weight * wide[shift : shift + len(field)]
        field = blurred.T
    return field


def _collimate(rng: np.random.Generator, grey: Field) -> Field:
    """Make the edges of some images black, as the tube's shutters do."""
    if rng.random() > 0.35:
        return grey
    top, left, bottom, right = np.round(rng.uniform(0, 0.06, 4) * len(grey)).astype(int)
    inside = slice(top, len(grey) - bottom), slice(left, len(grey) - right)
    seen = np.zeros_like(grey)
    seen[inside] = grey[inside]
    return seen


def _marker(rng: np.random.Generator, grey: Field) -> Field:
    """Draw a lead "L" on the patient's left side in some images."""
    if rng.random() < 0.5:
        size = len(grey)
        height, thick = max(3, round(0.05 * size)), max(1, round(0.011 * size))
        top, left = round(rng.uniform(0.05, 0.3) * size), round(rng.uniform(0.84, 0.9) * size)
        grey[top : top + height, left : left + thick] = 0.97
        grey[top + height - thick : top + height, left : left + round(0.6 * height)] = 0.97
    return grey


_FINDINGS: dict[str, Callable[[np.random.Generator, Thorax], Field]] = {
    "covid": _ground_glass,
    "normal": _healthy,
    "pneumonia_bac": _consolidation,
    "pneumonia_vir": _interstitial,
}
